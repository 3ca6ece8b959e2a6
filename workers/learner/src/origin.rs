use futures::future::BoxFuture;
use perch_jobs::PublishPost;
use perch_publishing::{ActOrigin, Origin};
use perch_store::{Store, StoreError};

use crate::store::LearnerStore as _;

/// What the keys of the effects of this bot begin with.
const KEY: &str = "learner:";

/// The origin of posts that a learning poster has decided on.
#[derive(Debug, Clone, Copy)]
pub struct Decision;

impl Origin for Decision {
    fn bot(&self, act: &ActOrigin<'_>) -> Option<&'static str> {
        act.effect_key.is_some_and(|key| key.starts_with(KEY)).then_some("learner")
    }

    /// Whether a person has approved the candidate in these words.
    fn is_decided<'a>(&'a self, store: &'a Store, post: &'a PublishPost) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let Some(key) = post.effect_key.as_deref().filter(|key| key.starts_with(KEY)) else { return Ok(false) };
            let key = key.split_once(":part:").map_or(key, |(whole, _)| whole);
            let Some(decision) = store.learner().decision(key).await? else { return Ok(false) };
            let candidate = store.learner().candidate(decision.candidate_id).await?;
            Ok(candidate
                .is_some_and(|candidate| candidate.decided_by.is_some() && candidate.parts.contains(&post.text)))
        })
    }
}
