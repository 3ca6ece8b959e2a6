use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use chrono::{DateTime, Utc};
use perch_base::Environment;
use perch_jobs::PostId;
use perch_queue::Redis;
use perch_store::{StoreError, move_forward};
use redis::Script;
use serde::{Deserialize, Serialize};

/// Marks in Redis that keep work from being done twice before Postgres knows of it.
///
/// A mark belongs to its owner, usually a job. If the same job runs again after a crash, it finds its own mark and continues; any other
/// job finds that it came second.
#[derive(Debug, Clone)]
pub struct Marks {
    redis: Redis,
    prefix: &'static str,
}

/// What happened to the posts of a poll.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollTally {
    /// Posts that X returned.
    pub read: usize,
    /// Of these, handed on to extraction.
    pub taken: usize,
    /// The others, by the reason for skipping them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, usize>,
}

/// How far a poll of an account got, page by page from the newest post back. So the next attempt does not pay again for pages that were
/// read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollProgress {
    /// The post up to which earlier polls had read.
    pub since_id: Option<PostId>,
    /// Posts from before this time are too old.
    pub from: Option<DateTime<Utc>>,
    /// When the first page was asked for.
    pub began: DateTime<Utc>,
    /// The newest post so far. Once all pages are read, everything up to it is done.
    pub newest: Option<PostId>,
    /// Pages read.
    pub pages: u8,
    /// The token of the next page; `None` for the first.
    pub page: Option<String>,
    /// What happened to the posts on these pages.
    pub tally: PollTally,
}

/// The version of a post that is acted on, and its picks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostReading {
    /// The id of the version; each edit of a post has a new id.
    pub version: PostId,
    /// The keys of its picks.
    pub picks: Vec<String>,
}

static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/claim.lua")));
static MARK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/mark.lua")));
static UNMARK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/unmark.lua")));
/// How long progress is kept. No pagination token is valid for longer.
const PROGRESS_KEPT: Duration = Duration::from_secs(7 * 86_400);

impl Marks {
    /// The marks of `env`.
    pub fn new(redis: Redis, env: Environment) -> Self {
        Self { redis, prefix: env.prefix() }
    }

    /// Marks a post as processed by `owner`. True if the mark is `owner`'s, false if another owner was first.
    pub async fn mark_processed(&self, post: &PostId, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.mark("mark a post", self.processed_key(post), owner, ttl).await
    }

    /// Whether a post is marked as processed by any owner.
    pub async fn is_processed(&self, post: &PostId) -> Result<bool, StoreError> {
        Ok(self.redis.cmd("look for a mark", redis::cmd("EXISTS").arg(self.processed_key(post))).await?)
    }

    /// Removes `owner`'s mark from a post. True if it was there.
    pub async fn forget_processed(&self, post: &PostId, owner: &str) -> Result<bool, StoreError> {
        self.unmark("unmark a post", self.processed_key(post), owner).await
    }

    /// Marks a pick as first seen by `owner`. True if the mark is `owner`'s, false if another owner was first.
    pub async fn remember_pick(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.mark("remember a pick", self.pick_key(key), owner, ttl).await
    }

    /// Removes `owner`'s mark from a pick. True if it was there.
    pub async fn forget_pick(&self, key: &str, owner: &str) -> Result<bool, StoreError> {
        self.unmark("forget a pick", self.pick_key(key), owner).await
    }

    /// Claims a post, by the id of its first version, for one version. Returns the reading that has the claim: this one, or an earlier
    /// one.
    pub async fn claim_post(
        &self,
        first: &PostId,
        reading: &PostReading,
        ttl: Duration,
    ) -> Result<PostReading, StoreError> {
        let text = serde_json::to_string(reading)
            .map_err(|error| StoreError::Invalid { what: "the reading of a post", reason: error.to_string() })?;
        let mut call = CLAIM.prepare_invoke();
        call.key(self.reading_key(first)).arg(text).arg(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1));
        let held: String =
            self.redis.call("claim a post", |mut conn| async move { call.invoke_async(&mut conn).await }).await?;
        Ok(serde_json::from_str(&held).unwrap_or_else(|_| reading.clone()))
    }

    /// The reading that has the claim on a post, by the id of its first version.
    pub async fn post_reading(&self, first: &PostId) -> Result<Option<PostReading>, StoreError> {
        let text: Option<String> =
            self.redis.cmd("read the claim of a post", redis::cmd("GET").arg(self.reading_key(first))).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The id of the last post read of a watched account.
    pub async fn since_id(&self, username: &str) -> Result<Option<PostId>, StoreError> {
        let text: Option<String> =
            self.redis.cmd("read a since_id", redis::cmd("GET").arg(self.since_key(username))).await?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Moves the id of the last post read of a watched account forward, never back. Returns the id that is stored now.
    pub async fn set_since_id(&self, username: &str, id: &PostId) -> Result<PostId, StoreError> {
        move_forward(&self.redis, &self.since_key(username), id).await
    }

    /// The progress of an unfinished poll of a watched account.
    pub async fn poll_progress(&self, username: &str) -> Result<Option<PollProgress>, StoreError> {
        let mut get = redis::cmd("GET");
        get.arg(self.progress_key(username));
        let text: Option<String> = self.redis.cmd("read how far a poll got", &get).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Stores the progress of a poll of a watched account; `None` if it is finished.
    pub async fn set_poll_progress(&self, username: &str, progress: Option<&PollProgress>) -> Result<(), StoreError> {
        let key = self.progress_key(username);
        let Some(progress) = progress else {
            return Ok(self.redis.cmd("note that a poll is finished", redis::cmd("DEL").arg(key)).await?);
        };
        let text = serde_json::to_string(progress)
            .map_err(|error| StoreError::Invalid { what: "how far a poll got", reason: error.to_string() })?;
        let mut set = redis::cmd("SET");
        set.arg(key).arg(text).arg("EX").arg(PROGRESS_KEPT.as_secs());
        Ok(self.redis.cmd("note how far a poll got", &set).await?)
    }

    async fn mark(&self, doing: &'static str, key: String, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        let mut call = MARK.prepare_invoke();
        call.key(key).arg(owner).arg(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1));
        Ok(self.redis.call(doing, |mut conn| async move { call.invoke_async(&mut conn).await }).await?)
    }

    async fn unmark(&self, doing: &'static str, key: String, owner: &str) -> Result<bool, StoreError> {
        let mut call = UNMARK.prepare_invoke();
        call.key(key).arg(owner);
        Ok(self.redis.call(doing, |mut conn| async move { call.invoke_async(&mut conn).await }).await?)
    }

    fn processed_key(&self, post: &PostId) -> String {
        format!("{}processed:{post}", self.prefix)
    }

    fn reading_key(&self, first: &PostId) -> String {
        format!("{}reading:{first}", self.prefix)
    }

    fn pick_key(&self, key: &str) -> String {
        format!("{}pick:{key}", self.prefix)
    }

    fn progress_key(&self, username: &str) -> String {
        format!("{}poll:{}", self.prefix, username.to_lowercase())
    }

    fn since_key(&self, username: &str) -> String {
        format!("{}since_id:{}", self.prefix, username.to_lowercase())
    }
}
