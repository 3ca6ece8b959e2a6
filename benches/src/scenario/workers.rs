//! Several worker processes on one queue, and six queues on a cluster.

use super::Bench;
use crate::{
    drained::{cpu_of, drained, finished, started},
    error::Outcome,
    jobs::{Pool, QUEUES, fill},
    numbers::float,
    part::HandlerBehaviour,
    report::{Bound, Cost, Field, Report, Unit},
    servers::{RedisCluster, RedisServer},
};

/// One, two and four worker processes.
pub async fn several(bench: &Bench, report: &mut Report) -> Outcome {
    let jobs = bench.size(100_000, 5_000);
    let redis = RedisServer::start().await?;
    let pool = Pool::default();
    for _ in bench.rounds() {
        for (workers, name) in [(1, "1 worker process"), (2, "2 worker processes"), (4, "4 worker processes")] {
            redis.wipe().await?;
            fill(&pool.client(&redis.url())?, &pool, jobs).await?;
            let drained = drained(&redis, &pool, HandlerBehaviour::Nothing, workers, jobs).await?;
            let cost = Cost { worker: drained.worker, redis: Some(drained.redis) };
            report.add_with(name, Unit::PerSecond, drained.rate, cost);
        }
    }
    report.remark("CPU is that of fetch and ack alone");
    report.goal_ratio("2 processes, of one", "2 worker processes", "1 worker process", Bound::AtLeast(0.9));
    report.goal_ratio("4 processes, of one", "4 worker processes", "1 worker process", Bound::AtLeast(0.9));
    Ok(())
}

const SINGLE: &str = "6 queues on one server";
const CLUSTER: &str = "6 queues on three masters";
const BUSIEST: &str = "  of that: the busiest master";

/// Six queues on one server, and on three masters.
pub async fn cluster(bench: &Bench, report: &mut Report) -> Outcome {
    let jobs = bench.size(60_000, 3_000);
    let single = RedisServer::start().await?;
    let cluster = RedisCluster::start().await?;
    let pool = Pool { queues: QUEUES.len(), ..Pool::default() };
    for _ in bench.rounds() {
        single.wipe().await?;
        fill(&pool.client(&single.url())?, &pool, jobs).await?;
        let drained = drained(&single, &pool, HandlerBehaviour::Nothing, 1, jobs).await?;
        let cost = Cost { worker: drained.worker, redis: Some(drained.redis) };
        report.add_with(SINGLE, Unit::PerSecond, drained.rate, cost);

        cluster.wipe().await?;
        let client = pool.client(&cluster.url())?;
        fill(&client, &pool, jobs).await?;
        let mut conn = redis::cluster::ClusterClient::new(cluster.url().split(',').collect::<Vec<_>>())?
            .get_async_connection()
            .await?;
        let mut parts = started(&cluster.url(), &pool, HandlerBehaviour::Nothing, 1).await?;
        let (cpu, nodes) = (cpu_of(&parts), cluster.cpu().await?);
        let began = std::time::Instant::now();
        finished(&mut parts, &client, &mut conn, jobs).await?;
        let rate = float(jobs) / began.elapsed().as_secs_f64();
        let worker = cpu_of(&parts).zip(cpu).map(|(after, before)| (after - before) / float(jobs));
        let each: Vec<f64> = cluster.cpu().await?.iter().zip(&nodes).map(|(b, a)| (b - a) / float(jobs)).collect();
        report.add_with(CLUSTER, Unit::PerSecond, rate, Cost { worker, redis: Some(each.iter().sum()) });
        report.add(BUSIEST, Unit::Micros, each.iter().copied().fold(0.0, f64::max));
    }
    report.remark(
        "CPU is that of fetch and ack alone; what one master can do is bounded by the CPU that a job takes of it",
    );
    let (busiest, single) = (report.median(BUSIEST, Field::Value), report.median(SINGLE, Field::Redis));
    report.goal_value("busiest master, CPU a job of that of one server", busiest / single, Bound::AtMost(0.6));
    Ok(())
}
