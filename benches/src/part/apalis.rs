//! apalis-redis 1.0 at the best setting that was found: batches of 1,000, no locks on tasks, no events.

use std::time::{Duration, Instant};

use apalis_core::{
    backend::{TaskSink as _, ext::BackendExt as _},
    error::BoxDynError,
    worker::builder::WorkerBuilder,
};
use apalis_redis::{Config, RedisStorage};
use redis::{Script, aio::MultiplexedConnection};

use super::Orders;
use crate::{
    error::{BenchError, Outcome},
    jobs::{Idle, payload},
};

/// Its queue.
pub const QUEUE: &str = "bench";
/// The most jobs that may be due at once; its fetch fails with about 8,000.
const DUE: usize = 5_000;

fn config() -> Config {
    Config::default().queue(QUEUE).batch_size(1_000).lock_tasks(false).emit_events(false)
}

async fn storage(redis: &str) -> Outcome<RedisStorage<Idle<0>>> {
    Ok(RedisStorage::new(apalis_redis::connect(redis).await?).with_config(config()))
}

/// Works until it is killed.
pub async fn run(mut orders: Orders, redis: &str) -> Outcome {
    let storage = storage(redis).await?;
    let backend = storage.poll_with_interval(Duration::from_millis(1));
    let worker = WorkerBuilder::new(format!("bench-{}", std::process::id()))
        .backend(backend)
        .build(|_: Idle<0>| async { Ok::<(), BoxDynError>(()) });
    orders.wait().await;
    worker.run().await.map_err(BenchError::setup)
}

/// Pushes `n` jobs in bulk. Answers the seconds that its own part took: afterwards the jobs are moved to where its fetch
/// would have moved them, so that a backlog above what it can fetch does not end its worker.
pub async fn push(redis: &str, conn: &mut MultiplexedConnection, n: usize) -> Outcome<f64> {
    let promote = Script::new(
        "local ids = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
         if #ids > 0 then
           redis.call('RPUSH', KEYS[2], unpack(ids))
           redis.call('ZREM', KEYS[1], unpack(ids))
         end",
    );
    let mut storage = storage(redis).await?;
    let mut seconds = 0.0;
    for start in (0..n).step_by(DUE) {
        let jobs = (start..n.min(start + DUE))
            .map(|_| serde_json::from_str(&payload()))
            .collect::<Result<Vec<Idle<0>>, _>>()?;
        let began = Instant::now();
        storage.push_bulk(jobs).await.map_err(BenchError::setup)?;
        seconds += began.elapsed().as_secs_f64();
        let mut call = promote.key(config().scheduled_jobs_set());
        call.key(config().active_jobs_list()).arg(DUE);
        call.invoke_async::<()>(conn).await?;
    }
    Ok(seconds)
}

/// How many of its jobs are done.
pub async fn done(conn: &mut MultiplexedConnection) -> Outcome<usize> {
    Ok(redis::cmd("SCARD").arg(config().done_jobs_set()).query_async(conn).await?)
}
