//! The baseline: scripts that only move ids and envelopes, over one connection, in batches of 100.

use std::time::Instant;

use redis::{Script, aio::MultiplexedConnection};

use super::{Orders, say};
use crate::{
    error::Outcome,
    jobs::{now_us, payload},
    servers::connect,
};

/// Jobs in one call.
pub const BATCH: usize = 100;
/// Hash of id to envelope.
pub const JOBS: &str = "bare:jobs";
/// List of ids.
pub const READY: &str = "bare:ready";
/// Sorted set of ids by the end of their lease.
pub const LEASES: &str = "bare:leases";
/// List of times, for the hand-over.
const POP: &str = "bare:pop";

const PUSH: &str = "
for i = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  redis.call('RPUSH', KEYS[2], ARGV[i])
end";

const FETCH: &str = "
local ids = redis.call('LPOP', KEYS[2], ARGV[1])
if not ids then return {} end
local leases = {}
for i, id in ipairs(ids) do
  leases[2 * i - 1] = ARGV[2]
  leases[2 * i] = id
end
redis.call('ZADD', KEYS[3], unpack(leases))
return { ids, redis.call('HMGET', KEYS[1], unpack(ids)) }";

const FINISH: &str = "
redis.call('ZREM', KEYS[2], unpack(ARGV))
redis.call('HDEL', KEYS[1], unpack(ARGV))";

/// An envelope about as large as that of the engine.
fn envelope() -> String {
    format!(r#"{{"v":1,"kind":"idle0","max":5,"payload":{}}}"#, payload())
}

/// Pushes `n` jobs. Returns the seconds that it took.
pub async fn push(conn: &mut MultiplexedConnection, n: usize) -> Outcome<f64> {
    let script = Script::new(PUSH);
    let envelope = envelope();
    let began = Instant::now();
    for start in (0..n).step_by(BATCH) {
        let mut call = script.key(JOBS);
        call.key(READY);
        for i in start..n.min(start + BATCH) {
            call.arg(format!("01JD{i:022}")).arg(&envelope);
        }
        call.invoke_async::<()>(conn).await?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Pushes `n` envelopes onto a list one after the other. Returns the seconds that it took.
pub async fn push_one(conn: &mut MultiplexedConnection, n: usize) -> Outcome<f64> {
    let envelope = envelope();
    let began = Instant::now();
    for _ in 0..n {
        redis::cmd("LPUSH").arg(READY).arg(&envelope).exec_async(conn).await?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Takes and acknowledges all jobs, then says `done`.
pub async fn drain(mut orders: Orders, redis: &str) -> Outcome {
    let mut conn = connect(redis).await?;
    let (fetch, finish) = (Script::new(FETCH), Script::new(FINISH));
    orders.wait().await;
    loop {
        let mut call = fetch.key(JOBS);
        call.key(READY).key(LEASES).arg(BATCH).arg(now_us() / 1_000 + 12_000);
        let got: Vec<Vec<redis::Value>> = call.invoke_async(&mut conn).await?;
        let Some(ids) = got.into_iter().next() else { break };
        let mut call = finish.key(JOBS);
        call.key(LEASES);
        for id in ids {
            call.arg(redis::from_redis_value::<Vec<u8>>(id).map_err(redis::RedisError::from)?);
        }
        call.invoke_async::<()>(&mut conn).await?;
    }
    say("done");
    std::future::pending().await
}

/// Prints for each popped time how many microseconds ago it was pushed.
pub async fn pop(mut orders: Orders, redis: &str) -> Outcome {
    let mut conn = connect(redis).await?;
    orders.wait().await;
    loop {
        let (_, sent): (String, u64) = redis::cmd("BLPOP").arg(POP).arg(0).query_async(&mut conn).await?;
        say(&now_us().saturating_sub(sent).to_string());
    }
}

/// Pushes the time for a process that pops.
pub async fn hand_over(conn: &mut MultiplexedConnection) -> Outcome {
    redis::cmd("LPUSH").arg(POP).arg(now_us()).exec_async(conn).await?;
    Ok(())
}
