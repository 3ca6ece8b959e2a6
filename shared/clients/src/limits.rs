use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;

/// The known rate limits of a service, shared by all its callers.
///
/// A client checks before each call and records after each answer. A key names one window of one service, for example
/// `x:posts_create:main`.
///
/// An implementation that cannot reach its storage returns `None` and drops the record: the service itself still refuses excess
/// calls.
pub trait RateLimits: Send + Sync {
    /// How long to wait, when the window of `key` is known to be used up.
    fn check<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Duration>>;

    /// Records what an answer stated: `limit` calls in the window, `remaining` of them left until `reset`.
    fn record<'a>(&'a self, key: &'a str, limit: u32, remaining: u32, reset: DateTime<Utc>) -> BoxFuture<'a, ()>;
}

/// How far apart two answers may state the end of the same window, because it is given in whole seconds.
const APART: TimeDelta = TimeDelta::seconds(5);

/// Rate limits known only to this process.
#[derive(Debug, Default)]
pub struct LocalLimits {
    windows: Mutex<HashMap<String, Window>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    remaining: u32,
    reset: DateTime<Utc>,
}

impl Window {
    /// Answers of concurrent calls arrive in any order: within one window the lowest count is the newest, and each answer states the
    /// end slightly differently. Of two windows the later one counts, unless only the earlier one is used up.
    fn merge(self, other: Self) -> Self {
        let later = other.reset - self.reset;
        if later.abs() <= APART {
            Self { remaining: self.remaining.min(other.remaining), reset: self.reset.max(other.reset) }
        } else if later < TimeDelta::zero() && (other.remaining > 0 || self.remaining == 0) {
            self
        } else {
            other
        }
    }

    fn wait(self, now: DateTime<Utc>) -> Option<Duration> {
        (self.remaining == 0).then(|| (self.reset - now).to_std().ok()).flatten().filter(|wait| !wait.is_zero())
    }
}

impl LocalLimits {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn check_at(&self, key: &str, now: DateTime<Utc>) -> Option<Duration> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.wait(now)
    }

    fn record_at(&self, key: &str, window: Window, now: DateTime<Utc>) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|_, known| known.reset > now);
        let merged = windows.get(key).map_or(window, |known| known.merge(window));
        windows.insert(key.to_owned(), merged);
    }
}

impl RateLimits for LocalLimits {
    fn check<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Duration>> {
        Box::pin(std::future::ready(self.check_at(key, Utc::now())))
    }

    fn record<'a>(&'a self, key: &'a str, _: u32, remaining: u32, reset: DateTime<Utc>) -> BoxFuture<'a, ()> {
        self.record_at(key, Window { remaining, reset }, Utc::now());
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time in range")
    }

    #[test]
    fn a_used_up_window_holds_calls_back_until_it_resets() {
        let limits = LocalLimits::new();
        limits.record_at("x:me:main", Window { remaining: 0, reset: at(900) }, at(0));
        assert_eq!(limits.check_at("x:me:main", at(100)), Some(Duration::from_secs(800)));
        assert_eq!(limits.check_at("x:me:main", at(900)), None);
        assert_eq!(limits.check_at("x:me:other", at(100)), None);
    }

    #[test]
    fn an_answer_that_arrives_late_does_not_bring_calls_back() {
        let limits = LocalLimits::new();
        limits.record_at("k", Window { remaining: 0, reset: at(900) }, at(0));
        limits.record_at("k", Window { remaining: 1, reset: at(900) }, at(1));
        assert!(limits.check_at("k", at(2)).is_some());
        limits.record_at("k", Window { remaining: 49, reset: at(1_800) }, at(3));
        assert_eq!(limits.check_at("k", at(4)), None);
    }

    #[test]
    fn a_day_that_is_used_up_is_not_forgotten_for_a_window_that_is() {
        let limits = LocalLimits::new();
        limits.record_at("k", Window { remaining: 0, reset: at(72_000) }, at(0));
        limits.record_at("k", Window { remaining: 0, reset: at(900) }, at(1));
        assert_eq!(limits.check_at("k", at(1_000)), Some(Duration::from_secs(71_000)));
    }

    #[test]
    fn a_window_whose_end_is_told_a_little_earlier_each_time_is_one() {
        let limits = LocalLimits::new();
        let ends = |millis| at(900) - TimeDelta::milliseconds(millis);
        limits.record_at("k", Window { remaining: 1, reset: ends(0) }, at(0));
        limits.record_at("k", Window { remaining: 0, reset: ends(800) }, at(1));
        limits.record_at("k", Window { remaining: 2, reset: ends(-300) }, at(2));
        assert_eq!(limits.check_at("k", at(3)), Some(Duration::from_millis(897_300)));
    }

    #[test]
    fn windows_that_are_over_are_forgotten() {
        let limits = LocalLimits::new();
        for n in 0..100 {
            limits.record_at(&format!("k{n}"), Window { remaining: 5, reset: at(n) }, at(0));
        }
        limits.record_at("last", Window { remaining: 5, reset: at(2_000) }, at(1_000));
        assert_eq!(limits.windows.lock().expect("not poisoned").len(), 1);
    }
}
