//! The clock of Redis, by which all processes compare times.

use std::{
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use perch_base::Clock;

/// The last reading of the clock of Redis: its time in milliseconds since 1970, and the local time of the reading.
#[derive(Debug, Default)]
pub(crate) struct RedisClock {
    reading: RwLock<Option<(Instant, i64)>>,
    /// A reading is under way.
    is_read: AtomicBool,
}

impl RedisClock {
    const GOOD_FOR: Duration = Duration::from_secs(60);

    fn reading(&self) -> Option<(Instant, i64)> {
        *self.reading.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the clock must be read again. True for one caller only, who then reads it.
    pub fn is_due(&self) -> bool {
        let due = self.reading().is_some_and(|(at, _)| at.elapsed() > Self::GOOD_FOR);
        due && !self.is_read.swap(true, Ordering::Relaxed)
    }

    /// Stores a reading. A late reply, perhaps from a server no longer in use, does not replace a newer one.
    pub fn set(&self, at: Instant, ms: i64) {
        let mut reading = self.reading.write().unwrap_or_else(PoisonError::into_inner);
        if reading.is_none_or(|(held, _)| held <= at) {
            *reading = Some((at, ms));
        }
    }

    /// Ends the reading, with or without a reply, so that another may begin.
    pub fn was_read(&self) {
        self.is_read.store(false, Ordering::Relaxed);
    }

    pub fn now(&self) -> DateTime<Utc> {
        let shown = self.reading().and_then(|(at, ms)| {
            let since = i64::try_from(at.elapsed().as_millis()).ok()?;
            DateTime::from_timestamp_millis(ms.checked_add(since)?)
        });
        shown.unwrap_or_else(|| Clock::system().now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_comes_late_does_not_replace_a_newer_one() {
        let (clock, first) = (RedisClock::default(), Instant::now());
        clock.set(first + Duration::from_secs(1), 5_000_000);
        clock.set(first, 1_000);
        assert!(clock.now().timestamp_millis() >= 5_000_000 - 1_000);
    }

    #[test]
    fn a_clock_that_could_not_be_read_is_due_again() {
        let clock = RedisClock::default();
        let Some(long_ago) = Instant::now().checked_sub(2 * RedisClock::GOOD_FOR) else { return };
        clock.set(long_ago, 1_000);
        assert!(clock.is_due());
        assert!(!clock.is_due(), "somebody reads it");
        clock.was_read();
        assert!(clock.is_due());
    }
}
