//! Measures how fast workers drain queues, and what that costs.

use std::time::{Duration, Instant};

use perch_queue::Client;
use redis::aio::ConnectionLike;

use crate::{
    error::{Outcome, until},
    jobs::Pool,
    numbers::float,
    part::{HandlerBehaviour, Part, Role},
    servers::RedisServer,
};

/// The result of a drain.
#[derive(Debug, Clone, Copy)]
pub struct Drained {
    /// Jobs a second, from the word to begin to the last acknowledgement.
    pub rate: f64,
    /// CPU of the workers a job, in microseconds.
    pub worker: Option<f64>,
    /// CPU of Redis a job, in microseconds, from the word to begin.
    pub redis: f64,
}

const PATIENCE: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// Lets `workers` processes work on the `jobs` jobs that are queued.
pub async fn drained(
    redis: &RedisServer,
    pool: &Pool,
    work: HandlerBehaviour,
    workers: usize,
    jobs: usize,
) -> Outcome<Drained> {
    let client = pool.client(&redis.url())?;
    let mut conn = redis.conn();
    let mut parts = started(&redis.url(), pool, work, workers).await?;
    let (cpu, redis_cpu) = (cpu_of(&parts), redis.cpu().await?);
    let began = Instant::now();
    finished(&mut parts, &client, &mut conn, jobs).await?;
    let rate = float(jobs) / began.elapsed().as_secs_f64();
    let worker = cpu_of(&parts).zip(cpu).map(|(after, before)| (after - before) / float(jobs));
    Ok(Drained { rate, worker, redis: (redis.cpu().await? - redis_cpu) / float(jobs) })
}

/// Workers that wait for the word to begin.
pub async fn started(redis: &str, pool: &Pool, work: HandlerBehaviour, workers: usize) -> Outcome<Vec<Part>> {
    let mut parts = Vec::new();
    for _ in 0..workers {
        parts.push(Part::start(&Role::Worker { redis: redis.to_owned(), pool: *pool, work }).await?);
    }
    Ok(parts)
}

/// Lets them begin, and waits until `jobs` more jobs of all queues have succeeded.
pub async fn finished<C>(parts: &mut [Part], client: &Client, conn: &mut C, jobs: usize) -> Outcome
where
    C: ConnectionLike + Clone,
{
    let states: Vec<String> = client.queues().iter().map(|queue| queue.keys().state()).collect();
    let before = succeeded(conn, &states).await?;
    for part in parts {
        part.go().await?;
    }
    let conn = &*conn;
    until("the queues to be empty", PATIENCE, LOOK_EVERY, || async {
        Ok(succeeded(&mut conn.clone(), &states).await? >= before + jobs)
    })
    .await
}

async fn succeeded<C: ConnectionLike>(conn: &mut C, states: &[String]) -> Outcome<usize> {
    let mut sum = 0;
    for state in states {
        let of: Option<usize> = redis::cmd("HGET").arg(state).arg("succeeded").query_async(conn).await?;
        sum += of.unwrap_or_default();
    }
    Ok(sum)
}

/// CPU of all of them together.
pub fn cpu_of(parts: &[Part]) -> Option<f64> {
    parts.iter().map(Part::cpu).sum()
}
