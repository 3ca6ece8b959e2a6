//! The current time: that of the system, or one that a test sets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};

/// The time of the system, truncated to milliseconds as in Redis, so that a time equals itself after a round trip through Redis.
pub fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now)
}

/// A clock that a test can stop. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct Clock(TimeSource);

#[derive(Debug, Clone, Default)]
enum TimeSource {
    #[default]
    System,
    /// Milliseconds since 1970.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The clock of the system.
    pub const fn system() -> Self {
        Self(TimeSource::System)
    }

    /// A clock that stands at `start`, truncated to milliseconds, until it is advanced.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(TimeSource::Fixed(Arc::new(AtomicI64::new(start.timestamp_millis()))))
    }

    /// True for the clock of the system.
    pub const fn is_system(&self) -> bool {
        matches!(self.0, TimeSource::System)
    }

    /// The time, to the millisecond.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            TimeSource::System => now(),
            TimeSource::Fixed(millis) => {
                DateTime::from_timestamp_millis(millis.load(Ordering::SeqCst)).unwrap_or(DateTime::<Utc>::MAX_UTC)
            }
        }
    }

    /// Moves a manual clock forward, in whole milliseconds, for all its copies. Does nothing to the clock of the system.
    pub fn advance(&self, by: Duration) {
        if let TimeSource::Fixed(millis) = &self.0 {
            millis.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_still_until_it_is_advanced_for_all_its_copies() {
        let start = DateTime::from_timestamp_millis(1_700_000_000_123).expect("a valid time");
        let clock = Clock::manual(start);
        let copy = clock.clone();
        assert_eq!(copy.now(), start);
        clock.advance(Duration::from_millis(1_500));
        assert_eq!(copy.now(), start + chrono::TimeDelta::milliseconds(1_500));
    }

    #[test]
    fn the_system_clock_has_no_more_than_milliseconds() {
        assert_eq!(Clock::system().now().timestamp_subsec_nanos() % 1_000_000, 0);
    }
}
