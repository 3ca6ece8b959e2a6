use futures::future::BoxFuture;
use perch_jobs::PublishPost;
use perch_publishing::{ActOrigin, Origin};
use perch_store::{Store, StoreError};

use crate::store::MentionStore as _;

/// The origin of replies to mentions.
#[derive(Debug, Clone, Copy)]
pub struct Replies;

impl Origin for Replies {
    fn bot(&self, act: &ActOrigin<'_>) -> Option<&'static str> {
        (act.source.is_none() && act.reply_to.is_some()).then_some("mentions")
    }

    /// Whether the post is the reply to a mention that was decided on, with the same text.
    fn is_decided<'a>(&'a self, store: &'a Store, post: &'a PublishPost) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let (Some(mention), Some(key)) = (&post.reply_to, &post.effect_key) else { return Ok(false) };
            let record = store.mentions().get(&post.account, mention).await?;
            let in_these_words = |reply: &Option<String>| reply.as_deref() == Some(post.text.as_str());
            Ok(record.is_some_and(|record| record.effect_key == *key && in_these_words(&record.reply)))
        })
    }
}
