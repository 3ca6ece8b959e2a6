//! The engine against the limit: what it costs over scripts that only move ids and envelopes.
//!
//! `cargo run --release -p perch-bench --bin engine` starts a private Redis (AOF everysec), pushes and drains jobs of 200
//! bytes with both, five times in turn, and prints medians and their ratio. The machine's noise is in both.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use perch_base::{
    Clock, Environment,
    settings::{EngineSettings, History, QueueSettings},
};
use perch_jobs::{Job, JobTypes, QueueName};
use perch_queue::{
    Client, NewJob, Queue, Queues,
    worker::{Deps, HandlerResult, Handlers, Runtime},
};
use perch_testkit::{OwnRedis, TestRedis};
use redis::aio::MultiplexedConnection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

const JOBS: usize = 50_000;
const ROUNDS: usize = 5;
const BATCH: usize = 100;

/// A job that does nothing, with a payload of 200 bytes.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Idle {
    filler: String,
}

impl Job for Idle {
    const KIND: &'static str = "idle";
    const QUEUE: &'static str = "bench";
}

fn filler() -> String {
    "x".repeat(200 - r#"{"filler":""}"#.len())
}

const BARE_PUSH: &str = "for i = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) redis.call('RPUSH', KEYS[2], ARGV[i])
end";
const BARE_FETCH: &str = "local ids = redis.call('LPOP', KEYS[2], ARGV[1])
if not ids then return {} end
local leases = {}
for i, id in ipairs(ids) do leases[2 * i - 1] = 1 leases[2 * i] = id end
redis.call('ZADD', KEYS[3], unpack(leases))
return {ids, redis.call('HMGET', KEYS[1], unpack(ids))}";
const BARE_FINISH: &str = "redis.call('ZREM', KEYS[2], unpack(ARGV)) redis.call('HDEL', KEYS[1], unpack(ARGV))";

/// Jobs a second of one kind of work.
struct Rates {
    push: f64,
    drain: f64,
}

#[expect(clippy::cast_precision_loss, reason = "a rate of some tens of thousands")]
fn rate(jobs: usize, began: Instant) -> f64 {
    jobs as f64 / began.elapsed().as_secs_f64()
}

async fn bare(conn: &mut MultiplexedConnection) -> Rates {
    let [push, fetch, finish] = [BARE_PUSH, BARE_FETCH, BARE_FINISH].map(redis::Script::new);
    let envelope = format!(r#"{{"kind":"idle","max":5,"payload":{{"filler":"{}"}}}}"#, filler());
    let began = Instant::now();
    for start in (0..JOBS).step_by(BATCH) {
        let mut call = push.key("bare:jobs");
        call.key("bare:ready");
        for n in start..start + BATCH {
            call.arg(format!("01JD{n:022}")).arg(&envelope);
        }
        call.invoke_async::<()>(conn).await.expect("Redis answers");
    }
    let pushed = rate(JOBS, began);
    let began = Instant::now();
    loop {
        let mut call = fetch.key("bare:jobs");
        let got: Option<(Vec<String>, Vec<Vec<u8>>)> =
            match call.key("bare:ready").key("bare:leases").arg(BATCH).invoke_async::<redis::Value>(conn).await {
                Ok(redis::Value::Array(items)) if items.is_empty() => None,
                Ok(value) => Some(redis::from_redis_value(value).expect("ids and envelopes")),
                Err(error) => panic!("{error}"),
            };
        let Some((ids, _)) = got else { break };
        let mut call = finish.key("bare:jobs");
        call.key("bare:leases");
        for id in &ids {
            call.arg(id);
        }
        call.invoke_async::<()>(conn).await.expect("Redis answers");
    }
    Rates { push: pushed, drain: rate(JOBS, began) }
}

fn queues(redis: &TestRedis) -> Queues {
    let settings = QueueSettings {
        concurrency: 200,
        prefetch: 200,
        global_concurrency: 0,
        group_concurrency: 0,
        group_rate: None,
        rate: None,
        intake_kind: None,
        ledger: false,
        history: History::Failures,
        events_kept: 10_000,
        dead_retention: Duration::from_secs(86_400),
        dead_kept: 1_000,
    };
    let engine = EngineSettings {
        max_payload_bytes: 262_144,
        max_schedule_ahead: Duration::from_secs(86_400),
        lease: Duration::from_secs(12),
        heartbeat: Duration::from_secs(3),
        shutdown_grace: Duration::from_secs(5),
        idle_block: Duration::from_secs(30),
        errors_kept: 10,
    };
    let blocks = BTreeMap::from([(QueueName::from_static("bench"), settings)]);
    Queues::of(redis.door(), Environment::Staging, &blocks, &engine, JobTypes::new().with::<Idle>(), &Clock::system())
}

async fn perch(redis: &TestRedis) -> Rates {
    let queues = queues(redis);
    let client = Client::new(queues.clone());
    let jobs = (0..JOBS).map(|_| NewJob::of(&Idle { filler: filler() }).expect("JSON")).collect();
    let began = Instant::now();
    assert!(client.submit_all(jobs).await.iter().all(Result::is_ok));
    let push = rate(JOBS, began);

    let done = Arc::new(AtomicU64::new(0));
    let count = done.clone();
    let handlers = Handlers::new().on(move |_: Idle| {
        count.fetch_add(1, Ordering::Relaxed);
        async { HandlerResult::Ok(()) }
    });
    let stop = CancellationToken::new();
    let began = Instant::now();
    let runtime = Runtime::new(client, handlers, Deps::new()).expect("nothing is missing");
    let working = tokio::spawn(runtime.run(&[], stop.clone()));
    let queue: Queue = queues.iter().next().expect("one queue").clone();
    while done.load(Ordering::Relaxed) < JOBS as u64 || queue.stats().await.expect("Redis answers").running > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let drain = rate(JOBS, began);
    stop.cancel();
    working.await.expect("it ends").expect("well");
    Rates { push, drain }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[tokio::main]
async fn main() {
    let server = OwnRedis::with(&["--appendonly", "yes", "--appendfsync", "everysec"]).await;
    let redis = TestRedis::at(&server.url());
    let mut conn = redis.raw().await;
    let (mut limits, mut engines) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        limits.push(bare(&mut conn).await);
        engines.push(perch(&redis).await);
        redis::cmd("FLUSHALL").exec_async(&mut conn).await.expect("FLUSHALL");
    }
    println!("{:<22}{:>14}{:>14}{:>9}", "jobs a second", "bare scripts", "perch", "ratio");
    for (name, of) in
        [("push, in bulk", (|r: &Rates| r.push) as fn(&Rates) -> f64), ("drain, one process", |r| r.drain)]
    {
        let (limit, engine) = (median(limits.iter().map(of).collect()), median(engines.iter().map(of).collect()));
        println!("{name:<22}{limit:>14.0}{engine:>14.0}{:>9.2}", engine / limit);
    }
}
