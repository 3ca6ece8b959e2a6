//! The rate limits of outside services, shared by all processes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use perch_clients::RateLimits;
use perch_store::{RateWindow, RateWindows};

/// The rate limits of outside services, shared by all processes through Redis.
///
/// While Redis is away no call is held back: the service itself refuses calls beyond its limit.
#[derive(Debug, Clone)]
pub(crate) struct SharedLimits(RateWindows);

impl SharedLimits {
    pub(crate) fn new(windows: RateWindows) -> Self {
        Self(windows)
    }
}

impl RateLimits for SharedLimits {
    fn check<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<Duration>> {
        Box::pin(async move {
            match self.0.get(key).await {
                Ok(window) => window.and_then(|window| wait(window, Utc::now())),
                Err(error) => {
                    tracing::debug!(key, %error, "the shared rate limit is not known");
                    None
                }
            }
        })
    }

    fn record<'a>(&'a self, key: &'a str, limit: u32, remaining: u32, reset: DateTime<Utc>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let window = RateWindow { limit: limit.into(), remaining: remaining.into(), reset };
            if let Err(error) = self.0.set(key, window).await {
                tracing::debug!(key, %error, "the rate limit was not shared");
            }
        })
    }
}

/// How long a used-up window holds calls back.
fn wait(window: RateWindow, now: DateTime<Utc>) -> Option<Duration> {
    if window.remaining > 0 {
        return None;
    }
    (window.reset - now).to_std().ok().filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_used_up_window_holds_calls_back_and_only_until_it_ends() {
        let now = Utc::now();
        let window =
            |remaining, seconds| RateWindow { limit: 10, remaining, reset: now + Duration::from_secs(seconds) };
        assert_eq!(wait(window(0, 9), now), Some(Duration::from_secs(9)));
        assert_eq!(wait(window(1, 9), now), None);
        assert_eq!(wait(window(0, 0), now), None);
    }
}
