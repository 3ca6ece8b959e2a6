//! The pending commands of an idle worker: a blocking read, and the fetch that follows it.

mod support;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{TimeDelta, Utc};
use perch_base::{
    Clock,
    settings::{EngineSettings, QueueSettings},
};
use perch_job::Priority;
use perch_queue::{
    EnqueueOptions,
    testing::{fetch, fetch_behind, introduce, leave, renew},
    worker::{HandlerResult, Handlers, JobContext},
};
use perch_testkit::{OwnRedis, TestRedis};
use support::{Chore, Seen, World, engine, eventually, queue_settings};
use tokio::sync::Notify;

async fn tokens(world: &World) -> usize {
    let mut conn = world.redis.raw().await;
    redis::cmd("LLEN").arg(world.queue.keys().wake()).query_async(&mut conn).await.expect("LLEN")
}

async fn take_token(world: &World) {
    let mut conn = world.redis.raw().await;
    redis::cmd("DEL").arg(world.queue.keys().wake()).exec_async(&mut conn).await.expect("DEL");
}

/// A world on its own server, where idle workers can be counted.
async fn apart(concurrency: usize) -> (OwnRedis, World) {
    apart_with(concurrency, &engine()).await
}

async fn apart_with(concurrency: usize, engine: &EngineSettings) -> (OwnRedis, World) {
    let server = OwnRedis::start().await;
    let redis = TestRedis::at(&server.url());
    let door = redis.door();
    let settings = QueueSettings { concurrency, ..queue_settings() };
    let world = World::on(redis, door, settings, engine, &Clock::system());
    (server, world)
}

async fn until_idle(world: &World, workers: usize) {
    let waiting = format!("blocked_clients:{workers}\r\n");
    eventually("workers wait", || async {
        let mut conn = world.redis.raw().await;
        let info: String = redis::cmd("INFO").arg("clients").query_async(&mut conn).await.expect("INFO");
        info.contains(&waiting)
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_along_with_a_read_that_was_given_up_takes_nothing_and_puts_the_token_back() {
    for plain in [false, true] {
        let world = World::start().await;
        introduce(&world.queue, "w1", "its second connection").await.expect("Redis answers");
        let job = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
        take_token(&world).await;

        let late =
            fetch_behind(&world.queue, "w1", 5, 100, "its first connection", plain).await.expect("Redis answers");
        assert!(late.is_none(), "{late:?}");
        assert_eq!(tokens(&world).await, 1);
        let taken =
            fetch_behind(&world.queue, "w1", 5, 100, "its second connection", plain).await.expect("Redis answers");
        assert_eq!(taken.expect("it counts").jobs.iter().map(|(lease, _)| lease.id()).collect::<Vec<_>>(), [job]);
    }
}

#[tokio::test]
async fn a_worker_that_has_left_is_leased_nothing_by_what_it_sent_before() {
    let world = World::start().await;
    introduce(&world.queue, "w1", "here").await.expect("Redis answers");
    leave(&world.queue, "w1").await.expect("Redis answers");
    world.client.enqueue(&Chore::number(1)).await.expect("accepted");
    for plain in [false, true] {
        let late = fetch_behind(&world.queue, "w1", 5, 100, "here", plain).await.expect("Redis answers");
        assert!(late.is_none(), "{late:?}");
    }
    assert_eq!(world.queue.stats().await.expect("Redis answers").waiting(), 1);
}

#[tokio::test]
async fn what_was_sent_along_with_a_read_judges_nobody_lost() {
    let clock = Clock::manual(Utc::now());
    let world = World::with(|_, _| {}, clock.clone()).await;
    introduce(&world.queue, "w1", "here").await.expect("Redis answers");
    world.client.enqueue(&Chore::number(1)).await.expect("accepted");
    let running = fetch(&world.queue, "w2", 1, 0).await.expect("Redis answers").jobs;
    world.client.enqueue(&Chore::number(2)).await.expect("accepted");
    clock.advance(2 * engine().lease);

    for plain in [false, true] {
        take_token(&world).await;
        let late = fetch_behind(&world.queue, "w1", 5, 100, "here", plain).await.expect("Redis answers");
        assert!(late.is_none(), "{late:?}");
        assert_eq!(tokens(&world).await, 1);
    }
    let stats = world.queue.stats().await.expect("Redis answers");
    assert_eq!((stats.running, stats.waiting()), (1, 1), "w2 may be about to renew its lease");
    let (lost, _) = renew(&world.queue, "w2", &[running[0].0.clone()], 0).await.expect("Redis answers");
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test]
async fn what_the_quick_fetch_cannot_take_it_leaves_to_the_one_after_it() {
    let soon = TimeDelta::seconds(5);
    let high = EnqueueOptions { priority: Some(Priority::High), ..EnqueueOptions::default() };
    let low = EnqueueOptions { priority: Some(Priority::Low), ..EnqueueOptions::default() };
    let due = EnqueueOptions { run_at: Some(Utc::now() + soon), ..EnqueueOptions::default() };
    for options in [high, low, due] {
        let clock = Clock::manual(Utc::now());
        let world = World::with(|_, _| {}, clock.clone()).await;
        introduce(&world.queue, "w1", "here").await.expect("Redis answers");
        let odd = world.client.enqueue_with(&Chore::number(1), options.clone()).await.expect("accepted").id;
        clock.advance(Duration::from_secs(6));
        let plain = world.client.enqueue(&Chore::number(2)).await.expect("accepted").id;
        take_token(&world).await;

        let quick = fetch_behind(&world.queue, "w1", 5, 100, "here", true).await.expect("Redis answers");
        assert!(quick.is_none(), "{options:?}: {quick:?}");
        assert_eq!(tokens(&world).await, 1, "{options:?}");
        let full = fetch(&world.queue, "w1", 5, 100).await.expect("Redis answers").jobs;
        let taken: BTreeSet<_> = full.iter().map(|(lease, _)| lease.id()).collect();
        assert_eq!(taken, BTreeSet::from([odd, plain]), "{options:?}");
    }
}

/// The number of this name in this section of `INFO`.
async fn told(world: &World, section: &str, name: &str) -> u32 {
    let mut conn = world.redis.raw().await;
    let info: String = redis::cmd("INFO").arg(section).query_async(&mut conn).await.expect("INFO");
    let found = info.lines().find_map(|line| line.strip_prefix(name)?.split(',').next()?.parse().ok());
    found.unwrap_or(0)
}

const UNKNOWN_SCRIPTS: &str = "errorstat_NOSCRIPT:count=";

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_leaves_no_script_behind_that_redis_does_not_know() {
    let (_server, world) = apart(4).await;
    let working = world.work(Handlers::new().on(|_: Chore| async { HandlerResult::Ok(()) }));
    until_idle(&world, 1).await;
    let before = told(&world, "errorstats", UNKNOWN_SCRIPTS).await;
    let mut conn = world.redis.raw().await;
    redis::cmd("LPUSH").arg(world.queue.keys().wake()).arg("1").exec_async(&mut conn).await.expect("LPUSH");
    eventually("it has read again", || async { told(&world, "commandstats", "cmdstat_blpop:calls=").await >= 2 }).await;
    assert_eq!(told(&world, "errorstats", UNKNOWN_SCRIPTS).await, before);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_a_priority_wakes_all_idle_workers_once_and_then_one() {
    const WORKERS: usize = 4;
    let (_server, world) = apart(4).await;
    let working: Vec<_> =
        (0..WORKERS).map(|_| world.work(Handlers::new().on(|_: Chore| async { HandlerResult::Ok(()) }))).collect();
    let high = EnqueueOptions { priority: Some(Priority::High), ..EnqueueOptions::default() };
    let scripts = async || told(&world, "commandstats", "cmdstat_evalsha:calls=").await;
    let mut before = 0;
    for n in 0..3 {
        until_idle(&world, WORKERS).await;
        before = scripts().await;
        world.client.enqueue_with(&Chore::number(n), high.clone()).await.expect("accepted");
        // Read without a script, which would be counted.
        eventually("it is done", || async {
            let mut get = redis::cmd("HGET");
            get.arg("stg:{chores}:state").arg("succeeded");
            let done: Option<u64> = get.query_async(&mut world.redis.raw().await).await.expect("HGET");
            done == Some(n + 1)
        })
        .await;
        until_idle(&world, WORKERS).await;
    }
    // The enqueue, the fetch, the acknowledgement, and two of a worker that watches the lease.
    let ran = scripts().await - before;
    assert!(ran <= 5, "{ran} scripts ran");
    for worker in working {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_forgot_its_scripts_learns_each_of_them_but_once() {
    let (_server, world) = apart(4).await;
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        record.push(chore.n);
        async { HandlerResult::Ok(()) }
    }));
    let ran = async |n: u64| {
        until_idle(&world, 1).await;
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
        eventually("it ran", || async { seen.all().last() == Some(&n) }).await;
        world.drained().await;
    };
    let unknown = async || told(&world, "errorstats", UNKNOWN_SCRIPTS).await;
    ran(1).await;
    let mut conn = world.redis.raw().await;
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut conn).await.expect("SCRIPT FLUSH");
    for n in 2..5 {
        ran(n).await;
    }
    let before = unknown().await;
    for n in 5..10 {
        ran(n).await;
    }
    assert_eq!(unknown().await, before);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_in_the_moment_a_job_comes_runs_it_or_gives_it_back() {
    let (_server, world) = apart(4).await;
    for n in 0..25 {
        let seen = Seen::new();
        let record = seen.clone();
        let working = world.work(Handlers::new().on(move |chore: Chore| {
            record.push(chore.n);
            async { HandlerResult::Ok(()) }
        }));
        until_idle(&world, 1).await;
        let chore = Chore::number(n);
        let (enqueued, ()) = tokio::join!(world.client.enqueue(&chore), working.stop());
        let id = enqueued.expect("accepted").id;
        let stats = world.queue.stats().await.expect("Redis answers");
        let (waiting, ran) = (stats.waiting(), u64::try_from(seen.len()).expect("few"));
        assert_eq!((stats.running, waiting + ran), (0, 1), "round {n}: {stats:?}");
        if waiting == 1 {
            world.queue.cancel(id, "the round is over", "test").await.expect("Redis answers");
        }
        eventually("nothing is left", || async { world.queue.stats().await.expect("Redis answers").waiting() == 0 })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_gives_a_job_back_that_came_in_that_moment_while_others_still_run() {
    // Leases and grace are too long to matter here.
    let (lease, grace) = (Duration::from_secs(60), Duration::from_secs(60));
    let engine = EngineSettings { lease, shutdown_grace: grace, ..engine() };
    let (_server, world) = apart_with(4, &engine).await;
    for round in 0..15 {
        let (seen, free) = (Seen::new(), Arc::new(Notify::new()));
        let (record, held) = (seen.clone(), free.clone());
        let working = world.work(Handlers::new().on(move |chore: Chore| {
            record.push(chore.n);
            let held = held.clone();
            async move {
                if chore.n == 1 {
                    held.notified().await;
                }
                HandlerResult::Ok(())
            }
        }));
        until_idle(&world, 1).await;
        world.client.enqueue(&Chore::number(1)).await.expect("accepted");
        eventually("one runs", || async { seen.len() == 1 }).await;
        until_idle(&world, 1).await;
        working.stop.cancel();
        let id = world.client.enqueue(&Chore::number(2)).await.expect("accepted").id;
        eventually("the other is waiting, or ran", || async {
            let stats = world.queue.stats().await.expect("Redis answers");
            (stats.running, stats.waiting()) == (1, u64::from(seen.len() == 1))
        })
        .await;
        if seen.len() == 1 {
            world.queue.cancel(id, "the round is over", "test").await.expect("Redis answers");
        }
        free.notify_one();
        working.stop().await;
        assert_eq!(world.queue.stats().await.expect("Redis answers").running, 0, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_a_token_has_filled_waits_for_no_other() {
    let (_server, world) = apart(1).await;
    let (seen, free) = (Seen::new(), Arc::new(Notify::new()));
    let (record, held) = (seen.clone(), free.clone());
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        record.push(chore.n);
        let held = held.clone();
        async move {
            held.notified().await;
            HandlerResult::Ok(())
        }
    }));
    until_idle(&world, 1).await;
    for n in [1, 2] {
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
    }
    eventually("the first runs", || async { seen.all() == [1] }).await;
    until_idle(&world, 0).await;
    assert_eq!(seen.all(), [1], "its timeout has not passed");
    let stats = world.queue.stats().await.expect("Redis answers");
    assert_eq!((stats.running, stats.waiting()), (1, 1));
    for _ in 0..2 {
        free.notify_one();
        eventually("the second runs", || async { seen.all() == [1, 2] }).await;
    }
    world.drained().await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_comes_to_a_full_worker_is_run_by_another_at_once() {
    let (_server, world) = apart(1).await;
    let (seen, free) = (Seen::new(), Arc::new(Notify::new()));
    let handlers = || {
        let (record, free) = (seen.clone(), free.clone());
        Handlers::new().on(move |chore: Chore, cx: JobContext| {
            let (record, free) = (record.clone(), free.clone());
            async move {
                record.push((chore.n, cx.attempt()));
                if chore.n == 1 {
                    free.notified().await;
                }
                HandlerResult::Ok(())
            }
        })
    };
    let first = world.work(handlers());
    until_idle(&world, 1).await;
    // The job becomes due without a token, so the read of the worker stays pending while its only slot is taken.
    let soon =
        EnqueueOptions { run_at: Some(world.queue.now() + Duration::from_millis(300)), ..EnqueueOptions::default() };
    world.client.enqueue_with(&Chore::number(1), soon).await.expect("accepted");
    eventually("the first worker is full", || async { seen.all() == [(1, 1)] }).await;
    let second = world.work(handlers());
    until_idle(&world, 2).await;
    world.client.enqueue(&Chore::number(2)).await.expect("accepted");
    eventually("the other worker ran it", || async { seen.all() == [(1, 1), (2, 1)] }).await;
    free.notify_one();
    world.drained().await;
    first.stop().await;
    second.stop().await;
}
