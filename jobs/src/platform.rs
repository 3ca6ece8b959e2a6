//! The jobs of the platform: publishing for all bots, and the sync.

use std::time::Duration;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::{AccountId, Job, JobTypes, Media, PayloadError, PostId, RetryPolicy, Unique, UniqueScope, own_keys};

/// See [`is_own_key`](crate::is_own_key).
pub(crate) const OWN_KEYS: &[&str] = &["publish:", "retweet:", "delete:", "sync"];

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// The job types of the platform.
pub fn platform_types() -> JobTypes {
    JobTypes::new()
        .with::<PublishPost>()
        .with::<PublishThread>()
        .with::<RetweetPost>()
        .with::<DeletePost>()
        .with::<CollectMetrics>()
        .with::<SyncHotState>()
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
    /// The key of the effect; default: the id of the job. Two jobs with equal keys publish once.
    /// Keys of Perch's own posts, such as `reply:…`, are refused from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_key: Option<String>,
    /// What led to it, kept with the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PublishSource>,
    /// Files that go with it, each at an https address of a public host: up to four pictures, or one GIF, or one MP4 video. The kind is
    /// told by the bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub media: Vec<Media>,
    /// Whether it carries X's mark for posts that a model made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made_with_ai: bool,
    /// Whether it carries X's mark for posts that are paid for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paid_partnership: bool,
}

impl PublishPost {
    /// A post with this text, and the default of everything else.
    pub fn new(account: AccountId, text: impl Into<String>) -> Self {
        Self {
            account,
            text: text.into(),
            reply_to: None,
            effect_key: None,
            source: None,
            media: Vec::new(),
            made_with_ai: false,
            paid_partnership: false,
        }
    }
}

/// Publishes a thread: a chain of posts, each a reply to the one before it, each part once. A retry goes on at the first part that is not
/// confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishThread {
    /// The account that posts.
    pub account: AccountId,
    /// The texts, in order, each at most 280 units by X's weighted count.
    #[schemars(length(min = 2, max = 25))]
    pub parts: Vec<String>,
    /// The key of its effects, of which each part has one, `<key>:part:<number>`; default: `publish:<job>`. Two jobs with equal keys
    /// publish once. Keys of Perch's own posts are refused from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_key: Option<String>,
    /// What led to it, kept with the actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PublishSource>,
    /// What becomes of the parts that are out when X refuses the next one for good.
    #[serde(default, skip_serializing_if = "is_kept")]
    pub half: HalfThread,
    /// Whether its parts carry X's mark for posts that a model made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made_with_ai: bool,
}

/// What becomes of the parts of a thread that are out when X refuses the next one for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HalfThread {
    /// They stay. A replay goes on behind them.
    #[default]
    Keep,
    /// They are deleted, the last one first.
    Delete,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_kept(half: &HalfThread) -> bool {
    *half == HalfThread::Keep
}

impl Job for PublishThread {
    const KIND: &'static str = "publish_thread";
    const QUEUE: &'static str = PublishPost::QUEUE;
    // Each part may have to wait until X shows the one before it.
    const RETRY: RetryPolicy = RetryPolicy::new(20, Duration::from_secs(2), Duration::from_secs(900));
    const TIMEOUT: Duration = Duration::from_secs(300);

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

/// Deletes one post of an account, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletePost {
    /// The account whose post it is.
    pub account: AccountId,
    /// The post.
    pub post_id: PostId,
    /// The key of the effect; default: `delete:<account>:<post_id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_key: Option<String>,
}

impl DeletePost {
    /// The key of its effect: the one given, or else `delete:<account>:<post_id>`.
    pub fn key(&self) -> String {
        self.effect_key.clone().unwrap_or_else(|| format!("delete:{}:{}", self.account, self.post_id))
    }
}

impl Job for DeletePost {
    const KIND: &'static str = "delete_post";
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

/// What led to a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishSource {
    /// The post that was read.
    pub post_id: PostId,
    /// What it is about, as the bot names it.
    pub subject: String,
    /// Why this was chosen, if there was a choice.
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

/// Retweets one post of somebody else as an account, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetweetPost {
    /// The account that retweets.
    pub account: AccountId,
    /// The post to retweet.
    pub post_id: PostId,
    /// The key of the effect; default: `retweet:<account>:<post_id>`.
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
    /// The posts to read: at most 100, the limit of one API call.
    #[schemars(length(min = 1, max = 100))]
    pub post_ids: Vec<PostId>,
    /// The account whose posts they are. Reading its own posts costs it less.
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
