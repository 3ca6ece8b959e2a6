//! Large numbers that must do no harm: many jobs due at once, many tasks in the intake; and the cost of an idle worker.

mod support;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use apalis_core::backend::TaskSink;
use apalis_redis::{Config, RedisStorage};
use chrono::Utc;
use perch_base::{Clock, settings::History};
use perch_job::Priority;
use perch_queue::{
    EnqueueOptions, Envelope, Fail, Intake, Lease, NewJob, Replay,
    testing::{self, AttemptEnd},
    worker::{HandlerResult, Handlers},
};
use perch_testkit::{OwnRedis, TestRedis};
use support::{Chore, World, engine, eventually, queue_settings};

fn counting(count: &Arc<AtomicU64>) -> Handlers {
    let count = count.clone();
    Handlers::new().on(move |_: Chore| {
        count.fetch_add(1, Ordering::Relaxed);
        async { HandlerResult::Ok(()) }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_jobs_due_in_the_same_second_drain_without_a_stall() {
    const JOBS: u64 = 100_000;
    let world =
        World::with(|queue, _| (queue.concurrency, queue.history) = (200, History::Failures), Clock::system()).await;
    let run_at = Some(Utc::now() + chrono::TimeDelta::milliseconds(100));
    for start in (0..JOBS).step_by(10_000) {
        let jobs = (start..start + 10_000)
            .map(|n| {
                NewJob::of(&Chore::number(n))
                    .expect("JSON")
                    .with(EnqueueOptions { run_at, ..EnqueueOptions::default() })
            })
            .collect();
        assert!(world.client.submit_all(jobs).await.iter().all(Result::is_ok));
    }
    let count = Arc::new(AtomicU64::new(0));
    let working = world.work(counting(&count));
    world.drained().await;
    assert_eq!(count.load(Ordering::Relaxed), JOBS);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_jobs_of_a_stock_producer_are_handed_over_once_each() {
    const JOBS: u64 = 100_000;
    let world =
        World::with(|queue, _| (queue.concurrency, queue.history) = (200, History::Failures), Clock::system()).await;
    let intake = Intake::new(&world.queue, &world.client);
    let conn = apalis_redis::connect(world.redis.url()).await.expect("Redis answers");
    let mut storage = RedisStorage::<Chore>::new(conn).with_config(Config::default().queue(intake.namespace()));
    for start in (0..JOBS).step_by(5_000) {
        storage.push_bulk((start..start + 5_000).map(Chore::number).collect()).await.expect("pushed");
    }
    // Two processes take over at the same time.
    let (one, two) = tokio::join!(intake.run_once(), intake.run_once());
    assert_eq!(one.expect("Redis") + two.expect("Redis"), usize::try_from(JOBS).expect("it fits"));
    let count = Arc::new(AtomicU64::new(0));
    let working = world.work(counting(&count));
    world.drained().await;
    assert_eq!(count.load(Ordering::Relaxed), JOBS);
    let left: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{}*", intake.namespace()))
        .query_async(&mut world.redis.raw().await)
        .await
        .expect("KEYS");
    assert!(left.is_empty(), "{left:?}");
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_intake_remembers_does_not_grow_though_tasks_keep_coming() {
    const A_STEP: u64 = 20;
    let clock = Clock::manual(Utc::now());
    let world = World::with(|_, _| {}, clock.clone()).await;
    let intake = Intake::new(&world.queue, &world.client);
    let conn = apalis_redis::connect(world.redis.url()).await.expect("Redis answers");
    let mut storage = RedisStorage::<Chore>::new(conn).with_config(Config::default().queue(intake.namespace()));
    let mut most = 0;
    // A day of tasks every ten minutes, each remembered for an hour.
    for step in 0..144 {
        storage.push_bulk((0..A_STEP).map(|n| Chore::number(step * A_STEP + n)).collect()).await.expect("pushed");
        assert_eq!(intake.run_once().await.expect("Redis answers"), usize::try_from(A_STEP).expect("it fits"));
        let mut raw = world.redis.raw().await;
        let remembered: u64 =
            redis::cmd("ZCARD").arg(world.queue.keys().intake()).query_async(&mut raw).await.expect("ZCARD");
        most = most.max(remembered);
        clock.advance(Duration::from_secs(600));
    }
    assert!(most <= 8 * A_STEP, "{most} are remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_taken_over_before_a_crash_is_not_taken_over_again() {
    let world = World::start().await;
    let intake = Intake::new(&world.queue, &world.client);
    let conn = apalis_redis::connect(world.redis.url()).await.expect("Redis answers");
    let mut storage = RedisStorage::<Chore>::new(conn).with_config(Config::default().queue(intake.namespace()));
    storage.push_bulk((0..3).map(Chore::number).collect()).await.expect("pushed");
    let mut raw = world.redis.raw().await;
    let copy = |from: &str, to: &str| {
        let mut cmd = redis::cmd("COPY");
        cmd.arg(format!("{}:{from}", intake.namespace())).arg(format!("{}:{to}", intake.namespace()));
        cmd
    };
    for key in ["scheduled", "data"] {
        copy(key, &format!("kept-{key}")).exec_async(&mut raw).await.expect("COPY");
    }
    assert_eq!(intake.run_once().await.expect("Redis"), 3);
    let count = Arc::new(AtomicU64::new(0));
    let working = world.work(counting(&count));
    world.drained().await;
    // As left by a crash between the enqueue and the removal.
    for key in ["scheduled", "data"] {
        copy(&format!("kept-{key}"), key).exec_async(&mut raw).await.expect("COPY");
    }
    assert_eq!(intake.run_once().await.expect("Redis"), 0);
    world.drained().await;
    assert_eq!(count.load(Ordering::Relaxed), 3);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_cannot_be_a_job_ends_in_the_dead_letters_and_holds_no_other_up() {
    let world = World::start().await;
    let intake = Intake::new(&world.queue, &world.client);
    let conn = apalis_redis::connect(world.redis.url()).await.expect("Redis answers");
    let mut storage = RedisStorage::<Chore>::new(conn).with_config(Config::default().queue(intake.namespace()));
    let tasks = vec![Chore::number(1), Chore::of_group(2, "a|b"), Chore::number(3)];
    storage.push_bulk(tasks).await.expect("pushed");
    assert_eq!(intake.run_once().await.expect("Redis"), 3);
    let count = Arc::new(AtomicU64::new(0));
    let working = world.work(counting(&count));
    world.drained().await;
    assert_eq!(count.load(Ordering::Relaxed), 2);
    let letters = world.queue.dead_page(None, 10).await.expect("Redis").letters;
    let envelope = letters[0].decoded().expect("readable");
    assert!(letters[0].last_error().contains("must not contain '|'"), "{}", letters[0].last_error());
    assert_eq!((envelope.kind.as_str(), envelope.payload.get()), ("chore", r#"{"n":2,"group":"a|b"}"#));
    // An operator repairs the payload; the job runs.
    let payload = serde_json::value::RawValue::from_string(r#"{"n":2,"group":"ab"}"#.to_owned()).expect("JSON");
    let replay = Replay { letter: letters[0].clone(), payload: Some(payload) };
    world.queue.replay(&[replay], Duration::ZERO, "ann").await.expect("Redis");
    eventually("it ran", || async { count.load(Ordering::Relaxed) == 3 }).await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_at_its_memory_limit_can_still_be_drained() {
    let server = OwnRedis::start().await;
    let redis = TestRedis::at(&server.url());
    let world = World::on(redis, server_door(&server), queue_settings(), &engine(), &Clock::system());
    for n in 0..50 {
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
    }
    let mut raw = world.redis.raw().await;
    let limit = |bytes: &'static str| {
        let mut cmd = redis::cmd("CONFIG");
        cmd.arg("SET").arg("maxmemory").arg(bytes);
        cmd
    };
    limit("1mb").exec_async(&mut raw).await.expect("CONFIG SET");
    assert!(world.client.enqueue(&Chore::number(99)).await.is_err(), "it is full");
    let count = Arc::new(AtomicU64::new(0));
    let working = world.work(counting(&count));
    eventually("all of it ran", || async { count.load(Ordering::Relaxed) == 50 }).await;
    limit("0").exec_async(&mut raw).await.expect("CONFIG SET");
    world.drained().await;
    working.stop().await;
}

/// Two processes, of which one loads the script into Redis while the other has calls under way too.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_call_wait_in_their_order_though_redis_learns_the_script_meanwhile() {
    let server = OwnRedis::start().await;
    let mut settings = queue_settings();
    settings.history = History::Failures;
    let world = || {
        let redis = TestRedis::at(&server.url());
        World::on(redis, server_door(&server), settings.clone(), &engine(), &Clock::system())
    };
    let [one, other] = [world(), world()];
    let some = || (0..1_500).map(|n| NewJob::of(&Chore::number(n)).expect("JSON")).collect::<Vec<_>>();
    let mut raw = one.redis.raw().await;
    for _ in 0..40 {
        redis::cmd("FLUSHALL").exec_async(&mut raw).await.expect("FLUSHALL");
        redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut raw).await.expect("SCRIPT FLUSH");
        let (first, second) = tokio::join!(one.client.submit_all(some()), other.client.submit_all(some()));
        let mut waiting = redis::cmd("LRANGE");
        waiting.arg(one.queue.keys().ready(Priority::Normal)).arg(0).arg(-1);
        let waiting: Vec<String> = waiting.query_async(&mut raw).await.expect("LRANGE");
        for answers in [first, second] {
            let ids: Vec<String> = answers.into_iter().map(|a| a.expect("accepted").id.to_string()).collect();
            let mine: HashSet<&String> = ids.iter().collect();
            assert!(waiting.iter().filter(|id| mine.contains(id)).eq(&ids), "they wait in another order");
        }
    }
}

#[tokio::test]
async fn many_successes_are_acknowledged_at_once_by_a_redis_at_its_memory_limit() {
    const JOBS: usize = 60;
    let server = OwnRedis::start().await;
    let redis = TestRedis::at(&server.url());
    let mut settings = queue_settings();
    settings.history = History::Failures;
    let world = World::on(redis, server_door(&server), settings, &engine(), &Clock::system());
    let jobs = (0..JOBS as u64).map(|n| NewJob::of(&Chore::number(n)).expect("JSON")).collect();
    assert!(world.client.submit_all(jobs).await.iter().all(Result::is_ok));
    let fetched = testing::fetch(&world.queue, "steps", JOBS, 0).await.expect("Redis").jobs;
    let leases: Vec<Lease> = fetched.into_iter().map(|(lease, _)| lease).collect();
    let mut limit = redis::cmd("CONFIG");
    limit.arg("SET").arg("maxmemory").arg("1mb").exec_async(&mut world.redis.raw().await).await.expect("CONFIG SET");
    assert!(world.client.enqueue(&Chore::number(99)).await.is_err(), "it is full");
    assert_eq!(testing::succeed(&world.queue, &leases).await.expect("Redis works"), [true; JOBS]);
    assert_eq!(world.queue.stats().await.expect("Redis").succeeded, JOBS as u64);
}

#[tokio::test]
async fn dead_letters_are_pruned_from_a_redis_at_its_memory_limit() {
    const DEAD: usize = 60;
    let server = OwnRedis::start().await;
    let redis = TestRedis::at(&server.url());
    let mut settings = queue_settings();
    (settings.dead_retention, settings.history) = (Duration::ZERO, History::Failures);
    let world = World::on(redis, server_door(&server), settings, &engine(), &Clock::system());
    let jobs = (0..DEAD as u64).map(|n| NewJob::of(&Chore::number(n)).expect("JSON")).collect();
    assert!(world.client.submit_all(jobs).await.iter().all(Result::is_ok));
    for (lease, envelope) in testing::fetch(&world.queue, "steps", DEAD, 0).await.expect("Redis").jobs {
        let envelope = Envelope::decode(&envelope).expect("readable");
        let dead = AttemptEnd::Failed(Fail::Dead("hopeless".into()));
        assert!(testing::finish(&world.queue, &lease, &envelope, dead).await.expect("Redis"));
    }
    let mut limit = redis::cmd("CONFIG");
    limit.arg("SET").arg("maxmemory").arg("1mb").exec_async(&mut world.redis.raw().await).await.expect("CONFIG SET");
    assert!(world.client.enqueue(&Chore::number(99)).await.is_err(), "it is full");
    assert_eq!(world.queue.prune_some().await.expect("Redis works"), DEAD);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_sends_less_than_one_command_a_second() {
    let server = OwnRedis::start().await;
    let redis = TestRedis::at(&server.url());
    let mut engine = engine();
    engine.idle_block = Duration::from_secs(2);
    let world = World::on(redis, server_door(&server), queue_settings(), &engine, &Clock::system());
    let count = Arc::new(AtomicU64::new(0));
    let working = world.work(counting(&count));
    world.client.enqueue(&Chore::number(1)).await.expect("accepted");
    eventually("it ran", || async { count.load(Ordering::Relaxed) == 1 }).await;
    let now = || async { commands(&mut TestRedis::at(&server.url()).raw().await).await };
    let looks = |sent: &HashMap<String, u64>| sent.get("blpop").copied().unwrap_or(0);
    let ran = looks(&now().await);
    // The first fetch may have begun before the job was acknowledged.
    eventually("it is idle", || async { looks(&now().await) > ran + 1 }).await;
    let before = now().await;
    eventually("it has looked three times", || async { looks(&now().await) >= looks(&before) + 3 }).await;
    let after = now().await;
    let by_name = ["blpop", "evalsha", "ping", "unwatch", "eval", "script|load"]
        .map(|name| (name, after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0)));
    let sent: u64 = by_name.iter().map(|(_, sent)| sent).sum();
    // Each wake-up is one blocking read and one fetch: at the default of 30 s, 0.07 commands a second and queue.
    let looked = looks(&after) - looks(&before);
    assert!(sent <= 2 * looked + 1, "{sent} commands in {looked} looks: {by_name:?}");
    working.stop().await;
}

fn server_door(server: &OwnRedis) -> perch_queue::Redis {
    TestRedis::at(&server.url()).door()
}

async fn commands(conn: &mut redis::aio::MultiplexedConnection) -> HashMap<String, u64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(conn).await.expect("INFO");
    info.lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        })
        .collect()
}
