//! A worker is killed while it runs a job: how long until the job runs again, with the lease as it is shipped.

use std::time::{Duration, Instant};

use super::Bench;
use crate::{
    error::Outcome,
    jobs::{Pool, job},
    part::{HandlerBehaviour, Part, Role},
    report::{Bound, Field, Report, Unit},
    servers::RedisServer,
};

const AGAIN: &str = "from kill -9 to running again";

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let pool = Pool::default();
    for _ in bench.rounds() {
        let redis = RedisServer::start().await?;
        let role = Role::Worker { redis: redis.url(), pool, work: HandlerBehaviour::Hold };
        let mut doomed = Part::begun(&role).await?;
        pool.client(&redis.url())?.submit(job(0)?).await?;
        doomed.line().await?;
        let mut other = Part::begun(&role).await?;
        // Somewhere between two heartbeats.
        tokio::time::sleep(Duration::from_millis(rand::random_range(2_000..5_000))).await;
        let began = Instant::now();
        doomed.kill().await?;
        other.line().await?;
        report.add(AGAIN, Unit::Seconds, began.elapsed().as_secs_f64());
    }
    report.goal("seconds until it runs again", AGAIN, Field::Value, Bound::AtMost(15.0));
    Ok(())
}
