use chrono::{DateTime, Utc};
use perch_clients::{
    XError,
    text::post_units,
    x::{CreatePost, CreatedPost, Search},
};
use perch_jobs::{AccountId, JobId, PostId, PublishPost};
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::{ActionKind, PlaceKind, PublishedPost};
use serde_json::json;

use super::{
    act::{Act, ActDetails, ActResponse},
    attempt::ActAttempt,
    decide::{sending, unfit},
    guarded::objection,
    media::Uploads,
    permit::LeasedPermit,
    record::Published,
};
use crate::{ActOrigin, Publisher};

/// Publishes one post or reply once, however often the job runs, unless the guard stops its text.
pub async fn publish_post(job: PublishPost, cx: JobContext, publisher: Data<Publisher>) -> HandlerResult<Published> {
    let most = post_units(publisher.settings.x.has_long_posts(&job.account));
    if let Some(why) = unfit(&job.text, most) {
        return Err(Fail::Dead(why));
    }
    let origin = ActOrigin {
        source: job.source.as_ref(),
        reply_to: job.reply_to.as_ref(),
        effect_key: job.effect_key.as_deref(),
    };
    let publisher = publisher.charged_for(&job.account, &origin, &cx);
    let key = job.effect_key.clone().unwrap_or_else(|| format!("publish:{}", cx.id()));
    let sending = sending(publisher.settings.live_posts, &publisher.settings.x.base_url);
    let objection = objection(&publisher, &job).await?;
    let act = PostAct { uploads: Uploads::new(&key, &cx), job: &job };
    ActAttempt { act: &act, cx: &cx, publisher: &publisher, key, sending, objection }.carry_out().await
}

/// The post of a job, with the files that were uploaded for it.
pub(super) struct PostAct<'a> {
    pub(super) job: &'a PublishPost,
    pub(super) uploads: Uploads,
}

impl<'a> PostAct<'a> {
    /// The act for its record alone.
    pub(super) fn recorded(job: &'a PublishPost) -> Self {
        Self { job, uploads: Uploads::none() }
    }
}

impl Act for PostAct<'_> {
    fn kind(&self) -> &'static str {
        if self.job.reply_to.is_some() { "reply" } else { "post" }
    }

    fn counts_as(&self) -> Option<PlaceKind> {
        Some(if self.job.reply_to.is_some() { PlaceKind::Reply } else { PlaceKind::Post })
    }

    fn account(&self) -> &AccountId {
        &self.job.account
    }

    fn request(&self) -> Vec<&str> {
        let target = self.job.reply_to.as_ref().map_or("", PostId::as_str);
        let files = self.job.media.iter().map(|media| media.url.as_str());
        [self.job.account.as_str(), &self.job.text, target].into_iter().chain(files).collect()
    }

    fn own_words(&self) -> Option<&str> {
        self.job.reply_to.is_none().then_some(self.job.text.as_str())
    }

    async fn make_ready(&self, publisher: &Publisher) -> Result<(), Fail> {
        self.uploads.upload(publisher, &self.job.account, &self.job.media).await
    }

    async fn call(&self, publisher: &Publisher, permit: LeasedPermit) -> Result<ActResponse, XError> {
        let job = self.job;
        let post = CreatePost {
            text: job.text.clone(),
            reply_to: job.reply_to.clone(),
            media_ids: self.uploads.of(&job.media)?,
            made_with_ai: job.made_with_ai,
            paid_partnership: job.paid_partnership,
            ..CreatePost::default()
        };
        let CreatedPost { id, text } = publisher.clients.x.create_post(permit, &job.account, &post).await?;
        Ok(ActResponse { id: Some(id.to_string()), response: json!({ "id": id, "text": text }) })
    }

    async fn look(&self, publisher: &Publisher, user_id: &str, since: DateTime<Utc>) -> Result<Search, XError> {
        let job = self.job;
        publisher.clients.x.find_recent_post(&job.account, user_id, &job.text, job.reply_to.as_ref(), since).await
    }

    fn details(&self) -> ActDetails<'_> {
        let source = self.job.source.as_ref();
        ActDetails {
            kind: if self.job.reply_to.is_some() { ActionKind::Comment } else { ActionKind::Post },
            text: &self.job.text,
            subject: source.map(|source| source.subject.as_str()),
            why: source.and_then(|source| source.why.as_deref()),
            source_post: self.job.reply_to.as_ref().or(source.map(|source| &source.post_id)),
        }
    }

    fn post(&self, id: &PostId, at: DateTime<Utc>, job: JobId) -> Option<PublishedPost> {
        Some(PublishedPost {
            post_id: id.clone(),
            account: self.job.account.clone(),
            text: self.job.text.clone(),
            reply_to: self.job.reply_to.clone(),
            subject: self.job.source.as_ref().map(|source| source.subject.clone()),
            job_id: Some(job),
            published_at: at,
        })
    }
}
