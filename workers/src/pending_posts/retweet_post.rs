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
    act::{Act, Answer, Told},
    decide::sending,
    once::Once,
    permit::Permitted,
    record::Published,
};
use crate::Services;

/// Retweets one post, once, however often it runs.
pub async fn retweet_post(job: RetweetPost, cx: JobContext, services: Data<Services>) -> HandlerResult<Published> {
    let bot = if job.source.is_some() { "picks" } else { "posts" };
    let services = services.charged_to(bot, job.account.to_string(), &cx);
    let sending = sending(services.settings.live_posts, &services.settings.x.base_url);
    Once { act: &job, cx: &cx, services: &services, key: job.key(), sending, objection: None }.carry_out().await
}

impl Act for RetweetPost {
    fn kind(&self) -> &'static str {
        "retweet"
    }

    fn counts_as(&self) -> PlaceKind {
        PlaceKind::Retweet
    }

    fn account(&self) -> &AccountId {
        &self.account
    }

    fn request(&self) -> Vec<&str> {
        vec![self.account.as_str(), self.post_id.as_str()]
    }

    // The address of the call has the user id in it, and the time between the claim and the call is short.
    async fn prepare(&self, services: &Services) -> Result<(), XError> {
        services.own_ids.get(&services.x, &self.account).await.map(|_| ())
    }

    async fn call(&self, services: &Services, permit: Permitted) -> Result<Answer, XError> {
        let user_id = services.own_ids.get(&services.x, &self.account).await?;
        let Reposted { retweeted, rest_id } =
            services.x.retweet(permit, &self.account, &user_id, &self.post_id).await?;
        Ok(Answer { response: json!({ "retweeted": retweeted, "rest_id": rest_id }), id: rest_id })
    }

    async fn look(&self, services: &Services, user_id: &str, since: DateTime<Utc>) -> Result<Search, XError> {
        services.x.find_recent_repost(&self.account, user_id, &self.post_id, since).await
    }

    fn told(&self) -> Told<'_> {
        let source = self.source.as_ref();
        Told {
            kind: ActionKind::Retweet,
            text: "",
            pick_key: source.map(|source| source.pick_key.as_str()),
            why: source.and_then(|source| source.why.as_deref()),
            source_post: Some(&self.post_id),
        }
    }

    // Its metrics are those of the post that it repeats.
    fn post(&self, _: &PostId, _: DateTime<Utc>, _: JobId) -> Option<PublishedPost> {
        None
    }
}
