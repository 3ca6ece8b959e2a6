use perch_jobs::SyncHotState;
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::SyncReport;
use serde::Serialize;

use crate::Services;

/// What one sync moved into Postgres.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Synced {
    /// Job events.
    pub events: u64,
    /// Records of bots.
    pub records: u64,
    /// Events and records that cannot be stored; they are in the table `sync_rejects`.
    pub rejected: u64,
    /// The age of the oldest thing that was found waiting, in milliseconds.
    pub lag_ms: u64,
}

impl Synced {
    fn add(&mut self, report: &SyncReport) {
        self.events += report.events;
        self.records += report.hot;
        self.rejected += report.streams.iter().map(|stream| stream.rejected).sum::<u64>();
        self.lag_ms = self.lag_ms.max(u64::try_from(report.lag.as_millis()).unwrap_or(u64::MAX));
    }
}

/// Moves hot state and job events into Postgres until it has caught up.
pub async fn sync_hot_state(_: SyncHotState, cx: JobContext, services: Data<Services>) -> HandlerResult<Synced> {
    let mut synced = Synced::default();
    loop {
        let report = services.syncer.run_once().await?;
        synced.add(&report);
        if report.complete {
            return Ok(synced);
        }
        if cx.cancellation().is_cancelled() {
            return Err(Fail::Cancelled("told to stop before the sync had caught up".into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use perch_store::StreamReport;

    use super::*;

    #[test]
    fn the_runs_of_one_sync_add_up_and_the_longest_lag_counts() {
        let stream = |rejected| StreamReport { rejected, ..StreamReport::default() };
        let report = |events, hot, lag, rejected| SyncReport {
            events,
            hot,
            lag: Duration::from_millis(lag),
            streams: vec![stream(rejected), stream(0)],
            complete: false,
        };
        let mut synced = Synced::default();
        synced.add(&report(10, 2, 900, 1));
        synced.add(&report(5, 0, 20, 0));
        assert_eq!(synced, Synced { events: 15, records: 2, rejected: 1, lag_ms: 900 });
    }
}
