//! The real binary, killed, starved of its services, left alone: what an operator finds afterwards.

mod recovery;
#[path = "../cli/world.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Child, Stdio},
    time::Duration,
};

use perch_sandbox::{Endpoint, Fault, FaultKind, Sandbox, SandboxOptions};
use perch_testkit::{OwnRedis, TestDatabase, TestRedis};
use perch_workers::bots;
use sqlx::Row;
use world::{World, until};

/// A process that is killed when the test ends, however it ends.
struct Running(Child);

impl Running {
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn sandbox() -> Sandbox {
    let options = SandboxOptions {
        bot_accounts: vec!["perch_bot".into()],
        rate_limits: false,
        actors: perch_actors::actors(),
        ..SandboxOptions::default()
    };
    Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.expect("a free port")
}

/// `perch worker` on all queues, its services played by `sandbox`.
fn start_worker(world: &World, sandbox: &Sandbox) -> Running {
    start_worker_with(world, sandbox, &[])
}

fn start_worker_with(world: &World, sandbox: &Sandbox, vars: &[(&str, &str)]) -> Running {
    let mut command = world.perch(&["worker"]);
    command.envs(BTreeMap::from([
        ("PERCH__HTTP__BIND", "127.0.0.1:0".to_owned()),
        ("PERCH__X__BASE_URL", sandbox.base_url()),
        ("PERCH__MODELS__PROVIDERS__GROK__BASE_URL", format!("{}/v1", sandbox.base_url())),
        ("PERCH__QUEUES__ANALYTICS_PROCESSING__CONCURRENCY", "16".to_owned()),
        ("PERCH__REDIS__COMMAND_TIMEOUT", "900ms".to_owned()),
        ("PERCH__X__BUDGET", "{ daily = 0.0, monthly = 0.0 }".to_owned()),
        ("PERCH__ENGINE__LEASE", "3s".to_owned()),
        ("PERCH__ENGINE__HEARTBEAT", "1s".to_owned()),
        ("X_API_BEARER_TOKEN", "sandbox-bearer".to_owned()),
        ("X_API_KEY", "sandbox-consumer-key".to_owned()),
        ("X_API_SECRET", "sandbox-consumer-secret".to_owned()),
        ("X_MAIN_ACCESS_TOKEN", "sandbox-perch_bot-token".to_owned()),
        ("X_MAIN_ACCESS_SECRET", "sandbox-perch_bot-secret".to_owned()),
        ("GROK_API_KEY", "sandbox-model-key".to_owned()),
    ]));
    command.envs(vars.iter().copied());
    Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary is built"))
}

async fn left(world: &World, queue: &'static str) -> u64 {
    let stats = world.queue(queue).stats().await.expect("Redis answers");
    stats.waiting() + stats.delayed + stats.running
}

fn sync(world: &World) {
    world.run(&["enqueue", "sync_hot_state"]).went_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_jobs_survive_a_kill_in_the_middle_of_their_drain() {
    const JOBS: i64 = 10_000;
    let world = World::start().await;
    let sandbox = sandbox().await;
    let payloads = vec![r#"{"post_ids":["1849212345678901234"]}"#; 10_000].join("\n");
    world.run_with(&["enqueue", "collect_metrics", "--ndjson"], &payloads).went_well();
    assert_eq!(left(&world, "analytics_processing").await, 10_000);

    let mut worker = start_worker(&world, &sandbox);
    until("a good part is done", || async { left(&world, "analytics_processing").await < 7_000 }).await;
    worker.kill();
    let cut = left(&world, "analytics_processing").await;
    assert!(cut > 0, "it was killed in the middle");

    let _worker = start_worker(&world, &sandbox);
    until("the rest is done", || async { left(&world, "analytics_processing").await == 0 }).await;
    sync(&world);
    let pool = world.database.raw();
    until("all of it is in Postgres as done", || async {
        let row = sqlx::query("select count(*) from jobs where kind = 'collect_metrics' and state = 'done'")
            .fetch_one(&pool)
            .await
            .expect("Postgres answers");
        row.get::<i64, _>(0) == JOBS
    })
    .await;
    assert_eq!(world.queue("analytics_processing").stats().await.expect("Redis answers").dead, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_after_an_outage_brings_every_dead_letter_through_with_each_effect_once() {
    const POSTS: usize = 30;
    let world = World::start().await;
    let sandbox = sandbox().await;
    let state = sandbox.state();
    // Some calls are refused, some reach X and lose their answer.
    state.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::Unavailable).times(15));
    state.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::DropAfter).times(15));
    let _worker = start_worker(&world, &sandbox);
    let jobs: Vec<String> = (0..POSTS)
        .map(|n| {
            format!(
                r#"{{"kind":"publish_post","retry":{{"max_attempts":1}},"payload":{{"account":"main","text":"Pick number {n}"}}}}"#
            )
        })
        .collect();
    world.run_with(&["enqueue", "--ndjson"], &jobs.join("\n")).went_well();
    until("the outage has killed them all", || async {
        world.queue("pending_posts").stats().await.expect("Redis answers").dead == POSTS as u64
    })
    .await;
    assert_eq!(state.made().len(), 15, "half of them were published, unknown to the worker");

    state.clear_faults();
    let planned = world.json(&["dead", "replay", "--queue", "pending_posts", "--dry-run"]);
    assert_eq!(world.queue("pending_posts").stats().await.expect("Redis answers").dead, POSTS as u64, "{planned}");
    world.run(&["dead", "replay", "--queue", "pending_posts"]).went_well();
    until("they are through", || async { left(&world, "pending_posts").await == 0 }).await;
    assert_eq!(world.queue("pending_posts").stats().await.expect("Redis answers").dead, 0);
    let texts: Vec<String> = state.made().into_iter().map(|post| post.text).collect();
    assert_eq!(texts.len(), POSTS, "each effect once: {texts:?}");
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), POSTS);
}

/// The queues of the shipped configuration.
const QUEUES: u64 = 7;

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_process_sends_less_than_one_redis_command_a_second() {
    let server = OwnRedis::start().await;
    let world =
        World { redis: TestRedis::at(&server.url()), database: TestDatabase::of(|store| bots().store(store)).await };
    let sandbox = sandbox().await;
    let _worker = start_worker(&world, &sandbox);
    let mut raw = world.redis.raw().await;
    until("all pools wait for work", || async { blocked(&mut world.redis.raw().await).await == QUEUES }).await;
    let before = calls(&mut raw).await;
    let began = std::time::Instant::now();
    until("ten seconds have passed", || async { began.elapsed() > Duration::from_secs(10) }).await;
    let sent = calls(&mut raw).await - before;
    assert!(sent <= 10, "{sent} commands in ten idle seconds");
}

async fn info(conn: &mut redis::aio::MultiplexedConnection, section: &str) -> String {
    redis::cmd("INFO").arg(section).query_async(conn).await.expect("INFO")
}

async fn blocked(conn: &mut redis::aio::MultiplexedConnection) -> u64 {
    let clients = info(conn, "clients").await;
    clients.lines().find_map(|l| l.strip_prefix("blocked_clients:")?.trim().parse().ok()).unwrap_or(0)
}

/// Commands that reached the server from outside, without this test's own.
async fn calls(conn: &mut redis::aio::MultiplexedConnection) -> u64 {
    let stats = info(conn, "commandstats").await;
    let of = |line: &str| -> Option<u64> {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        ["blpop", "evalsha", "eval", "ping", "get", "set", "xread"]
            .contains(&name)
            .then(|| rest.split(',').next()?.parse().ok())?
    };
    stats.lines().filter_map(of).sum()
}
