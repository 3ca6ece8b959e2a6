//! What it costs to accept a job, and to keep it. Nothing here depends on time, so the counts are the same in every run.

use perch_base::settings::History;

use crate::{
    ground::{Ground, Load},
    tally::{
        Bound,
        Count::{Allocations, Commands, Received, Sent, Trips},
    },
};

#[tokio::test]
async fn a_job_enqueued_by_itself_costs_one_round_trip() {
    const JOBS: usize = 2_000;
    let ground = Ground::start(History::Failures).await;
    let before = ground.tally().await;
    for _ in 0..JOBS {
        ground.client.enqueue(&Load::new()).await.expect("accepted");
    }
    ground.tally().await.since(&before, "a job enqueued by itself", JOBS).within(&[
        Bound { of: Trips, measured: 1.0, most: 1.0 },
        Bound { of: Commands, measured: 4.0005, most: 4.6 },
        Bound { of: Sent, measured: 605.0, most: 696.0 },
        Bound { of: Received, measured: 4.005, most: 4.6 },
        Bound { of: Allocations, measured: 24.02, most: 28.8 },
    ]);
}

#[tokio::test]
async fn jobs_enqueued_in_bulk_share_their_round_trips_and_commands() {
    let ground = Ground::start(History::Failures).await;
    ground.cost_of_bulk("a job of 10,000 enqueued in bulk", 10_000).await.within(&[
        Bound { of: Trips, measured: 0.004, most: 0.0046 },
        Bound { of: Commands, measured: 0.0167, most: 0.0192 },
        Bound { of: Sent, measured: 276.2, most: 317.0 },
        Bound { of: Received, measured: 0.016, most: 0.0184 },
        Bound { of: Allocations, measured: 4.161, most: 5.0 },
    ]);
}

#[tokio::test]
async fn jobs_enqueued_in_bulk_with_a_full_history_share_their_round_trips_and_commands() {
    let ground = Ground::start(History::Full).await;
    ground.cost_of_bulk("a job of 10,000 enqueued in bulk with a full history", 10_000).await.within(&[
        Bound { of: Trips, measured: 0.004, most: 0.0046 },
        Bound { of: Commands, measured: 0.0441, most: 0.0507 },
        Bound { of: Sent, measured: 284.6, most: 327.0 },
        Bound { of: Received, measured: 0.016, most: 0.0184 },
        Bound { of: Allocations, measured: 4.161, most: 5.0 },
    ]);
}

#[tokio::test]
async fn a_queued_job_of_200_bytes_takes_at_most_375_bytes_in_redis() {
    const JOBS: u64 = 20_000;
    /// Measured: 360.
    const MOST: u64 = 375;
    let ground = Ground::start(History::Failures).await;
    for _ in 0..2 {
        ground.fill(10_000).await;
    }
    let mut all = redis::cmd("KEYS");
    all.arg(format!("{}*", ground.queue.keys().base()));
    let keys: Vec<String> = all.query_async(&mut ground.conn.clone()).await.expect("KEYS works");
    let mut bytes = 0;
    for key in keys {
        // Zero samples are all of them.
        let mut usage = redis::cmd("MEMORY");
        usage.arg("USAGE").arg(key).arg("SAMPLES").arg(0);
        bytes += usage.query_async::<u64>(&mut ground.conn.clone()).await.expect("MEMORY USAGE works");
    }
    let each = bytes / JOBS;
    println!("a queued job | {each} bytes in Redis");
    assert!(
        each <= MOST,
        "a queued job of 200 bytes takes more room than it may: {each} bytes in Redis, at most {MOST} (360 when the bound \
         was set). docs/performance.md tells what is stored of a job"
    );
}
