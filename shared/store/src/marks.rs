use std::{sync::LazyLock, time::Duration};

use perch_base::Environment;
use perch_jobs::PostId;
use perch_queue::Redis;
use redis::Script;

use crate::StoreError;

/// Marks in Redis that keep work from being done twice before Postgres knows of it.
///
/// A mark belongs to whoever set it, usually a job: the same job that runs again after a crash finds its own mark and
/// goes on, any other finds that it came second.
#[derive(Debug, Clone)]
pub struct Marks {
    redis: Redis,
    prefix: &'static str,
}

static MARK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/mark.lua")));
static UNMARK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/unmark.lua")));
static SINCE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/since.lua")));

impl Marks {
    /// The marks of `env`.
    pub fn new(redis: Redis, env: Environment) -> Self {
        Self { redis, prefix: env.prefix() }
    }

    /// Marks a post as processed by `owner`. True when it is `owner`'s to process, false when another was first.
    pub async fn mark_processed(&self, post: &PostId, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.mark("mark a post", self.processed_key(post), owner, ttl).await
    }

    /// Whether a post is marked as processed, by whomever.
    pub async fn is_processed(&self, post: &PostId) -> Result<bool, StoreError> {
        Ok(self.redis.cmd("look for a mark", redis::cmd("EXISTS").arg(self.processed_key(post))).await?)
    }

    /// Takes `owner`'s mark from a post. True when it was there.
    pub async fn forget_processed(&self, post: &PostId, owner: &str) -> Result<bool, StoreError> {
        self.unmark("unmark a post", self.processed_key(post), owner).await
    }

    /// Remembers a pick as first seen by `owner`. True when it is `owner`'s, false when another saw it before.
    pub async fn remember_pick(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.mark("remember a pick", self.pick_key(key), owner, ttl).await
    }

    /// Forgets a pick that `owner` remembered. True when it was there.
    pub async fn forget_pick(&self, key: &str, owner: &str) -> Result<bool, StoreError> {
        self.unmark("forget a pick", self.pick_key(key), owner).await
    }

    /// The id of the last post read of a watched account.
    pub async fn since_id(&self, username: &str) -> Result<Option<PostId>, StoreError> {
        let text: Option<String> =
            self.redis.cmd("read a since_id", redis::cmd("GET").arg(self.since_key(username))).await?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Moves the id of the last post read of a watched account forward, never back. Answers the one that holds now.
    pub async fn set_since_id(&self, username: &str, id: &PostId) -> Result<PostId, StoreError> {
        let digits = id.as_str().trim_start_matches('0');
        let mut call = SINCE.prepare_invoke();
        call.key(self.since_key(username)).arg(if digits.is_empty() { "0" } else { digits });
        let held: String =
            self.redis.call("set a since_id", |mut conn| async move { call.invoke_async(&mut conn).await }).await?;
        Ok(held.parse().unwrap_or_else(|_| id.clone()))
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

    fn pick_key(&self, key: &str) -> String {
        format!("{}pick:{key}", self.prefix)
    }

    fn since_key(&self, username: &str) -> String {
        format!("{}since_id:{}", self.prefix, username.to_lowercase())
    }
}
