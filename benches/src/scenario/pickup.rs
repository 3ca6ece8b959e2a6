//! From the enqueue of a lone job to the start of its handler in another process that was idle.

use std::time::Duration;

use super::Bench;
use crate::{
    error::{BenchError, Outcome},
    jobs::{Pool, job},
    numbers::quantile,
    part::{HandlerBehaviour, Part, Role, hand_over},
    report::{Bound, Field, Report, Unit},
    servers::RedisServer,
};

/// What Perch's rows are called, for the peers to be compared with.
pub const P50: &str = "perch, p50";
pub const P99: &str = "perch, p99";

/// Long enough that the job before is acknowledged and the worker waits again.
const REST: Duration = Duration::from_millis(12);

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let jobs = bench.size(500, 50);
    let redis = RedisServer::start().await?;
    let pool = Pool::default();
    let client = pool.client(&redis.url())?;
    let mut conn = redis.conn();
    let mut bare = Part::begun(&Role::BarePop { redis: redis.url() }).await?;
    let mut worker = Part::begun(&Role::Worker { redis: redis.url(), pool, work: HandlerBehaviour::Tell }).await?;
    for _ in 0..20 {
        client.submit(job(0)?).await?;
        worker.line().await?;
    }
    for _ in bench.rounds() {
        let (mut bares, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..jobs {
            tokio::time::sleep(REST).await;
            hand_over(&mut conn).await?;
            bares.push(told(&mut bare).await?);
        }
        for _ in 0..jobs {
            tokio::time::sleep(REST).await;
            client.submit(job(0)?).await?;
            ours.push(told(&mut worker).await?);
        }
        for (name, own, q) in [("p50", P50, 0.5), ("p99", P99, 0.99)] {
            report.add(&format!("bare LPUSH to BLPOP, {name}"), Unit::Ms, quantile(&bares, q));
            report.add(own, Unit::Ms, quantile(&ours, q));
        }
    }
    report.goal_ratio("p50, of the bare hand-over", P50, "bare LPUSH to BLPOP, p50", Bound::AtMost(2.0));
    report.goal_ratio("p99, of the bare hand-over", P99, "bare LPUSH to BLPOP, p99", Bound::AtMost(3.0));
    // Measured elsewhere; what they take in the same run, `--peers` tells.
    report.goal("p50 in ms (Sidekiq, on another day: 0.42)", P50, Field::Value, Bound::AtMost(0.42));
    report.goal("p99 in ms (Sidekiq, on another day: 1.05)", P99, Field::Value, Bound::AtMost(1.05));
    Ok(())
}

/// What the process told of one hand-over, in milliseconds.
pub async fn told(part: &mut Part) -> Outcome<f64> {
    let line = part.line().await?;
    let us: f64 = line.parse().map_err(|_| BenchError::Setup(format!("{line:?} is no number of microseconds")))?;
    Ok(us / 1_000.0)
}
