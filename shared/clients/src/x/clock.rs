//! The clock of X, by which requests are signed: X refuses requests whose time is some minutes off.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;

use crate::headers::service_time;

/// The clock of X, estimated from its answers. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct XClock {
    /// How far the clock of this machine is ahead, in seconds; 0 while it is about right.
    ahead: Arc<AtomicI64>,
}

/// How far a clock may be off without correction: X allows five minutes.
const TOLERANCE: TimeDelta = TimeDelta::seconds(60);

impl XClock {
    pub(super) fn now(&self) -> DateTime<Utc> {
        Utc::now() - TimeDelta::seconds(self.ahead.load(Ordering::Relaxed))
    }

    pub(super) fn learn(&self, headers: &HeaderMap) {
        let ahead = off_by(Utc::now(), headers).unwrap_or_default();
        if self.ahead.swap(ahead.num_seconds(), Ordering::Relaxed) == 0 && !ahead.is_zero() {
            tracing::error!(
                ahead_seconds = ahead.num_seconds(),
                "the clock of this machine differs from that of X; requests are signed by the clock of X"
            );
        }
    }
}

/// How far `time` is ahead of the date in an answer of X, if they differ by more than a minute.
pub(super) fn off_by(time: DateTime<Utc>, headers: &HeaderMap) -> Option<TimeDelta> {
    let off = time - service_time(headers, time);
    (off.abs() > TOLERANCE).then_some(off)
}
