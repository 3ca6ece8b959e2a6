//! Freezes the reward of each post once, at a fixed age.

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{clock, crash_point};
use perch_jobs::PersonaName;
use perch_store::StoreError;
use serde::Serialize;
use serde_json::json;

use crate::{
    Learner,
    learning::{
        reward::{Actions, RewardError},
        timing::{Post, Slot, Timing},
    },
    store::{FrozenReward, LearnerStore as _, Measured, RewardRow, Unrewarded},
};

/// What freezing has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Frozen {
    /// Rewards that were frozen.
    pub rewards: u64,
    /// Posts that end without one.
    pub without: u64,
}

/// Freezes the rewards of posts that are old enough. A post that was not measured in time ends without one.
pub(crate) async fn freeze(bot: &Learner) -> Result<Frozen, StoreError> {
    let tables = bot.store.learner();
    let age = i64::try_from(bot.settings.reward_age.as_secs()).unwrap_or(i64::MAX);
    let mut frozen = Frozen::default();
    for post in tables.unrewarded(age).await? {
        let Some(figures) = figures(bot, &post).await? else { continue };
        let is_reward = figures.is_ok();
        let reward = FrozenReward {
            decision: post.decision,
            post_id: post.post_id.clone(),
            version: bot.settings.weights.version.clone(),
            figures,
        };
        let is_new = tables.freeze(&reward).await?;
        crash_point!("reward.frozen" in crate::CRASH_POINTS);
        if is_new {
            *(if is_reward { &mut frozen.rewards } else { &mut frozen.without }) += 1;
        }
    }
    metrics::counter!("perch_rewards_total", "outcome" => "frozen").increment(frozen.rewards);
    metrics::counter!("perch_rewards_total", "outcome" => "without").increment(frozen.without);
    Ok(frozen)
}

/// The figures of a post, or why it has none; nothing while it can still be measured.
async fn figures(bot: &Learner, post: &Unrewarded) -> Result<Option<Result<RewardRow, String>>, StoreError> {
    let within = bot.settings.reward_age + bot.settings.reward_within;
    let last = post.published_at + TimeDelta::from_std(within).unwrap_or(TimeDelta::MAX / 2);
    let Some(measured) = post.measured.filter(|measured| measured.at <= last) else {
        let is_over = post.measured.is_some() || clock::now() > last;
        return Ok(is_over.then(|| Err("it was not measured in time".to_owned())));
    };
    let Some(impressions) = measured.impressions else {
        return Ok(Some(Err("X did not say how many have seen it".to_owned())));
    };
    let actions = actions(&measured);
    let seen = as_float(impressions);
    // The reward itself is counted against what the account expects, which is known only with the odds of the post.
    let odds = match bot.settings.weights.reward(&actions, seen, 0.0) {
        Ok(odds) => odds,
        Err(RewardError::NoImpressions) => return Ok(Some(Err("nobody has seen it".to_owned()))),
        Err(error) => return Ok(Some(Err(error.to_string()))),
    };
    let expected = expected(bot, &post.bot, post.published_at, odds).await?;
    Ok(Some(Ok(RewardRow {
        age: (measured.at - post.published_at).num_seconds(),
        counts: json!(actions),
        impressions,
        log_odds: odds,
        expected,
        follows: measured.follows,
    })))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a post stay far below 2^52")]
fn as_float(count: i64) -> f64 {
    count as f64
}

fn actions(measured: &Measured) -> Actions {
    let of = |count: Option<i64>| count.map_or(0.0, as_float);
    Actions {
        reply: as_float(measured.replies),
        quote: as_float(measured.quotes),
        repost: as_float(measured.reposts),
        like: as_float(measured.likes),
        follow: of(measured.follows),
        link_open: of(measured.url_clicks),
        post_click: of(measured.detail_expands),
        ..Actions::default()
    }
}

/// What the account expects at that hour. The first posts are held against the mean of those before them, and the very first against
/// itself.
async fn expected(bot: &Learner, name: &PersonaName, at: DateTime<Utc>, odds: f64) -> Result<f64, StoreError> {
    let history = bot.store.learner().history(name).await?;
    if history.is_empty() {
        return Ok(odds);
    }
    let posts: Vec<Post> = history.iter().map(|(at, odds)| Post::new(*at, *odds)).collect();
    let timing = Timing::learn(&posts, posts.len() as u64);
    Ok(timing.expected(Slot::of(at)))
}
