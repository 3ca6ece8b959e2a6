//! Reads what X tells the account itself: its followers, what readers did with its posts, and what they replied.

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_clients::{
    XError,
    x::{AnalyticsCounts, AnalyticsQuery, Granularity, PostAnalytics, PostsQuery, PrivateMetrics},
};
use perch_core::{personas::Persona, x_failed};
use perch_jobs::{PostId, ReadAudience};
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_safety::GuardVerdict;
use perch_store::StoreError;
use serde::Serialize;

use crate::{
    Learner,
    store::{LearnerBot, LearnerStore as _, OwnAnalytics},
};

/// X tells it of posts of the last 30 days; an hour less, because the clocks may differ.
const TOLD_FOR: TimeDelta = TimeDelta::hours(30 * 24 - 1);
/// The latest replies that are looked at in one run.
const REPLIES: u8 = 50;

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AudienceRead {
    /// Followers of the account, where they were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followers: Option<u64>,
    /// Posts of which X told something.
    pub posts: u64,
    /// Replies that were looked at.
    pub replies: u64,
}

/// Reads the followers of the account, once a day; what readers did with its posts; and where the bot stops itself over them, the replies to
/// its posts.
pub async fn read_audience(job: ReadAudience, cx: JobContext, bot: Data<Learner>) -> HandlerResult<AudienceRead> {
    let Some((learner, persona)) = bot.running(&job.bot).await? else { return Ok(AudienceRead::default()) };
    let bot = bot.charged_for(&persona.spec.account, &cx);
    match read(&bot, &learner, &persona).await {
        Ok(read) => Ok(read),
        Err(Unread::X(error @ (XError::NotConfigured { .. } | XError::Unauthorized { .. }))) => {
            tracing::info!(account = %persona.spec.account, %error, "the account cannot read what only it is told");
            Ok(AudienceRead::default())
        }
        Err(Unread::X(error)) => Err(x_failed(error)),
        Err(Unread::Store(error)) => Err(Fail::from(error)),
    }
}

enum Unread {
    X(XError),
    Store(StoreError),
}

impl From<XError> for Unread {
    fn from(error: XError) -> Self {
        Self::X(error)
    }
}

impl From<StoreError> for Unread {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn read(bot: &Learner, learner: &LearnerBot, persona: &Persona) -> Result<AudienceRead, Unread> {
    let now = clock::now();
    let followers = followers(bot, persona).await?;
    let published = bot.store.learner().published_since(&learner.bot, now - TOLD_FOR).await?;
    let ids: Vec<PostId> = published.iter().filter_map(|id| id.parse().ok()).collect();
    let posts = analytics(bot, persona, &ids, now).await?;
    let looks = learner.spec.brakes.negative_share < 1.0 && !ids.is_empty();
    let replies = if looks { replies(bot, learner, persona, &ids).await? } else { 0 };
    Ok(AudienceRead { followers, posts, replies })
}

async fn followers(bot: &Learner, persona: &Persona) -> Result<Option<u64>, Unread> {
    let account = &persona.spec.account;
    if bot.store.learner().has_followers_of_today(account).await? {
        return Ok(None);
    }
    let followers = bot.clients.x.me(account).await?.public_metrics.and_then(|counts| counts.followers_count);
    if let Some(followers) = followers {
        bot.store.learner().keep_followers(account, followers).await?;
    }
    Ok(followers)
}

/// Keeps what X tells of posts now; of posts that its analytics leave out, what it shows to their author.
async fn analytics(bot: &Learner, persona: &Persona, ids: &[PostId], now: DateTime<Utc>) -> Result<u64, Unread> {
    let (account, x) = (&persona.spec.account, &bot.clients.x);
    let query = AnalyticsQuery { start: now - TOLD_FOR, end: now, granularity: Granularity::Total };
    let mut told: Vec<(PostId, OwnAnalytics)> = match x.post_analytics(account, ids, &query).await {
        Ok(found) => found.data.iter().map(|post| (post.id.clone(), of_analytics(post))).collect(),
        // Not every plan has them.
        Err(XError::Problem { status: 403 | 404, .. } | XError::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let left: Vec<PostId> = ids.iter().filter(|id| !told.iter().any(|(post, _)| post == *id)).cloned().collect();
    if !left.is_empty() {
        let user_id = bot.clients.own_id(account).await?;
        let shown = x.own_posts(account, &user_id, &left).await?.data;
        told.extend(shown.iter().filter_map(|post| Some((post.id.clone(), of_private(&post.non_public_metrics?)))));
    }
    for (post, of) in &told {
        bot.store.learner().keep_analytics(post.as_str(), now, of).await?;
    }
    Ok(told.len() as u64)
}

/// The counts of the buckets together, or those of the whole time where there are no buckets.
fn of_analytics(post: &PostAnalytics) -> OwnAnalytics {
    let sum = |of: fn(&AnalyticsCounts) -> Option<u64>| {
        let counted: Vec<u64> = post.buckets.iter().filter_map(|bucket| of(&bucket.metrics)).collect();
        if counted.is_empty() { of(&post.total) } else { Some(counted.iter().sum()) }
    };
    OwnAnalytics {
        impressions: sum(|counts| counts.impressions),
        engagements: sum(|counts| counts.engagements),
        follows: sum(|counts| counts.follows),
        url_clicks: sum(|counts| counts.url_clicks),
        profile_clicks: sum(|counts| counts.user_profile_clicks),
        detail_expands: sum(|counts| counts.detail_expands),
        shares: sum(|counts| counts.shares),
    }
}

fn of_private(counts: &PrivateMetrics) -> OwnAnalytics {
    OwnAnalytics {
        impressions: counts.impression_count,
        engagements: counts.engagements,
        url_clicks: counts.url_link_clicks,
        profile_clicks: counts.user_profile_clicks,
        ..OwnAnalytics::default()
    }
}

/// Looks at the latest replies of others to these posts, and keeps whether the guard would let them pass.
async fn replies(bot: &Learner, learner: &LearnerBot, persona: &Persona, ids: &[PostId]) -> Result<u64, Unread> {
    let account = &persona.spec.account;
    let user_id = bot.clients.own_id(account).await?;
    let query = PostsQuery { max_results: REPLIES, ..PostsQuery::default() };
    let mentions = bot.clients.x.mentions(account, &user_id, &query).await?;
    let mut looked = 0;
    for reply in &mentions.data {
        let Some(post) = reply.conversation_id.as_ref().filter(|id| ids.contains(id)) else { continue };
        let is_negative = !matches!(bot.guard.text(&reply.text, None), GuardVerdict::Pass);
        bot.store.learner().note_reply(&learner.bot, (reply.id.as_str(), post.as_str()), is_negative).await?;
        looked += 1;
    }
    Ok(looked)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_counts_of_buckets_add_up_and_what_x_does_not_say_is_not_zero() {
        let post: PostAnalytics = serde_json::from_value(json!({
            "id": "7",
            "timestamped_metrics": [
                { "timestamp": "2026-12-01T00:00:00Z", "metrics": { "impressions": 5, "follows": 1 } },
                { "timestamp": "2026-12-01T01:00:00Z", "metrics": { "impressions": 7 } },
            ],
        }))
        .expect("analytics");
        let told = of_analytics(&post);
        assert_eq!((told.impressions, told.follows, told.shares), (Some(12), Some(1), None));
    }
}
