use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use perch_base::Environment;
use perch_queue::Redis;
use redis::Script;

use crate::StoreError;

/// What an outside service last said about one of its rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateWindow {
    /// Requests allowed in the window.
    pub limit: u64,
    /// Requests left.
    pub remaining: u64,
    /// When the window ends. Kept to the millisecond.
    pub reset: DateTime<Utc>,
}

/// The rate limits of outside services, shared by all processes through Redis. Each call is one round trip.
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
        let text: Option<String> = self.redis.cmd("read a rate limit", redis::cmd("GET").arg(self.key(key))).await?;
        Ok(text.as_deref().and_then(read_window))
    }

    /// Notes what an answer said. It is forgotten when the window ends; one that has ended already is left out.
    pub async fn set(&self, key: &str, window: RateWindow) -> Result<(), StoreError> {
        let left = (window.reset - Utc::now()).num_milliseconds();
        if left <= 0 {
            return Ok(());
        }
        let mut call = WINDOW.prepare_invoke();
        call.key(self.key(key)).arg(window.limit).arg(window.remaining).arg(window.reset.timestamp_millis()).arg(left);
        self.redis
            .call::<(), _, _>("note a rate limit", |mut conn| async move { call.invoke_async(&mut conn).await })
            .await?;
        Ok(())
    }

    fn key(&self, key: &str) -> String {
        format!("{}ratelimit:{key}", self.prefix)
    }
}

fn read_window(text: &str) -> Option<RateWindow> {
    let mut parts = text.split(' ');
    let window = RateWindow {
        limit: parts.next()?.parse().ok()?,
        remaining: parts.next()?.parse().ok()?,
        reset: DateTime::from_timestamp_millis(parts.next()?.parse().ok()?)?,
    };
    (window.reset > Utc::now()).then_some(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_has_ended_says_nothing() {
        let at = |seconds: i64| (Utc::now().timestamp() + seconds) * 1000;
        assert!(read_window(&format!("100 7 {}", at(60))).is_some_and(|window| window.remaining == 7));
        assert_eq!(read_window(&format!("100 7 {}", at(-60))), None);
        assert_eq!(read_window("nonsense"), None);
    }
}
