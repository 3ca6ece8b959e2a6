//! The status of the bot of an account, for operators.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_jobs::AccountId;
use perch_store::{RateWindows, Store, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    MentionsSettings,
    store::{MentionControl, MentionCounts, MentionPoll, MentionStore as _, MentionSwitches},
};

/// The status of the bot of an account.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MentionStatus {
    /// The account.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// Whether its mentions are read.
    pub polling: bool,
    /// How often they are read, in milliseconds.
    pub interval_ms: u64,
    /// Whether they are replied to.
    pub replying: bool,
    /// Who changed one of these last.
    pub changed_by: Option<String>,
    /// When.
    pub changed_at: Option<DateTime<Utc>>,
    /// The reading of mentions.
    pub poll: PollStatus,
    /// The mentions of the last 24 hours.
    pub last_day: DayStatus,
    /// The rate limits that both depend on, without unknown ones and those whose window has ended.
    pub rate_limits: Vec<RateLimit>,
}

/// The status of reading mentions.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PollStatus {
    /// When mentions were last read.
    pub last: Option<DateTime<Utc>>,
    /// The earliest time of the next poll.
    pub next: Option<DateTime<Utc>>,
    /// The last mention that was processed.
    pub last_seen_id: Option<String>,
    /// Successful polls.
    pub polls: u64,
    /// Mentions that they read.
    pub read: u64,
    /// Failed polls, by cause.
    pub errors: BTreeMap<String, u64>,
    /// The last error of a poll.
    pub last_error: Option<String>,
    /// When it failed.
    pub failed_at: Option<DateTime<Utc>>,
}

impl From<MentionPoll> for PollStatus {
    fn from(poll: MentionPoll) -> Self {
        let MentionPoll { last, next, set_at: _, last_seen_id, polls, read, errors, last_error, failed_at } = poll;
        let last_seen_id = last_seen_id.map(|id| id.to_string());
        Self { last, next, last_seen_id, polls, read, errors, last_error, failed_at }
    }
}

/// Counts of the mentions of a day.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DayStatus {
    /// By state: `seen`, `left_out`, `queued`, `decided`, `sending`, `in_review`, `answered`, `rejected`, `expired`, `failed`.
    pub states: BTreeMap<String, u64>,
    /// Those left out, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Those that failed, were rejected or expired, by reason.
    pub errors: BTreeMap<String, u64>,
    /// The median time from a mention to its reply, in milliseconds.
    pub latency_p50_ms: Option<u64>,
    /// The 95th percentile of the time from a mention to its reply, in milliseconds.
    pub latency_p95_ms: Option<u64>,
    /// Tokens that models read.
    pub prompt_tokens: u64,
    /// Tokens that they wrote.
    pub completion_tokens: u64,
    /// Replies that wait for a person, of any age.
    pub open_reviews: u64,
}

impl From<MentionCounts> for DayStatus {
    fn from(counts: MentionCounts) -> Self {
        let MentionCounts {
            states,
            left_out,
            errors,
            latency_p50_ms,
            latency_p95_ms,
            prompt_tokens,
            completion_tokens,
            open_reviews,
        } = counts;
        Self {
            states,
            left_out,
            errors,
            latency_p50_ms,
            latency_p95_ms,
            prompt_tokens,
            completion_tokens,
            open_reviews,
        }
    }
}

/// A rate limit as of the last response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RateLimit {
    /// What it limits.
    pub of: String,
    /// Requests in its window.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// When the window ends.
    pub reset: DateTime<Utc>,
}

/// The status of the bot of an account from Postgres and Redis. Polls and the API settle mentions before.
pub async fn mention_status(
    settings: &MentionsSettings,
    store: &Store,
    control: &MentionControl,
    windows: &RateWindows,
    account: &AccountId,
) -> Result<MentionStatus, StoreError> {
    let MentionSwitches { stopped, interval, paused, by, at } = control.switches(account).await?;
    let poll = control.poll(account).await?;
    let last_day = store.mentions().counts(account, clock::now() - TimeDelta::days(1)).await?;
    let models = settings.providers.iter().map(|name| (name.clone(), format!("model:{name}:chat_completions")));
    let keys = [
        ("reading mentions".to_owned(), format!("x:mentions:{account}")),
        ("posting".to_owned(), format!("x:posts_create:{account}")),
    ];
    let mut rate_limits = Vec::new();
    for (of, key) in keys.into_iter().chain(models) {
        if let Some(window) = windows.get(&key).await? {
            let (limit, remaining, reset) = (window.limit, window.remaining, window.reset);
            rate_limits.push(RateLimit { of, limit, remaining, reset });
        }
    }
    let interval = interval.unwrap_or(settings.interval);
    Ok(MentionStatus {
        account: account.clone(),
        polling: !stopped,
        interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
        replying: !paused,
        changed_by: by,
        changed_at: at,
        poll: poll.into(),
        last_day: last_day.into(),
        rate_limits,
    })
}
