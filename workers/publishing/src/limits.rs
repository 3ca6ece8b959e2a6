//! The present state of the limits on all three levels: rate windows of outside services, quotas of accounts, and limits of pools.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::try_join_all;
use perch_base::{Settings, settings::PostingSettings};
use perch_jobs::{AccountId, Job as _, PublishPost};
use perch_queue::{Queues, RateUse};
use perch_store::{Places, PlacesUsed, RateWindows, StoreError, THREE_HOURS};
use serde::Serialize;
use utoipa::ToSchema;

use crate::gate::hours::{PostingDay, day, has_caps, is_quiet, open_from};

/// The limits at one moment.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LimitsReport {
    /// Rate windows of outside services that have not ended, as of their last answers; at most 1,000.
    pub api: Vec<ApiWindow>,
    /// What the accounts publish today.
    pub posting: Vec<AccountPosting>,
    /// What the pools start.
    pub processing: Vec<QueueProcessing>,
}

/// A rate window of an outside service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApiWindow {
    /// The service: `x`, or `model`.
    pub service: String,
    /// Who calls: an account, `app` for the application, or a provider of models.
    pub caller: String,
    /// The endpoint.
    pub endpoint: String,
    /// Calls allowed in the window.
    pub limit: u64,
    /// Calls left.
    pub remaining: u64,
    /// When it ends.
    pub resets_at: DateTime<Utc>,
}

/// What an account publishes today, and what it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AccountPosting {
    /// The account, by its name in `[x.accounts]`.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// Posts today, including those under way.
    pub posts: u64,
    /// Replies today.
    pub replies: u64,
    /// Retweets today.
    pub retweets: u64,
    /// The most of all three together in a day; 0 stands for no limit.
    pub per_day: u32,
    /// The most replies in a day; 0 stands for no limit of their own.
    pub replies_per_day: u32,
    /// The most retweets in a day; 0 stands for no limit of their own.
    pub retweets_per_day: u32,
    /// All of them in the last three hours.
    pub last_three_hours: u64,
    /// The most in any three hours; 0 stands for no limit.
    pub per_three_hours: u32,
    /// The least time between two, in milliseconds.
    pub min_interval_ms: u64,
    /// When its day ends.
    pub day_ends: DateTime<Utc>,
    /// Its quiet hours and their time zone; none when it has none.
    pub quiet_hours: Option<String>,
    /// Whether it is in its quiet hours.
    pub quiet: bool,
    /// When the next post may begin by these limits; none when one may begin now.
    pub next_allowed: Option<DateTime<Utc>>,
}

/// What a pool starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueProcessing {
    /// The queue.
    pub queue: String,
    /// Jobs that run, over all processes.
    pub running: u64,
    /// Jobs that are ready: they wait for a worker, or for the rate of the queue.
    pub ready: u64,
    /// Jobs that one process runs at once.
    pub concurrency: usize,
    /// Jobs that run at once over all processes; 0 stands for no limit.
    pub global_concurrency: usize,
    /// Jobs of one group that run at once; 0 stands for no limit.
    pub group_concurrency: usize,
    /// The rate of the queue, if it has one.
    pub rate: Option<Rate>,
    /// Its groups with running or parked jobs and, where groups have a limit, the accounts.
    pub groups: Vec<GroupProcessing>,
}

/// What a pool starts of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GroupProcessing {
    /// The group.
    pub group: String,
    /// Its jobs that run.
    pub running: u64,
    /// Its jobs that wait for its concurrency or its rate.
    pub parked: u64,
    /// Its rate, if groups have one.
    pub rate: Option<Rate>,
}

/// A rate at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rate {
    /// Starts allowed in the period.
    pub count: u32,
    /// The period, in milliseconds.
    pub per_ms: u64,
    /// Starts that are allowed now.
    pub left: u32,
    /// When the next start is allowed; none when one is now.
    pub next: Option<DateTime<Utc>>,
}

impl From<RateUse> for Rate {
    fn from(RateUse { count, per_ms, left, next }: RateUse) -> Self {
        Self { count, per_ms, left, next }
    }
}

/// Reads the limits of all three levels from Redis. `account` leaves the others out.
pub async fn limits(
    settings: &Settings,
    queues: &Queues,
    account: Option<&AccountId>,
) -> Result<LimitsReport, StoreError> {
    let redis = queues.redis();
    let (windows, places) = (RateWindows::new(redis.clone(), settings.env), Places::new(redis.clone(), settings.env));
    let accounts = settings.x.accounts.keys().filter(|name| account.is_none_or(|account| account == *name));
    let posting = accounts.map(|account| posting(settings, &places, account));
    let (windows, posting, processing) =
        tokio::try_join!(windows.all(), try_join_all(posting), processing(settings, queues))?;
    let mut api: Vec<ApiWindow> = windows
        .iter()
        .map(|named| {
            let (service, caller, endpoint) = parts(&named.key);
            let window = named.window;
            let (limit, remaining, resets_at) = (window.limit, window.remaining, window.reset);
            ApiWindow { service, caller, endpoint, limit, remaining, resets_at }
        })
        .collect();
    api.retain(|window| account.is_none_or(|account| window.caller == account.as_str() || window.caller == "app"));
    Ok(LimitsReport { api, posting, processing })
}

/// Service, caller and endpoint of the key of a window: `x:<endpoint>:<caller>`, `model:<provider>:<endpoint>`.
fn parts(key: &str) -> (String, String, String) {
    let (service, rest) = key.split_once(':').unwrap_or(("", key));
    let (first, last) = rest.rsplit_once(':').unwrap_or((rest, ""));
    let (caller, endpoint) = if service == "x" { (last, first) } else { (first, last) };
    (service.to_owned(), caller.to_owned(), endpoint.to_owned())
}

async fn posting(settings: &Settings, places: &Places, account: &AccountId) -> Result<AccountPosting, StoreError> {
    let posting = settings.posting_of(account);
    let now = places.clock().now();
    let today = day(&posting, now);
    let used = places.used(account, today.began).await?;
    let next = next_allowed(&posting, &today, &used, now);
    let PostingSettings { quiet, timezone, .. } = &posting;
    let quiet_hours = quiet.are_set().then(|| {
        let form = "%H:%M";
        format!("{} to {} {}", quiet.from.format(form), quiet.to.format(form), quiet.timezone.unwrap_or(*timezone))
    });
    Ok(AccountPosting {
        account: account.clone(),
        posts: used.posts,
        replies: used.replies,
        retweets: used.retweets,
        per_day: posting.per_day,
        replies_per_day: posting.replies_per_day,
        retweets_per_day: posting.retweets_per_day,
        last_three_hours: used.recent,
        per_three_hours: posting.per_three_hours,
        min_interval_ms: u64::try_from(posting.min_interval.as_millis()).unwrap_or(u64::MAX),
        day_ends: today.ends,
        quiet_hours,
        quiet: is_quiet(&posting, now),
        next_allowed: Some(next).filter(|next| *next > now),
    })
}

/// When the next post of an account may begin, after what it used of its limits.
fn next_allowed(posting: &PostingSettings, today: &PostingDay, used: &PlacesUsed, now: DateTime<Utc>) -> DateTime<Utc> {
    let interval = TimeDelta::from_std(posting.min_interval).unwrap_or_default();
    let spaced = used.last.filter(|_| !interval.is_zero()).map_or(now, |last| (last + interval).max(now));
    let is_at = |most: u32, acts: u64| most > 0 && acts >= u64::from(most);
    let window = used.recent_since.filter(|_| is_at(posting.per_three_hours, used.recent));
    let spaced = window.map_or(spaced, |since| spaced.max(since + THREE_HOURS));
    let is_full = has_caps(posting) && is_at(posting.per_day, used.total());
    open_from(posting, if is_full { spaced.max(today.ends) } else { spaced })
}

async fn processing(settings: &Settings, queues: &Queues) -> Result<Vec<QueueProcessing>, StoreError> {
    let accounts: Vec<String> = settings.x.accounts.keys().map(|account| format!("account:{account}")).collect();
    let read = queues.iter().map(|queue| {
        let has_limits = queue.settings().group_rate.is_some() || queue.settings().group_concurrency > 0;
        let known: &[String] = if has_limits && queue.name().as_str() == PublishPost::QUEUE { &accounts } else { &[] };
        async move {
            let used = queue.limits(known).await?;
            let groups = used.groups.into_iter().map(|group| GroupProcessing {
                group: group.group,
                running: group.running,
                parked: group.parked,
                rate: group.rate.map(Rate::from),
            });
            Ok(QueueProcessing {
                queue: used.queue.to_string(),
                running: used.running,
                ready: used.ready,
                concurrency: queue.settings().concurrency,
                global_concurrency: used.global_concurrency,
                group_concurrency: used.group_concurrency,
                rate: used.rate.map(Rate::from),
                groups: groups.collect(),
            })
        }
    });
    try_join_all(read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_window_says_who_calls_what() {
        let said = |key| {
            let (service, caller, endpoint) = parts(key);
            format!("{service} {caller} {endpoint}")
        };
        assert_eq!(said("x:posts_create:main"), "x main posts_create");
        assert_eq!(said("x:users_posts:app"), "x app users_posts");
        assert_eq!(said("model:grok:chat_completions"), "model grok chat_completions");
    }
}
