//! Reads what X tells the account itself: its followers, what readers did with its posts, and what they replied.

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_clients::{XError, x::PostsQuery};
use perch_core::{personas::Persona, x_failed};
use perch_jobs::{PostId, ReadAudience};
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_safety::GuardVerdict;
use serde::Serialize;

use crate::{
    Learner,
    store::{LearnerBot, LearnerStore as _},
};

/// X tells it of posts of the last 30 days.
const DAYS: i64 = 30;

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReadOfAudience {
    /// Followers of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followers: Option<u64>,
    /// Posts whose analytics were read.
    pub posts: u64,
    /// Replies that were looked at.
    pub replies: u64,
}

/// Reads the followers of the account, the analytics of its posts, and where the bot stops itself over them, the replies to its posts.
pub async fn read_audience(job: ReadAudience, cx: JobContext, bot: Data<Learner>) -> HandlerResult<ReadOfAudience> {
    let Some((learner, persona)) = bot.running(&job.bot).await? else { return Ok(ReadOfAudience::default()) };
    let bot = bot.charged_for(&persona.spec.account, &cx);
    let read = async {
        let followers = followers(&bot, &persona).await?;
        let now = clock::now();
        let posts = bot.store.learner().published_since(&learner.bot, now - TimeDelta::days(DAYS)).await?;
        let ids: Vec<PostId> = posts.iter().filter_map(|id| id.parse().ok()).collect();
        let posts = analytics(&bot, &persona, &ids, now).await?;
        let replies = if learner.spec.brakes.negative_share < 1.0 { replies(&bot, &learner, &persona, &ids).await? } else { 0 };
        Ok(ReadOfAudience { followers, posts, replies })
    };
    match read.await {
        Err(Unread::X(error @ (XError::NotConfigured { .. } | XError::Unauthorized { .. }))) => {
            tracing::info!(account = %persona.spec.account, %error, "the account cannot read what only it is told");
            Ok(ReadOfAudience::default())
        }
        Err(Unread::X(error)) => Err(x_failed(error)),
        Err(Unread::Failed(fail)) => Err(fail),
        Ok(read) => Ok(read),
    }
}

enum Unread {
    X(XError),
    Failed(Fail),
}

impl From<XError> for Unread {
    fn from(error: XError) -> Self {
        Self::X(error)
    }
}

impl From<perch_store::StoreError> for Unread {
    fn from(error: perch_store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}
