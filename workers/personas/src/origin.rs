use futures::future::BoxFuture;
use perch_jobs::PublishPost;
use perch_publishing::{ActOrigin, Origin};
use perch_store::{Store, StoreError};

use crate::store::StockStore as _;

/// What the keys of the effects of this bot begin with.
const KEY: &str = "persona:";

/// The origin of posts from the stock of a persona.
#[derive(Debug, Clone, Copy)]
pub struct FromStock;

impl Origin for FromStock {
    fn bot(&self, act: &ActOrigin<'_>) -> Option<&'static str> {
        act.effect_key.is_some_and(|key| key.starts_with(KEY)).then_some("personas")
    }

    /// Whether a person has approved the post in these words.
    fn is_decided<'a>(&'a self, store: &'a Store, post: &'a PublishPost) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let Some(key) = post.effect_key.as_deref().filter(|key| key.starts_with(KEY)) else { return Ok(false) };
            let stocked = store.stock().of_effect(key).await?;
            Ok(stocked.is_some_and(|stocked| stocked.decided_by.is_some() && stocked.text == post.text))
        })
    }
}
