//! 100,000 jobs that do nothing, emptied by one worker process.

use std::time::Instant;

use super::Bench;
use crate::{
    drained::drained,
    error::{Outcome, until},
    jobs::{Pool, fill},
    numbers::float,
    part::{HandlerBehaviour, Part, Role, apalis_done, push, push_apalis},
    report::{Bound, Cost, Field, Report, Unit},
    servers::RedisServer,
};

const BARE: &str = "bare scripts, sorted-set lease";
const APALIS: &str = "apalis-redis 1.0, tuned";
const FAILURES: &str = "perch, history of failures";
const FULL: &str = "perch, full history";

pub async fn run(bench: &Bench, report: &mut Report) -> Outcome {
    let jobs = bench.size(100_000, 5_000);
    let redis = RedisServer::start().await?;
    for _ in bench.rounds() {
        bare(&redis, jobs, report).await?;
        perch(&redis, jobs, false, report).await?;
        apalis(&redis, jobs, report).await?;
        perch(&redis, jobs, true, report).await?;
    }
    report.remark("CPU of redis-server is that of a job's whole life, enqueue included");
    report.goal_ratio("of the bare scripts", FAILURES, BARE, Bound::AtLeast(0.6));
    report.goal_ratio("of apalis-redis", FAILURES, APALIS, Bound::AtLeast(1.8));
    report.goal("redis-server, µs a job", FAILURES, Field::Redis, Bound::AtMost(8.0));
    report.goal("worker, µs a job", FAILURES, Field::Worker, Bound::AtMost(6.0));
    report.goal_ratio("full history, of a history of failures", FULL, FAILURES, Bound::AtLeast(0.6));
    Ok(())
}

async fn bare(redis: &RedisServer, jobs: usize, report: &mut Report) -> Outcome {
    redis.wipe().await?;
    let before = redis.cpu().await?;
    push(&mut redis.conn(), jobs).await?;
    let mut part = Part::start(&Role::BareDrain { redis: redis.url() }).await?;
    let cpu = part.cpu();
    let began = Instant::now();
    part.go().await?;
    part.expect("done").await?;
    let rate = float(jobs) / began.elapsed().as_secs_f64();
    let worker = part.cpu().zip(cpu).map(|(after, before)| (after - before) / float(jobs));
    let cost = Cost { worker, redis: Some((redis.cpu().await? - before) / float(jobs)) };
    report.add_with(BARE, Unit::PerSecond, rate, cost);
    Ok(())
}

async fn perch(redis: &RedisServer, jobs: usize, full_history: bool, report: &mut Report) -> Outcome {
    redis.wipe().await?;
    let pool = Pool { full_history, ..Pool::default() };
    let (before, main_before) = (redis.cpu().await?, redis.main_thread_cpu().await?);
    fill(&pool.client(&redis.url())?, &pool, jobs).await?;
    let enqueued = (redis.cpu().await? - before) / float(jobs);
    let drained = drained(redis, &pool, HandlerBehaviour::Nothing, 1, jobs).await?;
    let name = if full_history { FULL } else { FAILURES };
    let cost = Cost { worker: drained.worker, redis: Some(enqueued + drained.redis) };
    report.add_with(name, Unit::PerSecond, drained.rate, cost);
    if !full_history {
        let main = (redis.main_thread_cpu().await? - main_before) / float(jobs);
        report.add("  of that: redis-server for the enqueue", Unit::Micros, enqueued);
        report.add("  of that: redis-server for fetch and ack", Unit::Micros, drained.redis);
        report.add("  of that: the main thread of redis-server", Unit::Micros, main);
    }
    Ok(())
}

async fn apalis(redis: &RedisServer, jobs: usize, report: &mut Report) -> Outcome {
    redis.wipe().await?;
    let mut conn = redis.conn();
    let before = redis.cpu().await?;
    push_apalis(&redis.url(), &mut conn, jobs).await?;
    let mut part = Part::start(&Role::Apalis { redis: redis.url() }).await?;
    let cpu = part.cpu();
    let began = Instant::now();
    part.go().await?;
    let (patience, every) = (std::time::Duration::from_secs(300), std::time::Duration::from_millis(3));
    until("apalis-redis to be done", patience, every, || async { Ok(apalis_done(&mut redis.conn()).await? >= jobs) })
        .await?;
    let rate = float(jobs) / began.elapsed().as_secs_f64();
    let worker = part.cpu().zip(cpu).map(|(after, before)| (after - before) / float(jobs));
    let cost = Cost { worker, redis: Some((redis.cpu().await? - before) / float(jobs)) };
    report.add_with(APALIS, Unit::PerSecond, rate, cost);
    Ok(())
}
