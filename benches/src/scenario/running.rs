//! Jobs that take their time: what a thousand of them at once need, and how near 500 at once come to the ideal.

use std::time::Duration;

use super::Bench;
use crate::{
    drained::drained,
    error::{Outcome, until},
    jobs::{Pool, fill, first},
    part::{HandlerBehaviour, Part, Role},
    report::{Bound, Cost, Field, Report, Unit},
    servers::RedisServer,
};

const RESIDENT: &str = "resident memory with 1,000 running jobs";
const WAITING: &str = "jobs of 50 ms, 500 at once";
/// 500 jobs every 50 ms.
const IDEAL: f64 = 10_000.0;

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let jobs = bench.size(40_000, 2_000);
    let redis = RedisServer::start().await?;
    for _ in bench.rounds() {
        redis.wipe().await?;
        thousand(&redis, report).await?;
        redis.wipe().await?;
        let pool = Pool { concurrency: 500, prefetch: 100, ..Pool::default() };
        fill(&pool.client(&redis.url())?, &pool, jobs).await?;
        let drained = drained(&redis, &pool, HandlerBehaviour::Wait(50), 1, jobs).await?;
        let cost = Cost { worker: drained.worker, redis: Some(drained.redis) };
        report.add_with(WAITING, Unit::PerSecond, drained.rate, cost);
    }
    report.goal("resident memory in MB", RESIDENT, Field::Value, Bound::AtMost(100.0));
    let share = report.median(WAITING, Field::Value) / IDEAL;
    report.goal_value("jobs of 50 ms, of the ideal 10,000/s", share, Bound::AtLeast(0.9));
    Ok(())
}

async fn thousand(redis: &RedisServer, report: &mut Report) -> Outcome {
    let pool = Pool { concurrency: 1_000, prefetch: 0, ..Pool::default() };
    let client = pool.client(&redis.url())?;
    fill(&client, &pool, 1_000).await?;
    let leases = first(&client)?.keys().leases();
    let worker = Part::begun(&Role::Worker { redis: redis.url(), pool, work: HandlerBehaviour::Wait(600_000) }).await?;
    until("a thousand running jobs", Duration::from_secs(30), Duration::from_millis(10), || async {
        let running: u64 = redis::cmd("ZCARD").arg(&leases).query_async(&mut redis.conn()).await?;
        Ok(running >= 1_000)
    })
    .await?;
    // One heartbeat is part of it.
    tokio::time::sleep(Duration::from_secs(4)).await;
    if let Some(resident) = worker.resident() {
        report.add(RESIDENT, Unit::Megabytes, resident);
    }
    worker.kill().await
}
