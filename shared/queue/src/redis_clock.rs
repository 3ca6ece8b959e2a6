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

/// The clock of Redis as this process last read it: what it showed, in milliseconds since 1970, and when.
#[derive(Debug, Default)]
pub(crate) struct RedisClock {
    reading: RwLock<Option<(Instant, i64)>>,
    /// Somebody reads it at this moment.
    is_read: AtomicBool,
}

impl RedisClock {
    const GOOD_FOR: Duration = Duration::from_secs(60);

    fn reading(&self) -> Option<(Instant, i64)> {
        *self.reading.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to read it again; true for one caller, who then does.
    pub fn is_due(&self) -> bool {
        let due = self.reading().is_some_and(|(at, _)| at.elapsed() > Self::GOOD_FOR);
        due && !self.is_read.swap(true, Ordering::Relaxed)
    }

    pub fn set(&self, at: Instant, ms: i64) {
        *self.reading.write().unwrap_or_else(PoisonError::into_inner) = Some((at, ms));
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
