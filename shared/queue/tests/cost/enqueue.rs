//! The cost of accepting and storing a job. Nothing here depends on time, so the counts are the same in every run.

use perch_base::settings::History;

use crate::{
    ground::{Ground, Load},
    tally::{
        Bound,
        Count::{Commands, Trips},
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
    ground
        .tally()
        .await
        .since(&before, "a job enqueued by itself", JOBS)
        .within(&[Bound { of: Trips, measured: 1.0, most: 1.0 }, Bound { of: Commands, measured: 4.0005, most: 4.6 }]);
}

#[tokio::test]
async fn jobs_enqueued_in_bulk_share_their_round_trips_and_commands() {
    let ground = Ground::start(History::Failures).await;
    ground.cost_of_bulk("a job of 10,000 enqueued in bulk", 10_000).await.within(&[
        Bound { of: Trips, measured: 0.004, most: 0.0046 },
        Bound { of: Commands, measured: 0.0167, most: 0.0192 },
    ]);
}

#[tokio::test]
async fn jobs_enqueued_in_bulk_with_a_full_history_share_their_round_trips_and_commands() {
    let ground = Ground::start(History::Full).await;
    ground.cost_of_bulk("a job of 10,000 enqueued in bulk with a full history", 10_000).await.within(&[
        Bound { of: Trips, measured: 0.004, most: 0.0046 },
        Bound { of: Commands, measured: 0.0441, most: 0.0507 },
    ]);
}
