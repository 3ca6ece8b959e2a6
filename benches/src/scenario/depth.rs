//! The cost of many waiting jobs: memory, and the speed of other jobs meanwhile.

use std::time::Instant;

use chrono::TimeDelta;
use perch_queue::{Client, Lease, Queue, testing};
use redis::{Script, aio::MultiplexedConnection};

use super::Bench;
use crate::{
    drained::drained,
    error::Outcome,
    jobs::{Pool, fill, first, job},
    numbers::float,
    part::{HandlerBehaviour, push},
    report::{Bound, Cost, Field, Report, Unit},
    servers::RedisServer,
};

const BYTES: &str = "a queued job of 200 bytes";
const BARE_BYTES: &str = "a queued job of 200 bytes, bare";

/// Memory of Redis a queued job.
pub async fn memory(bench: &Bench, report: &mut Report) -> Outcome {
    let jobs = bench.size(100_000, 10_000);
    let pool = Pool::default();
    for _ in bench.rounds() {
        let redis = RedisServer::start().await?;
        let client = pool.client(&redis.url())?;
        // Connections and scripts are there before it is measured.
        fill(&client, &pool, 1).await?;
        push(&mut redis.conn(), 1).await?;
        redis.wipe().await?;
        let before = redis.memory().await?;
        fill(&client, &pool, jobs).await?;
        report.add(BYTES, Unit::Bytes, (redis.memory().await? - before) / float(jobs));
        redis.wipe().await?;
        let before = redis.memory().await?;
        push(&mut redis.conn(), jobs).await?;
        report.add(BARE_BYTES, Unit::Bytes, (redis.memory().await? - before) / float(jobs));
    }
    report.goal("bytes", BYTES, Field::Value, Bound::AtMost(375.0));
    Ok(())
}

/// The same work beside 1,000 and beside 1,000,000 queued jobs.
pub async fn queued(bench: &Bench, report: &mut Report) -> Outcome {
    let many = bench.size(1_000_000, 20_000);
    let (few_name, many_name) = (words(1_000), words(many));
    let pool = Pool::default();
    let mut sides = Vec::new();
    for (depth, name) in [(1_000, &few_name), (many, &many_name)] {
        let redis = RedisServer::start().await?;
        let client = pool.client(&redis.url())?;
        fill(&client, &pool, depth).await?;
        redis.settle().await?;
        sides.push((redis, client, name));
    }
    for _ in bench.rounds() {
        let mut spent = [TimeSpent::default(); 2];
        // Alternates every tenth of a second, so that both see the machine at the same speed; and often, since the difference
        // is smaller than the noise of one step.
        for _ in 0..bench.size(30, 2) {
            for ((_, client, _), spent) in sides.iter().zip(&mut spent) {
                spent.add(beside(client, bench.size(10, 2)).await?);
            }
        }
        for ((.., name), spent) in sides.iter().zip(spent) {
            report.add(&format!("enqueue beside {name}"), Unit::PerSecond, spent.jobs / spent.enqueuing);
            report.add(&format!("fetch beside {name}"), Unit::PerSecond, spent.jobs / spent.fetching);
        }
    }
    for what in ["enqueue", "fetch"] {
        let (name, of) = (format!("{what} beside {many_name}"), format!("{what} beside {few_name}"));
        report.goal_ratio(&format!("{name}, of {few_name}"), &name, &of, Bound::AtLeast(0.9));
    }
    Ok(())
}

fn words(n: usize) -> String {
    format!("{} queued", crate::report::number(float(n)))
}

/// Seconds spent on jobs.
#[derive(Debug, Clone, Copy, Default)]
struct TimeSpent {
    jobs: f64,
    enqueuing: f64,
    fetching: f64,
}

impl TimeSpent {
    fn add(&mut self, more: Self) {
        self.jobs += more.jobs;
        self.enqueuing += more.enqueuing;
        self.fetching += more.fetching;
    }
}

/// Enqueues and fetches a thousand jobs at a time; as many are queued afterwards as before.
async fn beside(client: &Client, times: usize) -> Outcome<TimeSpent> {
    const AT_ONCE: usize = 1_000;
    let queue: Queue = first(client)?;
    let mut spent = TimeSpent::default();
    // The first time warms both sides up.
    for time in 0..=times {
        let jobs = (0..AT_ONCE).map(|_| job(0)).collect::<Outcome<Vec<_>>>()?;
        let began = Instant::now();
        let answers = client.submit_all(jobs).await;
        let enqueuing = began.elapsed().as_secs_f64();
        for answer in answers {
            answer?;
        }
        let began = Instant::now();
        let mut taken = Vec::new();
        while taken.len() < AT_ONCE {
            let slots = 250.min(AT_ONCE - taken.len());
            taken.extend(testing::fetch(&queue, "bench", slots, 0).await?.jobs);
        }
        if time > 0 {
            spent.add(TimeSpent { jobs: float(AT_ONCE), enqueuing, fetching: began.elapsed().as_secs_f64() });
        }
        for some in taken.chunks(250) {
            let leases: Vec<Lease> = some.iter().map(|(lease, _)| lease.clone()).collect();
            testing::succeed(&queue, &leases).await?;
        }
    }
    Ok(spent)
}

const ALONE: &str = "drain of a queue with nothing else";

/// A drain beside a million delayed and a million dead jobs.
pub async fn backlog(bench: &Bench, report: &mut Report) -> Outcome {
    let (jobs, others) = (bench.size(100_000, 5_000), bench.size(1_000_000, 10_000));
    let beside = format!("drain beside {0} delayed and {0} dead", crate::report::number(float(others)));
    let pool = Pool::default();
    let mut sides = Vec::new();
    for (name, others) in [(ALONE, 0), (beside.as_str(), others)] {
        let redis = RedisServer::start().await?;
        plant(&pool.client(&redis.url())?, &mut redis.conn(), others).await?;
        sides.push((redis, name));
    }
    // The first drain of each server is not counted. Two for a round: they differ more than all else that is measured.
    for round in std::iter::once(0).chain(bench.rounds().flat_map(|round| [round; 2])) {
        for (redis, name) in &sides {
            fill(&pool.client(&redis.url())?, &pool, jobs).await?;
            redis.settle().await?;
            let drained = drained(redis, &pool, HandlerBehaviour::Nothing, 1, jobs).await?;
            let cost = Cost { worker: drained.worker, redis: Some(drained.redis) };
            if round > 0 {
                report.add_with(name, Unit::PerSecond, drained.rate, cost);
            }
        }
    }
    report.remark("CPU is that of fetch and ack alone");
    report.goal_ratio("beside them, of alone", &beside, ALONE, Bound::AtLeast(0.9));
    Ok(())
}

/// Puts `n` jobs into the far future and `n` among the dead, as the engine leaves them there: all are enqueued for later, and
/// half of them die.
async fn plant(client: &Client, conn: &mut MultiplexedConnection, n: usize) -> Outcome {
    const AT_ONCE: usize = 10_000;
    let die = Script::new(
        "local delayed, dead, attempts, errors = unpack(KEYS)
         local popped = redis.call('ZPOPMIN', delayed, ARGV[1])
         for i = 1, #popped, 2 do
           redis.call('ZADD', dead, ARGV[2], popped[i])
           redis.call('HSET', attempts, popped[i], 5)
           redis.call('HSET', errors, popped[i], ARGV[3])
         end",
    );
    let queue = first(client)?;
    let keys = queue.keys();
    let error = r#"{"attempt":5,"worker":"host-1-abcd","error":"the provider answered 500","at":1763700000000}"#;
    let now = queue.now();
    for start in (0..2 * n).step_by(AT_ONCE) {
        let some = AT_ONCE.min(2 * n - start);
        let mut jobs = (0..some).map(|_| job(0)).collect::<Outcome<Vec<_>>>()?;
        for job in &mut jobs {
            job.options.run_at = Some(now + TimeDelta::days(30));
        }
        for answer in client.submit_all(jobs).await {
            answer?;
        }
        let mut call = die.key(keys.delayed());
        call.key(keys.dead()).key(keys.dead_attempts()).key(keys.errors());
        call.arg(some / 2).arg(now.timestamp_millis()).arg(error).invoke_async::<()>(conn).await?;
    }
    Ok(())
}
