use chrono::{DateTime, Utc};
use perch_clients::{
    XError,
    x::{Reposted, Search},
};
use perch_jobs::{AccountId, JobId, PostId, RetweetPost};
use perch_queue::worker::{Data, HandlerResult, JobContext};
use perch_store::{ActionKind, PlaceKind, PublishedPost};
use serde_json::json;

use super::{
    act::{Act, ActDetails, ActResponse},
    attempt::ActAttempt,
    decide::sending,
    permit::LeasedPermit,
    record::Published,
};
use crate::{ActOrigin, Publisher};

/// Retweets one post once, however often the job runs.
pub async fn retweet_post(job: RetweetPost, cx: JobContext, publisher: Data<Publisher>) -> HandlerResult<Published> {
    let origin = ActOrigin { source: job.source.as_ref(), reply_to: None, effect_key: job.effect_key.as_deref() };
    let publisher = publisher.charged_for(&job.account, &origin, &cx);
    let sending = sending(publisher.settings.live_posts, &publisher.settings.x.base_url);
    ActAttempt { act: &job, cx: &cx, publisher: &publisher, key: job.key(), sending, objection: None }.carry_out().await
}

impl Act for RetweetPost {
    fn kind(&self) -> &'static str {
        "retweet"
    }

    fn counts_as(&self) -> Option<PlaceKind> {
        Some(PlaceKind::Retweet)
    }

    fn account(&self) -> &AccountId {
        &self.account
    }

    fn request(&self) -> Vec<&str> {
        vec![self.account.as_str(), self.post_id.as_str()]
    }

    // The URL of the call has the user id in it, and the time between the claim and the call is short.
    async fn prepare(&self, publisher: &Publisher) -> Result<(), XError> {
        publisher.clients.own_id(&self.account).await.map(|_| ())
    }

    async fn call(&self, publisher: &Publisher, permit: LeasedPermit) -> Result<ActResponse, XError> {
        let user_id = publisher.clients.own_id(&self.account).await?;
        let Reposted { retweeted, rest_id } =
            publisher.clients.x.retweet(permit, &self.account, &user_id, &self.post_id).await?;
        Ok(ActResponse { response: json!({ "retweeted": retweeted, "rest_id": rest_id }), id: rest_id })
    }

    async fn look(&self, publisher: &Publisher, user_id: &str, since: DateTime<Utc>) -> Result<Search, XError> {
        publisher.clients.x.find_recent_repost(&self.account, user_id, &self.post_id, since).await
    }

    fn details(&self) -> ActDetails<'_> {
        let source = self.source.as_ref();
        ActDetails {
            kind: ActionKind::Retweet,
            text: "",
            subject: source.map(|source| source.subject.as_str()),
            why: source.and_then(|source| source.why.as_deref()),
            source_post: Some(&self.post_id),
        }
    }

    // A retweet has no metrics of its own.
    fn post(&self, _: &PostId, _: DateTime<Utc>, _: JobId) -> Option<PublishedPost> {
        None
    }
}
