//! Data in Redis that Perch did not write.

mod support;

use std::time::Duration;

use perch_base::Clock;
use perch_job::Priority;
use perch_queue::{
    EnqueueError, EnqueueOptions, EventKind, Intake, JobState, NewJob, Replay, ReplayOutcome,
    worker::{HandlerResult, Handlers},
};
use serde_json::value::RawValue;
use support::{Chore, OnlyOne, Seen, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_damaged_in_redis_does_not_run_and_is_repaired_by_an_edit_alone() {
    let world = World::start().await;
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    let mut raw = world.redis.raw().await;
    let jobs = world.queue.keys().jobs();
    let stored: String = redis::cmd("HGET").arg(&jobs).arg(id.to_string()).query_async(&mut raw).await.expect("HGET");
    let damaged = stored.replace(r#"{"n":1}"#, r#"{"n":9}"#);
    assert_ne!(stored, damaged);
    redis::cmd("HSET").arg(&jobs).arg(id.to_string()).arg(damaged).exec_async(&mut raw).await.expect("HSET");
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        record.push(chore.n);
        async { HandlerResult::Ok(()) }
    }));
    eventually("it is dead", || async { world.queue.dead_letter(id).await.expect("Redis").is_some() }).await;
    let letter = world.queue.dead_letter(id).await.expect("Redis").expect("dead");
    assert!(letter.last_error().contains("damaged"), "{}", letter.last_error());
    let replay = |payload: Option<&str>| Replay {
        letter: letter.clone(),
        payload: payload.map(|text| RawValue::from_string(text.to_owned()).expect("JSON")),
    };
    let answer = world.queue.replay(&[replay(None)], Duration::ZERO, "ann").await.expect("Redis");
    assert_eq!(answer, [(id, ReplayOutcome::Unreadable)]);
    let answer = world.queue.replay(&[replay(Some(r#"{"n":1}"#))], Duration::ZERO, "ann").await.expect("Redis");
    assert_eq!(answer, [(id, ReplayOutcome::Replayed)]);
    eventually("it ran with the payload that somebody saw", || async { seen.all() == [1] }).await;
    working.stop().await;
}

/// Calls every operation of a queue and ignores errors.
async fn use_it(world: &World, n: u64) {
    let queue = &world.queue;
    let id = world.client.enqueue(&Chore::number(n)).await.map(|enqueued| enqueued.id);
    let high = EnqueueOptions { priority: Some(Priority::High), ..EnqueueOptions::default() };
    let _ = world.client.enqueue_with(&Chore::of_group(n, "account"), high).await;
    let _ = world.client.enqueue(&OnlyOne { key: "only".to_owned() }).await;
    let _ = world.client.submit_all((0..3).map(|n| NewJob::of(&Chore::number(n)).expect("JSON")).collect()).await;
    let _ = (queue.stats().await, queue.limits(&[]).await, queue.workers(Duration::from_secs(60)).await.is_ok());
    for state in [JobState::Waiting, JobState::Delayed, JobState::Running, JobState::Dead] {
        let _ = queue.job_page(state, None, 100).await;
    }
    let _ = queue.dead_page(None, 100).await;
    let _ = (queue.pause("ann").await, queue.resume("ann").await, queue.prune_some().await);
    if let Ok(id) = id {
        let _ = queue.cancel(id, "ann", "not wanted").await;
    }
    let _ = Intake::new(queue, &world.client).run_once().await;
}

/// The keys of a queue, each with a value of the wrong type.
fn odd_keys(world: &World) -> Vec<(String, redis::Cmd)> {
    let keys = world.queue.keys();
    let lists = [Priority::High, Priority::Normal, Priority::Low].map(|priority| keys.ready(priority));
    let lists = lists.into_iter().chain([keys.wake(), keys.event_marks()]);
    let others = [
        keys.delayed(),
        keys.leases(),
        keys.dead(),
        keys.attempts(),
        keys.dead_attempts(),
        keys.errors(),
        keys.priority(),
        keys.group(),
        keys.cancelled(),
        keys.cancelling(),
        keys.state(),
        keys.events(),
        keys.unique_queued(),
        keys.unique_done(),
        keys.unknown_kind(),
        keys.running(),
        keys.parked_groups(),
        keys.workers(),
        keys.worker_info(),
        keys.cron(),
        keys.cron_jobs(),
        keys.intake(),
        keys.jobs(),
    ];
    let text = |key: String| {
        let mut cmd = redis::cmd("SET");
        cmd.arg(&key).arg("odd");
        (key, cmd)
    };
    let set = |key: String| {
        let mut cmd = redis::cmd("SADD");
        cmd.arg(&key).arg(&[0xff, 0xfe][..]);
        (key, cmd)
    };
    lists.map(set).chain(others.map(text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_type_is_set_aside_and_the_queue_goes_on() {
    let world = World::with(|queue, _| queue.group_concurrency = 1, Clock::system()).await;
    let mut raw = world.redis.raw().await;
    for (key, plant) in odd_keys(&world) {
        redis::cmd("FLUSHDB").exec_async(&mut raw).await.expect("FLUSHDB");
        plant.exec_async(&mut raw).await.expect("planted");
        assert_eq!(world.queue.keys_of_wrong_type().await.expect("they can be looked for").len(), 1, "{key}");
        let seen = Seen::new();
        let record = seen.clone();
        let working = world.work(Handlers::new().on(move |chore: Chore| {
            record.push(chore.n);
            async { HandlerResult::Ok(()) }
        }));
        // Each script that uses the key may fail once; then everything works.
        for n in 0..3 {
            use_it(&world, n).await;
        }
        let id = world.client.enqueue(&Chore::number(99)).await.expect("accepted").id;
        eventually(&format!("a job runs beside an odd {key}"), || async { seen.all().contains(&99) }).await;
        eventually(&format!("and is finished beside an odd {key}"), || async {
            world.queue.job(id).await.expect("Redis").is_none()
        })
        .await;
        world.queue.stats().await.expect("the numbers can be read");
        working.stop().await;
        for odd in world.queue.keys_of_wrong_type().await.expect("they can be looked for") {
            assert!(odd.key.starts_with(&key), "{odd:?} beside an odd {key}");
        }
    }
}

/// The names of uniqueness locks, limiters and parked lists vary, so they cannot be enumerated.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_a_limiter_or_a_parked_list_of_another_type_stops_nothing() {
    let world = World::with(
        |queue, _| {
            queue.group_concurrency = 1;
            queue.group_rate = Some(perch_base::settings::Rate { count: 100, per: Duration::from_secs(1) });
        },
        Clock::system(),
    )
    .await;
    let keys = world.queue.keys();
    let mut plant = redis::pipe();
    plant.sadd(format!("{}only", keys.unique()), "odd");
    plant.sadd(format!("{}account", keys.rate()), "odd");
    plant.set(keys.parked_in(Priority::Normal, "account"), "odd");
    plant.zadd(keys.parked_groups(), "account", 0);
    plant.exec_async(&mut world.redis.raw().await).await.expect("planted");
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(
        Handlers::new()
            .on(move |chore: Chore| {
                record.push(chore.n);
                async { HandlerResult::Ok(()) }
            })
            .on(async |_: OnlyOne| HandlerResult::Ok(())),
    );
    world.client.enqueue(&OnlyOne { key: "only".to_owned() }).await.expect("accepted");
    for n in 0..3 {
        world.client.enqueue(&Chore::of_group(n, "account")).await.expect("accepted");
    }
    world.drained().await;
    assert_eq!(seen.all(), [0, 1, 2]);
    working.stop().await;
}

#[tokio::test]
async fn a_queue_takes_as_many_jobs_as_it_may_and_refuses_the_rest_until_there_is_room() {
    for ledger_like in [false, true] {
        let world = World::with(|queue, _| queue.max_depth = 4, Clock::system()).await;
        let job = |n| {
            let options =
                EnqueueOptions { priority: ledger_like.then_some(Priority::High), ..EnqueueOptions::default() };
            NewJob::of(&Chore::number(n)).expect("JSON").with(options)
        };
        for n in 0..3 {
            world.client.submit(job(n)).await.expect("accepted");
        }
        let answers = world.client.submit_all((3..6).map(job).collect()).await;
        let accepted: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        assert_eq!(accepted, [true, false, false]);
        let refused = world.client.submit(job(9)).await.expect_err("it is full");
        assert!(matches!(refused, EnqueueError::Full { limit: 4, .. }), "{refused}");
        assert!(refused.to_string().contains("max_depth"), "{refused}");
        let id = answers[0].as_ref().expect("accepted").id;
        world.queue.cancel(id, "ann", "to make room").await.expect("Redis");
        world.client.submit(job(10)).await.expect("there is room");
        assert_eq!(world.queue.stats().await.expect("Redis").waiting(), 4);
    }
}

/// An outage of Postgres, in which nobody reads the events.
#[tokio::test]
async fn events_that_nobody_reads_take_no_more_bytes_than_they_may() {
    const MEBIBYTE: usize = 1024 * 1024;
    let world = World::with(|queue, _| queue.events_max_bytes = 4 * MEBIBYTE, Clock::system()).await;
    let mut raw = world.redis.raw().await;
    let payload = |n: u64| serde_json::json!({ "n": n, "group": "x".repeat(20_000) }).to_string();
    let mut most = 0;
    for round in 0..30 {
        let jobs = (0..20).map(|n| {
            let payload = RawValue::from_string(payload(round * 100 + n)).expect("JSON");
            let options = EnqueueOptions { group: Some("account".to_owned()), ..EnqueueOptions::default() };
            NewJob { kind: "chore".parse().expect("a kind"), payload, options }
        });
        assert!(world.client.submit_all(jobs.collect()).await.iter().all(Result::is_ok));
        while world.queue.purge_some("ann").await.expect("Redis") > 0 {}
        let mut usage = redis::cmd("MEMORY");
        usage.arg("USAGE").arg(world.queue.keys().events()).arg("SAMPLES").arg(0);
        most = most.max(usage.query_async::<usize>(&mut raw).await.expect("MEMORY USAGE"));
    }
    assert!((2 * MEBIBYTE..=6 * MEBIBYTE).contains(&most), "{most} bytes at most, of 12 MB that were told");
    assert!(world.count(EventKind::Cancelled).await > 0, "the newest are kept");
}

#[tokio::test]
async fn events_take_no_more_bytes_than_they_may_though_their_count_was_no_number() {
    const MOST: usize = 1024 * 1024;
    let world = World::with(|queue, _| queue.events_max_bytes = MOST, Clock::system()).await;
    let mut raw = world.redis.raw().await;
    let mut plant = redis::cmd("HSET");
    plant.arg(world.queue.keys().state()).arg("events_bytes").arg("many");
    plant.exec_async(&mut raw).await.expect("planted");
    // Each event is smaller than the distance of two marks.
    for n in 0..600 {
        let options = EnqueueOptions { group: Some("account".to_owned()), ..EnqueueOptions::default() };
        let chore = Chore::of_group(n, &"x".repeat(5_000));
        world.client.enqueue_with(&chore, options).await.expect("accepted");
    }
    let mut usage = redis::cmd("MEMORY");
    usage.arg("USAGE").arg(world.queue.keys().events()).arg("SAMPLES").arg(0);
    let bytes: usize = usage.query_async(&mut raw).await.expect("MEMORY USAGE");
    assert!((MOST / 2..=MOST * 3 / 2).contains(&bytes), "{bytes} bytes of 3 MB that were told");
}
