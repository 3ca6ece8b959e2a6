use chrono::{DateTime, Utc};
use perch_clients::{XError, x::Search};
use perch_jobs::{AccountId, DeletePost, JobId, PostId};
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

/// Deletes one post of an account once, however often the job runs. A post that is gone already counts as deleted.
pub async fn delete_post(job: DeletePost, cx: JobContext, publisher: Data<Publisher>) -> HandlerResult<Published> {
    let origin = ActOrigin { source: None, reply_to: None, effect_key: job.effect_key.as_deref() };
    let publisher = publisher.charged_for(&job.account, &origin, &cx);
    let sending = sending(publisher.settings.live_posts, &publisher.settings.x.base_url);
    ActAttempt { act: &job, cx: &cx, publisher: &publisher, key: job.key(), sending, objection: None }.carry_out().await
}

impl Act for DeletePost {
    fn kind(&self) -> &'static str {
        "deletion"
    }

    fn counts_as(&self) -> Option<PlaceKind> {
        None
    }

    fn account(&self) -> &AccountId {
        &self.account
    }

    fn request(&self) -> Vec<&str> {
        vec![self.account.as_str(), self.post_id.as_str()]
    }

    fn is_so_already(&self, error: &XError) -> bool {
        matches!(error, XError::NotFound { .. })
    }

    async fn call(&self, publisher: &Publisher, permit: LeasedPermit) -> Result<ActResponse, XError> {
        publisher.clients.x.delete_post(permit, &self.account, &self.post_id).await?;
        Ok(ActResponse { id: None, response: json!({ "deleted": self.post_id }) })
    }

    async fn look(&self, publisher: &Publisher, _: &str, since: DateTime<Utc>) -> Result<Search, XError> {
        publisher.clients.x.find_deletion(&self.account, &self.post_id, since).await
    }

    fn details(&self) -> ActDetails<'_> {
        ActDetails { kind: ActionKind::Deletion, text: "", subject: None, why: None, source_post: Some(&self.post_id) }
    }

    fn post(&self, _: &PostId, _: DateTime<Utc>, _: JobId) -> Option<PublishedPost> {
        None
    }
}
