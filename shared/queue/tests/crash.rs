//! What remains when a worker dies, Redis fails, or the process shuts down.

mod support;

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use perch_base::Clock;
use perch_queue::{
    EventKind, JobState,
    worker::{HandlerResult, Handlers, JobContext},
};
use perch_testkit::{OwnRedis, TestRedis};
use support::{Chore, Seen, World, engine, eventually, queue_settings};

const CHILD: &str = "PERCH_TEST_CHILD_REDIS";

/// Not a test of its own: the body of the worker process that other tests start and kill.
#[tokio::test(flavor = "multi_thread")]
async fn child_worker() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let redis = TestRedis::at(&url);
    let door = redis.door();
    let world = World::on(redis, door, queue_settings(), &engine(), &Clock::system());
    let working = world.work(Handlers::new().on(|chore: Chore| async move {
        if chore.n == 666 {
            std::process::abort();
        }
        std::future::pending::<()>().await;
        HandlerResult::Ok(())
    }));
    std::future::pending::<()>().await;
    working.stop().await;
}

/// A worker process that hangs in every job, and aborts in job 666.
fn start_child(world: &World) -> Child {
    Command::new(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", "child_worker", "--nocapture"])
        .env(CHILD, world.redis.url())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test can start itself")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_worker_was_killed_runs_again_and_counts_the_attempt() {
    let world = World::start().await;
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    let mut child = start_child(&world);
    eventually("the child runs it", || async {
        world.queue.job(id).await.expect("Redis").is_some_and(|j| j.state == JobState::Running)
    })
    .await;
    child.kill().expect("SIGKILL");
    child.wait().expect("it is gone");
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |_: Chore, cx: JobContext| {
        record.push(cx.attempt());
        async { HandlerResult::Ok(()) }
    }));
    eventually("it ran again", || async { seen.all() == [2] }).await;
    world.drained().await;
    let lost: Vec<_> = world.events().await.into_iter().filter(|e| e.kind == EventKind::Lost).collect();
    assert_eq!(lost.len(), 1);
    assert!(lost[0].data().error.expect("a reason").starts_with("worker lost"));
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_takes_over_from_a_killed_one_without_waiting_for_its_next_look() {
    // The idle worker looks every 30 s; the lease is 1.5 s.
    let world = World::start().await;
    let mut child = start_child(&world);
    eventually("the child is there", || async { world.queue.stats().await.expect("Redis").workers == 1 }).await;
    let seen = Seen::new();
    let record = seen.clone();
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let ran = gate.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore, cx: JobContext| {
        record.push((chore.n, cx.attempt()));
        ran.notify_one();
        async { HandlerResult::Ok(()) }
    }));
    eventually("both are there", || async { world.queue.stats().await.expect("Redis").workers == 2 }).await;
    // Either process gets jobs; those of the child hang until it is killed.
    for n in 0..8 {
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
        eventually("it was taken", || async { world.queue.stats().await.expect("Redis").waiting() == 0 }).await;
    }
    let killed = tokio::time::Instant::now();
    child.kill().expect("SIGKILL");
    child.wait().expect("it is gone");
    world.drained().await;
    assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
    let done: std::collections::HashSet<u64> = seen.all().into_iter().map(|(n, _)| n).collect();
    assert_eq!(done.len(), 8);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_keeps_killing_its_workers_ends_in_the_dead_letters() {
    let world = World::start().await;
    let id = world.client.enqueue(&Chore::number(666)).await.expect("accepted").id;
    for _ in 0..3 {
        let mut child = start_child(&world);
        child.wait().expect("it aborts");
    }
    let working = world.work(Handlers::new().on(|_: Chore| async { HandlerResult::Ok(()) }));
    eventually("it is dead", || async { world.queue.dead_letter(id).await.expect("Redis").is_some() }).await;
    let letter = world.queue.dead_letter(id).await.expect("Redis").expect("dead");
    assert_eq!((letter.attempts, letter.errors.len()), (3, 3));
    assert!(letter.errors.iter().all(|e| e.error.as_deref().is_some_and(|e| e.starts_with("worker lost"))));
    world.client.enqueue(&Chore::number(1)).await.expect("accepted");
    eventually("the pool lives on", || async { world.count(EventKind::Succeeded).await == 1 }).await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_lease_was_taken_is_told_to_stop_and_cannot_acknowledge() {
    let world = World::start().await;
    let stopped = Seen::new();
    let record = stopped.clone();
    let working = world.work(Handlers::new().on(move |_: Chore, cx: JobContext| {
        let record = record.clone();
        async move {
            if cx.attempt() == 1 {
                cx.cancellation().cancelled().await;
                record.push(cx.holds_lease());
            }
            HandlerResult::Ok(cx.attempt())
        }
    }));
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    eventually("it runs", || async {
        world.queue.job(id).await.expect("Redis").is_some_and(|j| j.state == JobState::Running)
    })
    .await;
    // As if it had been silent for longer than its lease: another worker reaps the lease. A heartbeat may renew it first.
    let key = world.queue.keys().leases();
    let mut raw = world.redis.raw().await;
    let members: Vec<String> =
        redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).query_async(&mut raw).await.expect("ZRANGE");
    eventually("the second attempt succeeded", || async {
        let mut raw = world.redis.raw().await;
        redis::cmd("ZADD").arg(&key).arg("XX").arg(1).arg(&members[0]).exec_async(&mut raw).await.expect("ZADD");
        world.queue.run_now(id).await.expect("a token for the idle fetcher");
        world.count(EventKind::Succeeded).await == 1
    })
    .await;
    eventually("the first attempt was told", || async { stopped.len() == 1 }).await;
    assert_eq!(stopped.all(), [false]);
    let results: Vec<_> = world.events().await.into_iter().filter(|e| e.kind == EventKind::Succeeded).collect();
    assert_eq!(results[0].data().result, Some(2.into()));
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_gives_back_what_was_not_started_and_what_does_not_end_in_time_without_counting() {
    let world = World::with(|queue, _| (queue.concurrency, queue.prefetch) = (1, 3), Clock::system()).await;
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        record.push(chore.n);
        async {
            std::future::pending::<()>().await;
            HandlerResult::Ok(())
        }
    }));
    for n in 0..4 {
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
    }
    // All four are leased before the handler of the first is called.
    eventually("one runs, three are fetched", || async {
        world.queue.stats().await.expect("Redis").running == 4 && seen.len() == 1
    })
    .await;
    working.stop().await;
    assert_eq!(seen.len(), 1);
    let stats = world.queue.stats().await.expect("Redis");
    assert_eq!((stats.waiting(), stats.running, stats.workers), (4, 0, 0));
    let jobs = world.queue.job_page(JobState::Waiting, None, 10).await.expect("Redis").jobs;
    assert!(jobs.iter().all(|(_, j)| j.attempts == 0 && j.errors.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_and_restarted_ends_no_worker_and_loses_no_job() {
    let mut server = OwnRedis::start().await;
    let redis = TestRedis::at(&server.url());
    let door = redis.door();
    let world = World::on(redis, door, queue_settings(), &engine(), &Clock::system());
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        record.push(chore.n);
        async { HandlerResult::Ok(()) }
    }));
    for n in 0..50 {
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
    }
    world.drained().await;
    server.kill();
    assert!(world.client.enqueue(&Chore::number(1)).await.is_err_and(|e| e.to_string().contains("redis")));
    server.restart().await;
    eventually("a job is accepted again", || async { world.client.enqueue(&Chore::number(1_000)).await.is_ok() }).await;
    eventually("and run", || async { seen.all().contains(&1_000) }).await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_put_back_keeps_the_attempts_it_has_left() {
    let start = chrono::DateTime::from_timestamp(1_790_000_000, 0).expect("a valid time");
    let clock = perch_base::Clock::manual(start);
    let world = World::with(|_, _| (), clock.clone()).await;
    let lost = perch_queue::LostJob {
        id: perch_job::JobId::at(start),
        // As Postgres writes JSON, with a space after each colon.
        envelope: r#"{"max": 3, "kind": "chore", "payload": {"n": 1}}"#.to_owned(),
        run_at: None,
        attempts: 1,
        error: Some("the first attempt failed".to_owned()),
        died_at: None,
        in_doubt: true,
    };
    let id = lost.id;
    assert_eq!(world.queue.restore(&[lost]).await.expect("Redis").0, 1);
    for lives in [true, false] {
        let fetched = perch_queue::testing::fetch(&world.queue, "dies", 1, 100).await.expect("Redis");
        assert_eq!(fetched.jobs.len(), 1, "it starts");
        clock.advance(world.queue.engine().lease * 2);
        perch_queue::testing::fetch(&world.queue, "other", 0, 100).await.expect("Redis");
        let letter = world.queue.dead_letter(id).await.expect("Redis");
        assert_eq!(letter.is_none(), lives, "{letter:?}");
    }
}
