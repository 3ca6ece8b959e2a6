//! The cost of running jobs to their end.
//!
//! How many jobs share a fetch or an acknowledgement depends a little on whether the worker or Redis is faster, and the first
//! heartbeat may find leases or none. So the measured figure is the highest of many runs, half of them on a machine that was kept
//! busy, and the bound of the round trips is wide: a round trip or a command for each job would add 1.

use std::time::Duration;

use chrono::Utc;
use perch_base::{Clock, settings::History};
use perch_queue::worker::{HandlerResult, Handlers};

use crate::{
    ground::{Ending, Ground, Load},
    support::eventually,
    tally::{
        Bound,
        Count::{Commands, Trips},
    },
};

#[tokio::test]
async fn jobs_that_are_drained_share_their_round_trips_and_most_commands() {
    const JOBS: usize = 10_000;
    let ground = Ground::start(History::Failures).await;
    ground.fill(JOBS).await;
    ground.cost_of_drain("a job drained with a history of failures", JOBS).await.within(&[
        Bound { of: Trips, measured: 0.0161, most: 0.025 },
        Bound { of: Commands, measured: 0.2, most: 0.45 },
    ]);
}

#[tokio::test]
async fn jobs_that_are_drained_with_a_full_history_share_their_round_trips_and_most_commands() {
    const JOBS: usize = 10_000;
    let ground = Ground::start(History::Full).await;
    ground.fill(JOBS).await;
    ground.cost_of_drain("a job drained with a full history", JOBS).await.within(&[
        Bound { of: Trips, measured: 0.0158, most: 0.025 },
        Bound { of: Commands, measured: 0.25, most: 0.5 },
    ]);
}

#[tokio::test]
async fn jobs_that_fail_once_and_are_retried_share_their_round_trips() {
    const JOBS: usize = 4_000;
    const DELAY: Duration = Duration::from_secs(60);
    let ground = Ground::of_clock(Clock::manual(Utc::now())).await;
    ground.fill(JOBS).await;
    let before = ground.tally().await;
    ground.work(JOBS, Ending::RetryIn(DELAY)).await;
    ground.clock.advance(DELAY);
    ground.work(JOBS, Ending::Success).await;
    ground.tally().await.since(&before, "a job that fails once and is retried", JOBS).within(&[
        Bound { of: Trips, measured: 0.0315, most: 0.05 },
        Bound { of: Commands, measured: 10.6, most: 11.2 },
    ]);
}

#[tokio::test]
async fn an_idle_worker_costs_two_round_trips_for_each_blocking_read() {
    const READS: u64 = 8;
    let ground = Ground::idling(Duration::from_millis(100)).await;
    let worker = ground.start_worker(Handlers::new().on(|_: Load| async { HandlerResult::Ok(()) }));
    let reads = async || ground.tally().await.calls("blpop");
    eventually("it is idle", || async { reads().await >= 2 }).await;
    let before = ground.tally().await;
    eventually("it has read a few times", || async { reads().await >= before.calls("blpop") + READS }).await;
    let after = ground.tally().await;
    let read = usize::try_from(after.calls("blpop") - before.calls("blpop")).expect("a few");
    // At most one more fetch than reads: one of nine.
    after
        .since(&before, "a blocking read of an idle worker", read)
        .within(&[Bound { of: Trips, measured: 2.0, most: 2.3 }, Bound { of: Commands, measured: 6.0, most: 7.8 }]);
    worker.stop().await;
}
