//! Enqueuing through the library: in bulk and one by one.

use std::time::Instant;

use super::Bench;
use crate::{
    error::{BenchError, Outcome},
    jobs::{Pool, fill, job},
    numbers::float,
    part::{push, push_one},
    process,
    report::{Bound, Cost, Report, Unit},
    servers::{RedisServer, connect},
};

const BARE_BULK: &str = "bulk, bare script, batches of 100";
const BULK: &str = "bulk, perch";
const BARE_SINGLE: &str = "one by one, bare LPUSH";
const SINGLE: &str = "one by one, perch";

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let (bulk, single) = (bench.size(100_000, 5_000), bench.size(20_000, 1_000));
    let redis = RedisServer::start().await?;
    let pool = Pool::default();
    let client = pool.client(&redis.url())?;
    let mut conn = redis.conn();
    for _ in bench.rounds() {
        redis.wipe().await?;
        let meter = Meter::start(&redis).await?;
        let seconds = push(&mut conn, bulk).await?;
        meter.end(report, BARE_BULK, bulk, seconds).await?;

        redis.wipe().await?;
        let meter = Meter::start(&redis).await?;
        let seconds = fill(&client, &pool, bulk).await?;
        meter.end(report, BULK, bulk, seconds).await?;

        redis.wipe().await?;
        let meter = Meter::start(&redis).await?;
        let seconds =
            alone(&redis, move |url| async move { push_one(&mut connect(&url).await?, single).await }).await?;
        meter.end(report, BARE_SINGLE, single, seconds).await?;

        redis.wipe().await?;
        let meter = Meter::start(&redis).await?;
        let seconds = alone(&redis, move |url| async move {
            let client = Pool::default().client(&url)?;
            let began = Instant::now();
            for _ in 0..single {
                client.submit(job(0)?).await?;
            }
            Ok(began.elapsed().as_secs_f64())
        })
        .await?;
        meter.end(report, SINGLE, single, seconds).await?;
    }
    report.remark("the worker's column is the CPU of the producer, which makes the payloads too");
    report.goal_ratio("bulk, of the bare script", BULK, BARE_BULK, Bound::AtLeast(0.6));
    report.goal_ratio("one by one, of a bare LPUSH", SINGLE, BARE_SINGLE, Bound::AtLeast(0.7));
    Ok(())
}

/// Runs one client on a thread of its own: with several threads, which of them the two ends of a connection meet on is a
/// matter of luck, and it doubles or halves the rate.
async fn alone<Fut>(redis: &RedisServer, run: impl FnOnce(String) -> Fut + Send + 'static) -> Outcome<f64>
where
    Fut: Future<Output = Outcome<f64>>,
{
    let url = redis.url();
    let thread = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(BenchError::io("start a runtime"))?.block_on(run(url))
    });
    thread.await.map_err(BenchError::setup)?
}

/// Measures the CPU of both sides from its creation on.
struct Meter<'a> {
    redis: &'a RedisServer,
    redis_cpu: f64,
    own_cpu: Option<f64>,
}

impl<'a> Meter<'a> {
    async fn start(redis: &'a RedisServer) -> Outcome<Self> {
        Ok(Self { redis, redis_cpu: redis.cpu().await?, own_cpu: process::cpu(std::process::id()) })
    }

    async fn end(self, report: &mut Report, name: &str, jobs: usize, seconds: f64) -> Outcome {
        let own = process::cpu(std::process::id()).zip(self.own_cpu);
        let cost = Cost {
            worker: own.map(|(after, before)| (after - before) / float(jobs)),
            redis: Some((self.redis.cpu().await? - self.redis_cpu) / float(jobs)),
        };
        report.add_with(name, Unit::PerSecond, float(jobs) / seconds, cost);
        Ok(())
    }
}
