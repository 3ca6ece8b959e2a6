//! Sizes that the cost of a job must not grow with.

use chrono::{TimeDelta, Utc};
use perch_base::settings::History;
use perch_queue::{
    EnqueueOptions, Envelope,
    testing::{self, AttemptEnd},
};

use crate::{
    ground::{Ending, Ground, jobs_with},
    tally::{
        Bound, Cost,
        Count::{Commands, Trips},
    },
};

/// The cost of fetching 200 jobs, for each fetch, and of acknowledging each by itself.
async fn cost_of_steps(ground: &Ground, queued: &str) -> (Cost, Cost) {
    const JOBS: usize = 200;
    let before = ground.tally().await;
    let fetched = testing::fetch(&ground.queue, "steps", JOBS, 100).await.expect("Redis answers");
    let between = ground.tally().await;
    assert_eq!(fetched.jobs.len(), JOBS);
    for (lease, envelope) in &fetched.jobs {
        let envelope = Envelope::decode(envelope).expect("readable");
        assert!(testing::finish(&ground.queue, lease, &envelope, AttemptEnd::Succeeded).await.expect("Redis answers"));
    }
    let after = ground.tally().await;
    let fetch = between.since(&before, &format!("a fetch of 200 jobs with {queued} queued"), 1);
    let finish = after.since(&between, &format!("an acknowledgement of one job with {queued} queued"), JOBS);
    (fetch, finish)
}

#[tokio::test]
async fn a_job_costs_the_same_whether_1_000_or_50_000_are_queued() {
    let ground = Ground::start(History::Failures).await;
    ground.fill(1_000).await;
    let bulk = ground.cost_of_bulk("a job enqueued in bulk with 1,000 queued", 1_000).await;
    let (fetch, finish) = cost_of_steps(&ground, "1,000").await;
    fetch.within(&[Bound { of: Trips, measured: 1.0, most: 1.0 }, Bound { of: Commands, measured: 18.0, most: 20.7 }]);
    finish.within(&[Bound { of: Trips, measured: 1.0, most: 1.0 }, Bound { of: Commands, measured: 8.0, most: 8.9 }]);
    for _ in 0..5 {
        ground.fill(10_000).await;
    }
    let (later_fetch, later_finish) = cost_of_steps(&ground, "50,000").await;
    later_fetch.no_more_than(&fetch, 1.2, &[Commands]);
    later_fetch.no_more_than(&fetch, 1.01, &[Trips]);
    later_finish.no_more_than(&finish, 1.5, &[Commands]);
    later_finish.no_more_than(&finish, 1.01, &[Trips]);
    let later_bulk = ground.cost_of_bulk("a job enqueued in bulk with 50,000 queued", 1_000).await;
    later_bulk.no_more_than(&bulk, 2.0, &[Commands]);
    later_bulk.no_more_than(&bulk, 1.01, &[Trips]);
}

#[tokio::test]
async fn a_job_costs_the_same_with_others_delayed_and_dead_beside_it() {
    const JOBS: usize = 5_000;
    const DEAD: usize = 5_000;
    const DELAYED: usize = 10_000;
    let ground = Ground::start(History::Failures).await;
    let bulk = ground.cost_of_bulk("a job enqueued in bulk with none beside it", JOBS).await;
    let drain = ground.cost_of_drain("a job drained with none beside it", JOBS).await;
    ground.fill(DEAD).await;
    ground.work(DEAD, Ending::Dead).await;
    let run_at = Some(Utc::now() + TimeDelta::days(1));
    ground.enqueue(jobs_with(DELAYED, &EnqueueOptions { run_at, ..EnqueueOptions::default() })).await;
    let stats = ground.queue.stats().await.expect("Redis answers");
    assert_eq!((stats.dead, stats.delayed), (DEAD as u64, DELAYED as u64));

    let beside = "with 10,000 delayed and 5,000 dead beside it";
    let later = ground.cost_of_bulk(&format!("a job enqueued in bulk {beside}"), JOBS).await;
    later.no_more_than(&bulk, 2.0, &[Commands]);
    later.no_more_than(&bulk, 1.01, &[Trips]);
    let later = ground.cost_of_drain(&format!("a job drained {beside}"), JOBS).await;
    // How many jobs share a call is not the same in every run. A command for each job would make it seven times as many.
    later.no_more_than(&drain, 4.0, &[Commands]);
    later.no_more_than(&drain, 1.5, &[Trips]);
}
