use std::sync::Arc;

use perch_jobs::{AccountId, PostId};
use serde_json::json;

use super::{CreatePost, CreatedPost, Reposted, XClient, XError, call::Call, read::is_id};
use crate::{Charge, EffectPermit, text::has_link};

/// Posts with a link cost more, replies too.
fn charge(post: &CreatePost) -> Charge {
    if has_link(&post.text) {
        Charge::PostWithLink
    } else if post.reply_to.is_some() {
        Charge::SummonedReply
    } else {
        Charge::Post
    }
}

impl XClient {
    /// Makes a post as `account`.
    ///
    /// It is sent once and never retried by the client. After an error, [`XError::write_outcome`] says whether the post may exist
    /// anyway; [`XClient::find_recent_post`] finds out.
    pub async fn create_post<P: EffectPermit + 'static>(
        &self,
        permit: P,
        account: &AccountId,
        post: &CreatePost,
    ) -> Result<CreatedPost, XError> {
        let mut body = json!({ "text": post.text });
        if let Some(reply_to) = &post.reply_to {
            body["reply"] = json!({ "in_reply_to_tweet_id": reply_to });
        }
        let permit: Arc<dyn EffectPermit> = Arc::new(permit);
        let mut call = Call::post("posts_create", &["2", "tweets"], account, body, permit.clone());
        call.reply = post.reply_to.is_some();
        call.charge = Some((charge(post), 1));
        let (envelope, status) = self.call::<CreatedPost>(&call).await?;
        let created = call.single(envelope, status)?;
        tracing::info!(effect = permit.effect_key(), %account, post = %created.id, "posted");
        Ok(created)
    }

    /// Reposts the post `post_id` as `account`, whose user id is `user_id`.
    ///
    /// It is sent once and never retried by the client. X answers a second repost of the same post like the first, or
    /// with [`XError::AlreadyReposted`]; neither changes anything. After another error,
    /// [`XClient::find_recent_repost`] finds out whether it happened.
    pub async fn retweet<P: EffectPermit + 'static>(
        &self,
        permit: P,
        account: &AccountId,
        user_id: &str,
        post_id: &PostId,
    ) -> Result<Reposted, XError> {
        let path = ["2", "users", user_id, "retweets"];
        let permit: Arc<dyn EffectPermit> = Arc::new(permit);
        let mut call = Call::post("reposts_create", &path, account, json!({ "tweet_id": post_id }), permit.clone());
        call.charge = Some((Charge::Retweet, 1));
        if !is_id(user_id) {
            return Err(call.invalid("the id of a user is 1 to 19 digits"));
        }
        let (envelope, status) = self.call::<Reposted>(&call).await?;
        let reposted = call.single(envelope, status)?;
        tracing::info!(effect = permit.effect_key(), %account, post = %post_id, "reposted");
        Ok(reposted)
    }
}
