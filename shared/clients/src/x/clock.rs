//! The clock of X, by which requests are signed: it refuses those whose time is some minutes off.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;

use crate::headers::service_time;

/// The clock of X, as its answers tell it. A clone shows the same.
#[derive(Debug, Clone, Default)]
pub(super) struct XClock {
    /// How far the clock of this machine is ahead, in seconds; 0 while it is about right.
    ahead: Arc<AtomicI64>,
}

/// What a clock may be off without anybody minding: X allows five minutes.
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

/// How far a time is ahead of what X tells in its answer, where that is more than a minute.
pub(super) fn off_by(time: DateTime<Utc>, headers: &HeaderMap) -> Option<TimeDelta> {
    let off = time - service_time(headers, time);
    (off.abs() > TOLERANCE).then_some(off)
}
