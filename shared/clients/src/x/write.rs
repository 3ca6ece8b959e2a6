use std::sync::Arc;

use http::Method;
use perch_jobs::{AccountId, PostId};
use serde_json::{Value, json};

use super::{CreatePost, CreatedPost, MOST_MEDIA, Reposted, XClient, XError, call::Call, read::is_id, types::Deleted};
use crate::{Charge, EffectPermit, text::has_link};

/// Posts with a link cost more, replies too. A reply costs less than a post where it answers somebody else.
fn charge(post: &CreatePost) -> Charge {
    if has_link(&post.text) {
        Charge::PostWithLink
    } else if post.reply_to.is_some() && !post.continues_thread {
        Charge::SummonedReply
    } else {
        Charge::Post
    }
}

/// What is not said has its default at X.
fn body(post: &CreatePost) -> Value {
    let mut body = json!({ "text": post.text });
    if let Some(reply_to) = &post.reply_to {
        body["reply"] = json!({ "in_reply_to_tweet_id": reply_to });
    }
    if !post.media_ids.is_empty() {
        body["media"] = json!({ "media_ids": post.media_ids });
    }
    for (name, is_so) in [("made_with_ai", post.made_with_ai), ("paid_partnership", post.paid_partnership)] {
        if is_so {
            body[name] = json!(true);
        }
    }
    body
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
        let permit: Arc<dyn EffectPermit> = Arc::new(permit);
        let mut call = Call::post("posts_create", &["2", "tweets"], account, &body(post), permit.clone());
        call.reply = post.reply_to.is_some();
        call.charge = Some((charge(post), 1));
        if post.media_ids.len() > MOST_MEDIA {
            return Err(
                call.invalid(format!("a post carries at most {MOST_MEDIA} files, not {}", post.media_ids.len()))
            );
        }
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
        let mut call = Call::post("reposts_create", &path, account, &json!({ "tweet_id": post_id }), permit.clone());
        call.charge = Some((Charge::Retweet, 1));
        if !is_id(user_id) {
            return Err(call.invalid("the id of a user is 1 to 19 digits"));
        }
        let (envelope, status) = self.call::<Reposted>(&call).await?;
        let reposted = call.single(envelope, status)?;
        tracing::info!(effect = permit.effect_key(), %account, post = %post_id, "reposted");
        Ok(reposted)
    }

    /// Deletes the post `post_id` of `account`. X allows 50 deletions of an account in 15 minutes.
    ///
    /// It is sent once and never retried by the client. A post that is gone already is [`XError::NotFound`]; a second deletion
    /// changes nothing. After an error with an unknown outcome, [`XClient::find_deletion`] finds out whether it happened.
    pub async fn delete_post<P: EffectPermit + 'static>(
        &self,
        permit: P,
        account: &AccountId,
        post_id: &PostId,
    ) -> Result<(), XError> {
        let path = ["2", "tweets", post_id.as_str()];
        let permit: Arc<dyn EffectPermit> = Arc::new(permit);
        // X's price list names no price of a deletion.
        let call = Call::bare("posts_delete", Method::DELETE, &path, account, permit.clone());
        let (envelope, status) = self.call::<Deleted>(&call).await?;
        if !call.single(envelope, status)?.deleted {
            return Err(XError::Decode { call: call.name(), reason: "it says that the post is not deleted".into() });
        }
        tracing::info!(effect = permit.effect_key(), %account, post = %post_id, "deleted");
        Ok(())
    }
}
