use std::time::{Duration, Instant};

use perch_jobs::SyncHotState;
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_store::{SyncReport, Syncer};
use serde::Serialize;

/// What one sync job moved into Postgres.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Synced {
    /// Job events.
    pub events: u64,
    /// Records of bots.
    pub records: u64,
    /// Events and records that cannot be stored; they are in the table `sync_rejects`.
    pub rejected: u64,
    /// The age of the oldest event or record that was waiting, in milliseconds.
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

/// The longest that one job runs while there is much to move; then it enqueues another. A worker that shuts down waits for its jobs, and
/// should not wait long for this one.
const TERM: Duration = Duration::from_secs(10);
/// The pause between two rounds of one job.
const PAUSE: Duration = Duration::from_millis(500);
/// A job goes on after a round that moved this many events and records. With fewer, the next tick of cron is soon enough, and an idle
/// system is not polled all the time.
const MUCH: u64 = 100;

#[derive(Debug, PartialEq, Eq)]
enum NextStep {
    Look(Duration),
    HandOver,
    End,
}

fn next(report: &SyncReport, elapsed: Duration) -> NextStep {
    if report.complete && report.events + report.hot < MUCH {
        NextStep::End
    } else if elapsed >= TERM {
        NextStep::HandOver
    } else {
        NextStep::Look(if report.complete { PAUSE } else { Duration::ZERO })
    }
}

/// Moves hot state and job events into Postgres until it has caught up, and goes on while many come in.
pub async fn sync_hot_state(_: SyncHotState, cx: JobContext, mover: Data<Syncer>) -> HandlerResult<Synced> {
    let began = Instant::now();
    let mut synced = Synced::default();
    loop {
        let report = mover.run_once().await?;
        synced.add(&report);
        let pause = match next(&report, began.elapsed()) {
            NextStep::Look(pause) => pause,
            NextStep::HandOver => {
                cx.enqueue(&SyncHotState {}).await?;
                return Ok(synced);
            }
            NextStep::End => return Ok(synced),
        };
        if cx.cancellation().run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return Err(Fail::Cancelled("told to stop before the sync had caught up".into()));
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_sync_goes_on_while_there_is_much_to_move_and_hands_over_in_time() {
        let report = |events, complete| SyncReport { events, complete, ..SyncReport::default() };
        let (early, late) = (Duration::from_secs(1), TERM);
        assert_eq!(next(&report(MUCH - 1, true), early), NextStep::End);
        assert_eq!(next(&report(MUCH - 1, true), late), NextStep::End);
        assert_eq!(next(&report(MUCH, true), early), NextStep::Look(PAUSE));
        assert_eq!(next(&report(0, false), early), NextStep::Look(Duration::ZERO));
        assert_eq!(next(&report(MUCH, true), late), NextStep::HandOver);
        assert_eq!(next(&report(0, false), late), NextStep::HandOver);
    }
}
