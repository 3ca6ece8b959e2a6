use std::time::Duration;

use chrono::NaiveDate;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::{AccountId, Job, PayloadError, Post, PostId, RetryPolicy, Unique, UniqueScope, own_keys};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Reads the picks out of one post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtractPost {
    /// The post to read.
    pub post: Post,
    /// The account that comments on what is found.
    pub account: AccountId,
    /// The earlier versions of the post, oldest first, when it was edited: all of them are one post.
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
    // About twenty minutes in all: a post whose pick is in its picture waits for a model that sees.
    const RETRY: RetryPolicy = RetryPolicy::new(12, Duration::from_secs(2), Duration::from_secs(600));
    // Three providers, each of which may hang for its whole time.
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

/// Starts one `poll_account` for each watched account that is due by a schedule of its own.
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
    // Up to 64 pages, each of which is kept as soon as it is dealt with.
    const TIMEOUT: Duration = Duration::from_secs(300);

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: format!("poll:{}", self.username.to_lowercase()), scope: UniqueScope::Done })
    }

    fn group(&self) -> Option<String> {
        Some(format!("watch:{}", self.username.to_lowercase()))
    }
}

/// Publishes one post or reply, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishPost {
    /// The account that posts.
    pub account: AccountId,
    /// The text, at most 280 units by X's weighted count.
    pub text: String,
    /// The post to reply to, if it is a reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<PostId>,
    /// What makes this effect one of a kind. Two jobs with equal keys publish once.
    /// Without it, the job's own id is the key. Keys of Perch's own posts, such as `reply:…`, are refused from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_key: Option<String>,
    /// What led to it, kept with the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PublishSource>,
}

/// What led to a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishSource {
    /// The post that was read.
    pub post_id: PostId,
    /// What it is about, as the bot names it.
    pub subject: String,
    /// Why this was chosen, where there was a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Job for PublishPost {
    const KIND: &'static str = "publish_post";
    const QUEUE: &'static str = "pending_posts";
    const RETRY: RetryPolicy = RetryPolicy::new(8, Duration::from_secs(2), Duration::from_secs(900));
    const TIMEOUT: Duration = Duration::from_secs(45);

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        self.effect_key.as_ref().map(|key| Unique { key: key.clone(), scope: UniqueScope::Done })
    }

    fn group(&self) -> Option<String> {
        Some(format!("account:{}", self.account))
    }

    fn check_from_outside(&self) -> Result<(), PayloadError> {
        own_keys::refused(Self::KIND, self.effect_key.as_deref())
    }
}

/// Repeats one post of somebody else as an account, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetweetPost {
    /// The account that retweets.
    pub account: AccountId,
    /// The post to retweet.
    pub post_id: PostId,
    /// What makes this effect one of a kind. Without it, the account and the post do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_key: Option<String>,
    /// What led to it, kept with the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PublishSource>,
}

impl RetweetPost {
    /// The key of its effect: the one given, or else `retweet:<account>:<post_id>`.
    pub fn key(&self) -> String {
        self.effect_key.clone().unwrap_or_else(|| format!("retweet:{}:{}", self.account, self.post_id))
    }
}

impl Job for RetweetPost {
    const KIND: &'static str = "retweet_post";
    const QUEUE: &'static str = PublishPost::QUEUE;
    const RETRY: RetryPolicy = PublishPost::RETRY;
    const TIMEOUT: Duration = PublishPost::TIMEOUT;

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: self.key(), scope: UniqueScope::Done })
    }

    fn group(&self) -> Option<String> {
        Some(format!("account:{}", self.account))
    }

    fn check_from_outside(&self) -> Result<(), PayloadError> {
        own_keys::refused(Self::KIND, self.effect_key.as_deref())
    }
}

/// Reads the public metrics of published posts and appends them to their time series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectMetrics {
    /// The posts to look at: at most 100, as one call of the API takes.
    #[schemars(length(min = 1, max = 100))]
    pub post_ids: Vec<PostId>,
    /// The account whose posts they are. It reads them for less than another would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}

impl Job for CollectMetrics {
    const KIND: &'static str = "collect_metrics";
    const QUEUE: &'static str = "analytics_processing";
    const RETRY: RetryPolicy = RetryPolicy::new(6, Duration::from_secs(5), Duration::from_secs(900));
    const TIMEOUT: Duration = Duration::from_secs(30);

    fn schema() -> Schema {
        schema_for!(Self)
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

/// Adds up what a day came to, and posts it where that is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SummariseDay {
    /// The day in UTC; yesterday when it is left out.
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

/// Moves hot state and job events from Redis into Postgres until nothing is left to move.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncHotState {}

impl Job for SyncHotState {
    const KIND: &'static str = "sync_hot_state";
    const QUEUE: &'static str = "sync_to_store";
    const RETRY: RetryPolicy = RetryPolicy::new(10, SECOND, MINUTE);
    const TIMEOUT: Duration = Duration::from_secs(120);

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: "sync".into(), scope: UniqueScope::Queued })
    }
}
