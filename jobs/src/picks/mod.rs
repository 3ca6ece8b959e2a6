//! The jobs of the bot that reads picks, and what a pick is.

pub mod odds;
mod pick;

use std::time::Duration;

use chrono::NaiveDate;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

pub use self::pick::{Bet, ExtractedBets, Parlay, ParlayTag, Pick, PickError, PickKind, Side};
use crate::{AccountId, CollectMetrics, Job, JobTypes, Post, PostId, RetryPolicy, Unique, UniqueScope};

/// See [`is_own_key`](crate::is_own_key).
pub(crate) const OWN_KEYS: &[&str] =
    &["comment:", "extract:", "poll:", "summary:", "fetch_results", "poll_due_accounts"];

const MINUTE: Duration = Duration::from_secs(60);

/// Adds the job types of the picks bot.
pub fn picks_types(types: JobTypes) -> JobTypes {
    types
        .with::<ExtractPost>()
        .with::<PollAccounts>()
        .with::<PollAccount>()
        .with::<PollDueAccounts>()
        .with::<FetchResults>()
        .with::<SummariseDay>()
}

/// Reads the picks out of one post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtractPost {
    /// The post to read.
    pub post: Post,
    /// The account that comments on what is found.
    pub account: AccountId,
    /// The earlier versions of the post, oldest first, if it was edited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<PostId>,
}

impl ExtractPost {
    /// The id that an edit does not change: that of the first version.
    pub fn first_id(&self) -> &PostId {
        self.earlier.first().unwrap_or(&self.post.id)
    }
}

impl Job for ExtractPost {
    const KIND: &'static str = "extract_post";
    const QUEUE: &'static str = "extraction";

    fn schema() -> Schema {
        schema_for!(Self)
    }
    // About twenty minutes in all, so that a post with its pick in a picture can wait for a model that reads pictures.
    const RETRY: RetryPolicy = RetryPolicy::new(12, Duration::from_secs(2), Duration::from_secs(600));
    // Time for three providers that each use their full timeout.
    const TIMEOUT: Duration = Duration::from_secs(240);

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: format!("extract:{}", self.post.id), scope: UniqueScope::Done })
    }
}

/// Starts one `poll_account` for each watched account without a schedule of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PollAccounts {}

impl Job for PollAccounts {
    const KIND: &'static str = "poll_accounts";
    const QUEUE: &'static str = "extraction";
    const TIMEOUT: Duration = MINUTE;

    fn schema() -> Schema {
        schema_for!(Self)
    }
}

/// Starts one `poll_account` for each watched account that is due by its own schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PollDueAccounts {}

impl Job for PollDueAccounts {
    const KIND: &'static str = "poll_due_accounts";
    const QUEUE: &'static str = "extraction";
    const TIMEOUT: Duration = MINUTE;

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: "poll_due_accounts".into(), scope: UniqueScope::Done })
    }
}

/// Reads the new posts of one watched account and enqueues an `extract_post` for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PollAccount {
    /// The handle of the watched account, without `@`.
    pub username: String,
}

impl Job for PollAccount {
    const KIND: &'static str = "poll_account";
    const QUEUE: &'static str = "extraction";
    const RETRY: RetryPolicy = RetryPolicy::new(4, Duration::from_secs(5), Duration::from_secs(900));

    fn schema() -> Schema {
        schema_for!(Self)
    }
    // Up to 64 pages; each is stored as soon as it is processed.
    const TIMEOUT: Duration = Duration::from_secs(300);

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: format!("poll:{}", self.username.to_lowercase()), scope: UniqueScope::Done })
    }

    fn group(&self) -> Option<String> {
        Some(format!("watch:{}", self.username.to_lowercase()))
    }
}

/// Fetches results of games from the configured source and settles the picks that the known results decide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchResults {}

impl Job for FetchResults {
    const KIND: &'static str = "fetch_results";
    const QUEUE: &'static str = CollectMetrics::QUEUE;
    const RETRY: RetryPolicy = RetryPolicy::new(4, Duration::from_secs(10), Duration::from_secs(300));
    const TIMEOUT: Duration = Duration::from_secs(120);

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: "fetch_results".into(), scope: UniqueScope::Done })
    }
}

/// Sums up the results of a day, and posts the summary if that is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SummariseDay {
    /// The day in UTC; default: yesterday.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<NaiveDate>,
}

impl Job for SummariseDay {
    const KIND: &'static str = "summarise_day";
    const QUEUE: &'static str = CollectMetrics::QUEUE;
    const RETRY: RetryPolicy = CollectMetrics::RETRY;
    const TIMEOUT: Duration = MINUTE;

    fn schema() -> Schema {
        schema_for!(Self)
    }
}
