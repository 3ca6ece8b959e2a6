use std::{sync::LazyLock, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::Environment;
use perch_queue::Redis;
use redis::Script;

use crate::StoreError;

/// The last known state of one rate limit of an outside service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateWindow {
    /// Requests allowed in the window.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// When the window ends, by the clock of this process.
    pub reset: DateTime<Utc>,
}

/// A window and its key, for example `x:posts_create:main`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedWindow {
    /// The key under which the clients ask for it.
    pub key: String,
    /// The window.
    pub window: RateWindow,
}

/// How far apart two answers may state the end of the same window: services state it in whole seconds, by their own clock.
const APART: TimeDelta = TimeDelta::seconds(5);
/// Windows listed at most.
const LISTED: usize = 1_000;
/// How long the list of names is kept after the last recorded window: longer than any window lasts.
const NAMED: Duration = Duration::from_secs(2 * 86_400);

/// The rate limits of outside services, shared by all processes through Redis. A read takes one round trip, a write two.
#[derive(Debug, Clone)]
pub struct RateWindows {
    redis: Redis,
    prefix: &'static str,
}

static WINDOW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/window.lua")));

impl RateWindows {
    /// The windows of `env`.
    pub fn new(redis: Redis, env: Environment) -> Self {
        Self { redis, prefix: env.prefix() }
    }

    /// The window of `key`, for example `x:main:POST /2/tweets`; `None` when nothing is known or it has ended.
    pub async fn get(&self, key: &str) -> Result<Option<RateWindow>, StoreError> {
        let mut read = redis::pipe();
        read.cmd("GET").arg(self.key(key)).cmd("PTTL").arg(self.key(key));
        let (text, left): (Option<String>, i64) =
            self.redis.call("read a rate limit", |mut conn| async move { read.query_async(&mut conn).await }).await?;
        Ok(text.as_deref().and_then(|text| read_window(text, left)))
    }

    /// Records the window stated by an answer, until it ends. A window that has ended already is ignored.
    pub async fn set(&self, key: &str, window: RateWindow) -> Result<(), StoreError> {
        let left = (window.reset - Utc::now()).num_milliseconds();
        if left <= 0 {
            return Ok(());
        }
        let mut call = WINDOW.prepare_invoke();
        call.key(self.key(key)).arg(window.limit).arg(window.remaining).arg(left).arg(APART.num_milliseconds());
        self.redis
            .call::<(), _, _>("note a rate limit", |mut conn| async move { call.invoke_async(&mut conn).await })
            .await?;
        self.name(key, window.reset).await
    }

    /// The windows that have not ended, by key; at most 1,000. They are found through the list of their names, so that no keyspace is
    /// scanned, on however many nodes Redis runs.
    pub async fn all(&self) -> Result<Vec<NamedWindow>, StoreError> {
        let names = self.names();
        let mut list = redis::pipe();
        list.cmd("ZREMRANGEBYSCORE").arg(&names).arg("-inf").arg(Utc::now().timestamp_millis()).ignore();
        list.cmd("ZRANGE").arg(&names).arg(0).arg(LISTED - 1);
        let (mut keys,): (Vec<String>,) =
            self.redis.call("list rate limits", |mut conn| async move { list.query_async(&mut conn).await }).await?;
        keys.sort_unstable();
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(window) = self.get(&key).await? {
                all.push(NamedWindow { key, window });
            }
        }
        Ok(all)
    }

    /// Keeps the key of a window in the list until the window ends.
    async fn name(&self, key: &str, reset: DateTime<Utc>) -> Result<(), StoreError> {
        let names = self.names();
        let mut keep = redis::pipe();
        keep.cmd("ZADD").arg(&names).arg(reset.timestamp_millis()).arg(key).ignore();
        keep.cmd("PEXPIRE").arg(&names).arg(u64::try_from(NAMED.as_millis()).unwrap_or(u64::MAX)).ignore();
        self.redis
            .call::<(), _, _>("name a rate limit", |mut conn| async move { keep.query_async(&mut conn).await })
            .await?;
        Ok(())
    }

    fn names(&self) -> String {
        format!("{}ratelimits", self.prefix)
    }

    fn key(&self, key: &str) -> String {
        format!("{}ratelimit:{key}", self.prefix)
    }
}

/// Redis gives the end as a remaining time by its own clock, so that the clocks of processes may differ.
fn read_window(text: &str, left: i64) -> Option<RateWindow> {
    let mut parts = text.split(' ');
    let (limit, remaining) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let left = TimeDelta::try_milliseconds(left).filter(|left| *left > TimeDelta::zero())?;
    Some(RateWindow { limit, remaining, reset: Utc::now().checked_add_signed(left)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_has_ended_says_nothing() {
        assert!(read_window("100 7", 60_000).is_some_and(|window| window.remaining == 7));
        assert_eq!(read_window("100 7", -2), None);
        assert_eq!(read_window("100 7", 0), None);
        assert_eq!(read_window("nonsense", 60_000), None);
        assert_eq!(read_window("100 7", i64::MAX), None);
    }
}
