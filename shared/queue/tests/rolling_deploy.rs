//! Jobs in a rolling deploy, of kinds that only the workers of one release know.

mod support;

use std::time::Duration;

use perch_base::Clock;
use perch_job::{JobId, Priority};
use perch_queue::{
    EventKind,
    worker::{HandlerResult, Handlers, JobContext},
};
use support::{Chore, Seen, World, eventually};

/// As in a rolling deploy: the workers of the old release do not know what the new one enqueues.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_kind_no_worker_knows_waits_for_one_that_does_and_loses_no_attempt() {
    let clock = Clock::manual(chrono::Utc::now());
    let world = World::with(|_, _| {}, clock.clone()).await;
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    let newer = r#"{"v":9,"kind":"chore","max":3,"payload":{"n":2}}"#;
    let newer_id = JobId::at(clock.now());
    let mut plant = redis::pipe();
    plant.hset(world.queue.keys().jobs(), newer_id.to_string(), newer);
    plant.rpush(world.queue.keys().ready(Priority::Normal), newer_id.to_string());
    plant.exec_async(&mut world.redis.raw().await).await.expect("planted");

    let older = world.work(Handlers::new());
    eventually("both wait for another worker", || async {
        let stats = world.queue.stats().await.expect("Redis");
        (stats.unknown_kind, stats.delayed, stats.dead) == (2, 2, 0)
    })
    .await;
    let view = world.queue.job(id).await.expect("Redis").expect("it waits");
    assert_eq!((view.unknown_kind_since, view.attempts), (Some(clock.now()), 0));
    let snoozed = world.events().await.into_iter().find(|e| e.kind == EventKind::Snoozed).expect("history tells of it");
    assert!(snoozed.data().error.is_some_and(|why| why.contains("knows the kind chore")));
    older.stop().await;

    clock.advance(Duration::from_secs(2));
    let seen = Seen::new();
    let record = seen.clone();
    let knows = world.work(Handlers::new().on(move |chore: Chore, context: JobContext| {
        record.push((chore.n, context.attempt()));
        async { HandlerResult::Ok(()) }
    }));
    eventually("it ran, as its first attempt", || async { seen.all() == [(1, 1)] }).await;
    eventually("nothing is kept of its wait", || async { world.queue.stats().await.expect("Redis").unknown_kind == 1 })
        .await;
    knows.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_kind_nobody_comes_to_know_is_dead_with_its_reason_once_its_time_is_over() {
    let clock = Clock::manual(chrono::Utc::now());
    let wait = Duration::from_secs(3_600);
    let world = World::with(|_, engine| engine.unknown_kind_wait = wait, clock.clone()).await;
    let working = world.work(Handlers::new());
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    eventually("it was tried", || async { world.count(EventKind::Snoozed).await == 1 }).await;
    let mut tries = 0;
    while world.queue.dead_letter(id).await.expect("Redis").is_none() {
        let snoozed = world.count(EventKind::Snoozed).await;
        tries = tries.max(snoozed);
        clock.advance(Duration::from_secs(60));
        world.queue.run_now(id).await.expect("Redis");
        eventually("it was tried again", || async {
            world.count(EventKind::Snoozed).await > snoozed || world.count(EventKind::Dead).await == 1
        })
        .await;
    }
    let letter = world.queue.dead_letter(id).await.expect("Redis").expect("dead");
    assert!(letter.last_error().contains("no handler of this worker knows the kind chore"), "{}", letter.last_error());
    assert!(tries >= 60, "it waited for its whole time: {tries}");
    assert_eq!(world.queue.stats().await.expect("Redis").unknown_kind, 0);
    working.stop().await;
}
