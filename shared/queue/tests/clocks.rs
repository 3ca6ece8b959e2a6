//! Wrong clocks: those of Redis, workers and schedulers differ or are set back.

mod support;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use perch_base::{
    Clock,
    settings::{CatchUp, CronSettings, Overlap, Rate},
};
use perch_queue::{
    CronEntry, EnqueueOptions, EventKind, Fail, TickOutcome,
    testing::{self, AttemptEnd},
    worker::{HandlerResult, Handlers},
};
use perch_testkit::{Machine, OwnRedis, TestRedis};
use support::{Chore, Seen, World, engine, eventually, queue_settings};
use tokio_util::sync::CancellationToken;

/// A world on a local Redis.
async fn world_on(machine: &Machine) -> (OwnRedis, World) {
    world_with(machine, |_| {}).await
}

async fn world_with(
    machine: &Machine,
    change: impl FnOnce(&mut perch_base::settings::QueueSettings),
) -> (OwnRedis, World) {
    let server = OwnRedis::on(machine).await;
    let redis = TestRedis::at(&server.url());
    let door = redis.door();
    let mut settings = queue_settings();
    change(&mut settings);
    let world = World::on(redis, door, settings, &engine(), &Clock::system());
    world.queue.redis().ping().await.expect("Redis answers");
    (server, world)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_queue_is_that_of_its_redis() {
    for ahead in [TimeDelta::hours(2), TimeDelta::hours(-2)] {
        let machine = Machine::new();
        machine.set_clock(ahead);
        let (_server, world) = world_on(&machine).await;
        let off = world.queue.now() - Utc::now() - ahead;
        assert!(off.abs() < TimeDelta::minutes(1), "{off}");
        assert_eq!(world.queues.now().signed_duration_since(world.queue.now()).num_minutes(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_clock_is_two_hours_ahead_runs_a_job_whose_deadline_is_a_minute_away() {
    let machine = Machine::new();
    machine.set_clock(TimeDelta::hours(-2));
    let (_server, world) = world_on(&machine).await;
    let deadline = Some(world.queue.now() + TimeDelta::minutes(1));
    let options = EnqueueOptions { deadline, ..EnqueueOptions::default() };
    world.client.enqueue_with(&Chore::number(1), options).await.expect("accepted");
    let late =
        EnqueueOptions { deadline: Some(world.queue.now() - TimeDelta::minutes(1)), ..EnqueueOptions::default() };
    assert!(world.client.enqueue_with(&Chore::number(2), late).await.is_err(), "it is over by the clock of Redis");
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        record.push(chore.n);
        async { HandlerResult::Ok(()) }
    }));
    eventually("it ran", || async { seen.all() == [1] }).await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cron_ticks_by_the_clock_of_redis() {
    let machine = Machine::new();
    machine.set_clock(TimeDelta::hours(-30));
    let (_server, world) = world_on(&machine).await;
    let entry = CronEntry::new("every_second", &every_second(), &world.client).expect("a schedule");
    let stop = CancellationToken::new();
    let running = tokio::spawn(entry.clone().run(stop.clone()));
    eventually("it fired", || async { world.count(EventKind::Enqueued).await > 0 }).await;
    let last = entry.view().await.expect("Redis").last.expect("it fired");
    assert!((world.queue.now() - last).abs() < TimeDelta::minutes(1), "{last}");
    stop.cancel();
    running.await.expect("it ends");
}

fn every_second() -> CronSettings {
    CronSettings {
        schedule: "* * * * * *".to_owned(),
        timezone: chrono_tz::UTC,
        kind: "chore".parse().expect("a kind"),
        payload: serde_json::json!({ "n": 1 }),
        overlap: Overlap::Allow,
        catch_up: CatchUp::Skip,
        enabled: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_a_scheduler_fired_an_hour_too_early_holds_nothing_up() {
    let world = World::start().await;
    world.queue.redis().ping().await.expect("Redis answers");
    let entry = CronEntry::new("every_second", &every_second(), &world.client).expect("a schedule");
    assert_eq!(entry.fire(world.queue.now() + TimeDelta::hours(1)).await.expect("Redis"), TickOutcome::Fired);
    let stop = CancellationToken::new();
    let running = tokio::spawn(entry.clone().run(stop.clone()));
    eventually("it fires again", || async { world.count(EventKind::Enqueued).await >= 3 }).await;
    let last = entry.view().await.expect("Redis").last.expect("it fired");
    assert!(last <= world.queue.now() + TimeDelta::seconds(2), "{last}");
    stop.cancel();
    running.await.expect("it ends");
    // Nor does a value that is not a time.
    let mut cmd = redis::cmd("HSET");
    cmd.arg(world.queue.keys().cron()).arg("every_second").arg("tomorrow");
    cmd.exec_async(&mut world.redis.raw().await).await.expect("HSET");
    assert_eq!(entry.view().await.expect("it can be seen").last, None);
    assert_eq!(entry.fire(world.queue.now() + TimeDelta::seconds(2)).await.expect("Redis"), TickOutcome::Fired);
}

/// As after a failover to a server whose clock is behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_job_is_taken_over_though_the_clock_of_redis_went_back_an_hour() {
    let machine = Machine::new();
    let (_server, world) = world_on(&machine).await;
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    // A worker leases it and then dies.
    assert_eq!(testing::fetch(&world.queue, "lost", 1, 0).await.expect("Redis").jobs.len(), 1);
    machine.set_clock(TimeDelta::hours(-1));
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        record.push(chore.n);
        async { HandlerResult::Ok(()) }
    }));
    eventually("another ran it", || async { seen.all() == [1] }).await;
    eventually("its history tells of it", || async {
        world.events().await.iter().any(|event| event.job == id && event.kind == EventKind::Succeeded)
    })
    .await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_worker_keeps_its_jobs_though_the_clock_of_redis_went_back_an_hour() {
    let machine = Machine::new();
    let (_server, world) = world_on(&machine).await;
    world.client.enqueue(&Chore::number(1)).await.expect("accepted");
    let held = testing::fetch(&world.queue, "alive", 1, 0).await.expect("Redis").jobs.remove(0);
    machine.set_clock(TimeDelta::hours(-1));
    // Other workers fetch, and it renews its lease.
    for _ in 0..3 {
        assert!(testing::fetch(&world.queue, "other", 1, 100).await.expect("Redis").jobs.is_empty());
        let (lost, _) = testing::renew(&world.queue, "alive", std::slice::from_ref(&held.0), 100).await.expect("Redis");
        assert!(lost.is_empty(), "{lost:?}");
    }
    let envelope = perch_queue::Envelope::decode(&held.1).expect("readable");
    assert!(testing::finish(&world.queue, &held.0, &envelope, AttemptEnd::Succeeded).await.expect("Redis"));
}

/// Retries and snoozes move with the clock, because the engine chose their times; jobs enqueued for a time of day keep it.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_wait_for_their_next_attempt_wait_no_longer_though_the_clock_of_redis_went_back_an_hour() {
    let machine = Machine::new();
    machine.set_clock(TimeDelta::hours(1));
    let (_server, world) = world_on(&machine).await;
    let at_noon = EnqueueOptions { run_at: Some(world.queue.now() + TimeDelta::hours(9)), ..EnqueueOptions::default() };
    world.client.enqueue_with(&Chore::number(3), at_noon.clone()).await.expect("accepted");
    for n in [1, 2] {
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
    }
    let held = testing::fetch(&world.queue, "worker", 2, 0).await.expect("Redis").jobs;
    let (soon, later) = (Duration::from_secs(1), Duration::from_secs(600));
    for ((lease, envelope), wait) in held.iter().zip([soon, later]) {
        let envelope = perch_queue::Envelope::decode(envelope).expect("readable");
        let end = AttemptEnd::Failed(Fail::Snooze(wait, "not now".into()));
        assert!(testing::finish(&world.queue, lease, &envelope, end).await.expect("Redis"));
    }
    machine.set_clock(TimeDelta::zero());
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        record.push(chore.n);
        async { HandlerResult::Ok(()) }
    }));
    eventually("the first ran", || async { seen.all() == [1] }).await;
    working.stop().await;
    let waiting: Vec<(String, i64)> = redis::cmd("ZRANGE")
        .arg(world.queue.keys().delayed())
        .arg(&["0", "-1", "WITHSCORES"])
        .query_async(&mut world.redis.raw().await)
        .await
        .expect("Redis");
    let at = |n: usize| Utc.timestamp_millis_opt(waiting[n].1).single().expect("a time");
    assert!(at(0) <= world.queue.now() + TimeDelta::seconds(601), "{waiting:?}");
    assert_eq!(at(1).timestamp_millis(), at_noon.run_at.expect("given").timestamp_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_go_on_though_the_clock_of_redis_went_back_an_hour() {
    let rate = Some(Rate { count: 2, per: Duration::from_millis(200) });
    for of_group in [false, true] {
        let machine = Machine::new();
        let limit = |queue: &mut perch_base::settings::QueueSettings| {
            if of_group {
                queue.group_rate = rate;
            } else {
                queue.rate = rate;
            }
            queue.concurrency = 1;
        };
        let (_server, world) = world_with(&machine, limit).await;
        for n in 0..6 {
            world.client.enqueue(&Chore::of_group(n, "account")).await.expect("accepted");
        }
        let seen = Seen::new();
        let record = seen.clone();
        let working = world.work(Handlers::new().on(move |chore: Chore| {
            record.push(chore.n);
            async { HandlerResult::Ok(()) }
        }));
        eventually("the first ones started", || async { seen.len() >= 2 }).await;
        machine.set_clock(TimeDelta::hours(-1));
        // The next enqueue wakes the idle worker.
        world.client.enqueue(&Chore::of_group(6, "account")).await.expect("accepted");
        eventually("all of them ran, in their order", || async { seen.all() == [0, 1, 2, 3, 4, 5, 6] }).await;
        working.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_waits_its_delay_whatever_time_the_one_that_enqueues_it_believes_in() {
    for step in [TimeDelta::zero(), TimeDelta::hours(1), TimeDelta::hours(-1)] {
        let machine = Machine::new();
        let (_server, world) = world_on(&machine).await;
        machine.set_clock(step);
        let options = EnqueueOptions {
            run_at: Some(world.queue.now() + TimeDelta::minutes(5)),
            delay: Some(Duration::from_secs(60)),
            ..EnqueueOptions::default()
        };
        world.client.enqueue_with(&Chore::number(1), options).await.expect("accepted");
        let stats = world.queue.stats().await.expect("Redis");
        assert_eq!((stats.waiting(), stats.delayed), (0, 1), "a step of {step}");
    }
}

/// As each poll of an account enqueues the next poll for when it is due.
#[tokio::test(flavor = "multi_thread")]
async fn a_successor_waits_no_longer_though_the_clock_of_redis_went_back_an_hour() {
    let machine = Machine::new();
    machine.set_clock(TimeDelta::hours(1));
    let (_server, world) = world_on(&machine).await;
    for run_at in [Some(world.queue.now() + TimeDelta::minutes(10)), None] {
        let options = EnqueueOptions { run_at, delay: Some(Duration::from_secs(60)), ..EnqueueOptions::default() };
        world.client.enqueue_with(&Chore::number(1), options).await.expect("accepted");
    }
    testing::fetch(&world.queue, "worker", 1, 0).await.expect("Redis");
    machine.set_clock(TimeDelta::zero());
    testing::fetch(&world.queue, "worker", 1, 0).await.expect("Redis");
    let waiting = due_times(&world).await;
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|at| *at <= Utc::now() + TimeDelta::minutes(10)), "{waiting:?}");
}

/// The due times of waiting jobs, earliest first.
async fn due_times(world: &World) -> Vec<DateTime<Utc>> {
    let waiting: Vec<(String, i64)> = redis::cmd("ZRANGE")
        .arg(world.queue.keys().delayed())
        .arg(&["0", "-1", "WITHSCORES"])
        .query_async(&mut world.redis.raw().await)
        .await
        .expect("Redis");
    waiting.iter().map(|(_, at)| Utc.timestamp_millis_opt(*at).single().expect("a time")).collect()
}

/// An idle worker takes its jobs by the quick fetch alone, for minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_quick_fetch_notes_the_clock_of_redis_and_leaves_it_to_the_other_to_see_that_it_went_back() {
    let machine = Machine::new();
    let (_server, world) = world_on(&machine).await;
    testing::introduce(&world.queue, "idle", "known").await.expect("Redis");
    let quick = async || testing::fetch_behind(&world.queue, "idle", 1, 100, "known", true).await.expect("Redis");
    machine.set_clock(TimeDelta::hours(1));
    let waits = EnqueueOptions { delay: Some(Duration::from_secs(600)), ..EnqueueOptions::default() };
    world.client.enqueue_with(&Chore::number(1), waits).await.expect("accepted");
    assert!(quick().await.is_some(), "it counts");
    machine.set_clock(TimeDelta::zero());
    assert!(quick().await.is_none(), "it does not count");
    testing::fetch(&world.queue, "idle", 1, 0).await.expect("Redis");
    let waiting = due_times(&world).await;
    assert!(waiting[0] <= Utc::now() + TimeDelta::seconds(601), "{waiting:?}");
    assert!(quick().await.is_some(), "it counts again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_an_unknown_kind_waits_from_now_on_where_its_wait_began_by_a_clock_that_went_back() {
    let machine = Machine::new();
    machine.set_clock(TimeDelta::hours(1));
    let (_server, world) = world_on(&machine).await;
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    let nobody_knows_it = async || {
        let (lease, envelope) = testing::fetch(&world.queue, "older", 1, 0).await.expect("Redis").jobs.remove(0);
        let envelope = perch_queue::Envelope::decode(&envelope).expect("readable");
        assert!(testing::finish(&world.queue, &lease, &envelope, AttemptEnd::Unknown).await.expect("Redis"));
        world.queue.job(id).await.expect("Redis").expect("it waits").unknown_kind_since.expect("it is noted")
    };
    let first = nobody_knows_it().await;
    assert!(first > Utc::now() + TimeDelta::minutes(59), "{first}");
    machine.set_clock(TimeDelta::zero());
    world.queue.run_now(id).await.expect("Redis");
    let again = nobody_knows_it().await;
    assert!(again <= Utc::now(), "{again}");
    world.queue.run_now(id).await.expect("Redis");
    assert_eq!(nobody_knows_it().await, again, "it began then");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_heard_of_last_before_the_clock_of_redis_went_back_does_not_count() {
    let machine = Machine::new();
    let (_server, world) = world_on(&machine).await;
    for worker in ["lost", "alive"] {
        testing::introduce(&world.queue, worker, "known").await.expect("Redis");
    }
    machine.set_clock(TimeDelta::hours(-1));
    testing::introduce(&world.queue, "alive", "known").await.expect("Redis");
    assert_eq!(world.queue.stats().await.expect("Redis").workers, 1);
}

/// What a replica has of a stream and of the state behind its ids.
async fn copy(world: &World, conn: &mut redis::aio::MultiplexedConnection) -> Vec<(String, Option<Vec<u8>>)> {
    let keys = world.queue.keys();
    let mut copies = Vec::new();
    for key in [keys.events(), keys.state()] {
        copies.push((key.clone(), redis::cmd("DUMP").arg(&key).query_async(conn).await.expect("Redis answers")));
    }
    copies
}

/// Promotes a replica that lacks everything after the copy.
async fn take_over(copies: &[(String, Option<Vec<u8>>)], conn: &mut redis::aio::MultiplexedConnection) {
    for (key, copy) in copies {
        redis::cmd("DEL").arg(key).exec_async(conn).await.expect("Redis answers");
        if let Some(copy) = copy {
            redis::cmd("RESTORE").arg(key).arg(0).arg(copy).exec_async(conn).await.expect("Redis answers");
        }
    }
    let time = async |conn: &mut redis::aio::MultiplexedConnection| -> (u64, u64) {
        redis::cmd("TIME").query_async(conn).await.expect("Redis answers")
    };
    // A promotion takes longer than this.
    let (seconds, micros) = time(conn).await;
    while time(conn).await <= (seconds, micros + 5_000) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_of_an_event_is_given_twice_though_clocks_step_and_replicas_take_over_that_lag() {
    let machine = Machine::new();
    let (server, world) = world_on(&machine).await;
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut conn = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let mut given = std::collections::BTreeMap::<String, Vec<String>>::new();
    let mut copies = copy(&world, &mut conn).await;
    for (step, hours) in [1, 0, 0, 0, 2, -1, 0, 0, 0, -2, 0, 0, 1, 0, 0].into_iter().enumerate() {
        machine.set_clock(TimeDelta::hours(hours));
        for n in 0..5 {
            world.client.enqueue(&Chore::number(n)).await.expect("Redis accepts it");
        }
        if step % 3 == 2 {
            take_over(&copies, &mut conn).await;
        } else {
            copies = copy(&world, &mut conn).await;
        }
        for n in 0..5 {
            world.client.enqueue(&Chore::number(n)).await.expect("Redis accepts it");
        }
        let entries: Vec<(String, Vec<String>)> = redis::cmd("XRANGE")
            .arg(world.queue.keys().events())
            .arg("-")
            .arg("+")
            .query_async(&mut conn)
            .await
            .expect("entries");
        for (id, entry) in entries {
            let first = given.entry(id.clone()).or_insert_with(|| entry.clone());
            assert_eq!(*first, entry, "{id} was given twice (step {step})");
        }
    }
    assert!(given.len() > 100, "{}", given.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_or_a_beginning_that_somebody_planted_far_ahead_stops_no_queue() {
    let (server, world) = world_on(&Machine::new()).await;
    let client = redis::Client::open(server.url()).expect("a URL");
    let mut conn = client.get_multiplexed_async_connection().await.expect("Redis answers");
    let keys = world.queue.keys();
    for (n, last) in ["", "9223372036854775807-1", "18446744073709551614-7"].into_iter().enumerate() {
        if !last.is_empty() {
            redis::cmd("XADD")
                .arg(keys.events())
                .arg(last)
                .arg("a")
                .arg("b")
                .exec_async(&mut conn)
                .await
                .expect("planted");
        }
        for (id, since) in [("9000000000000000000", "1"), ("1", "-1e18"), ("nan", "inf"), ("x", "")] {
            let mut plant = redis::cmd("HSET");
            plant.arg(keys.state()).arg("ahead_id").arg(id).arg("ahead_since").arg(since);
            plant.exec_async(&mut conn).await.expect("planted");
            world.client.enqueue(&Chore::number(n as u64)).await.expect("it is accepted");
        }
    }
}
