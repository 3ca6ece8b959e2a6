use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When and how often a failed job is retried: exponential backoff with full jitter.
///
/// The delay before attempt `n + 1` is drawn evenly from `0..=min(cap, base * 2^(n-1))`
/// (AWS Architecture Blog, "Exponential Backoff And Jitter", the variant "full jitter").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. At least 1.
    pub max_attempts: u32,
    /// The upper limit of the first delay, in milliseconds.
    pub base_ms: u64,
    /// The upper limit of all delays, in milliseconds.
    pub cap_ms: u64,
}

/// An invalid retry policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRetryPolicy {
    /// `max_attempts` is outside its range.
    #[error("max_attempts is {0}; it must be between 1 and {max}", max = RetryPolicy::MOST_ATTEMPTS)]
    Attempts(u32),
    /// The cap is less than the base, or more than a day.
    #[error("the backoff cap of {cap_ms} ms must be at least the base of {base_ms} ms and at most a day")]
    Cap {
        /// The base given.
        base_ms: u64,
        /// The cap given.
        cap_ms: u64,
    },
}

impl RetryPolicy {
    /// The most attempts that a job may ask for.
    pub const MOST_ATTEMPTS: u32 = 100;
    /// 5 attempts, from 1 second up to 5 minutes.
    pub const DEFAULT: Self = Self { max_attempts: 5, base_ms: 1_000, cap_ms: 300_000 };

    /// A policy of `max_attempts` attempts whose delays grow from `base` to `cap`.
    pub const fn new(max_attempts: u32, base: Duration, cap: Duration) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "policies are written in seconds and minutes")]
        Self { max_attempts, base_ms: base.as_millis() as u64, cap_ms: cap.as_millis() as u64 }
    }

    /// Checks that the policy is valid.
    pub fn validate(self) -> Result<Self, InvalidRetryPolicy> {
        const DAY_MS: u64 = 86_400_000;
        if self.max_attempts == 0 || self.max_attempts > Self::MOST_ATTEMPTS {
            return Err(InvalidRetryPolicy::Attempts(self.max_attempts));
        }
        if self.cap_ms < self.base_ms || self.cap_ms > DAY_MS {
            return Err(InvalidRetryPolicy::Cap { base_ms: self.base_ms, cap_ms: self.cap_ms });
        }
        Ok(self)
    }

    /// The longest delay that may follow attempt `attempt` (counted from 1).
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(40);
        Duration::from_millis(self.base_ms.saturating_mul(1 << doublings).min(self.cap_ms))
    }

    /// The delay after attempt `attempt`, for a draw `unit` in `0.0..=1.0`.
    pub fn delay(&self, attempt: u32, unit: f64) -> Duration {
        self.ceiling(attempt).mul_f64(unit.clamp(0.0, 1.0))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_delay_never_exceeds_its_ceiling_nor_the_cap(attempt in 1u32..200, unit in 0.0f64..=1.0, base in 0u64..10_000, more in 0u64..1_000_000) {
            let policy = RetryPolicy { max_attempts: 5, base_ms: base, cap_ms: base + more };
            prop_assert!(policy.delay(attempt, unit) <= policy.ceiling(attempt));
            prop_assert!(policy.ceiling(attempt) <= Duration::from_millis(policy.cap_ms));
        }

        #[test]
        fn ceilings_never_shrink_from_one_attempt_to_the_next(attempt in 1u32..100) {
            prop_assert!(RetryPolicy::DEFAULT.ceiling(attempt) <= RetryPolicy::DEFAULT.ceiling(attempt + 1));
        }
    }

    #[test]
    fn a_policy_without_an_attempt_is_refused() {
        let policy = RetryPolicy { max_attempts: 0, ..RetryPolicy::DEFAULT };
        assert_eq!(policy.validate(), Err(InvalidRetryPolicy::Attempts(0)));
    }
}
