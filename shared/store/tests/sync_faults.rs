//! Faults during a sync: nothing is lost or duplicated, and the rest goes on.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

mod world;

use std::{sync::Arc, task::Poll, thread::JoinHandle, time::Duration};

use perch_jobs::QueueName;
use perch_store::{JobState, Syncer};
use perch_testkit::{OwnRedis, TestRedis};
use redis::AsyncCommands;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};
use world::{World, envelope, job, queue, stream};

/// Another program writes to a stream, or replaces it.
#[tokio::test]
async fn odd_bytes_in_one_stream_or_something_else_in_its_place_hold_no_other_up() {
    let mut world = World::start().await;
    let other = QueueName::from_static("other");
    let other_stream = perch_queue::Keys::new(world::ENV, &other).events();
    let syncer = Syncer::new(world.redis.door(), world.store.clone(), world::ENV, &[queue(), other], 100);
    syncer.run_once().await.unwrap();
    for (n, odd) in (1u32..).zip([&[0xff, 0xfe, b'x'][..], &[0xc3, 0x28], b"", b"enqueued \xff"]) {
        let mut add = redis::cmd("XADD");
        add.arg(&other_stream).arg("*").arg(odd).arg(odd);
        add.exec_async(&mut world.conn).await.unwrap();
        world.event("enqueued", job(n), &envelope("extract_post")).await;
        syncer.run_once().await.unwrap();
        assert!(world.store.history().job(job(n)).await.unwrap().is_some(), "beside {odd:?}");
    }
    assert_eq!(world.store.sync_rejects(10).await.unwrap().len(), 4, "what is no event is set aside, with its stream");
    redis::cmd("DEL").arg(&other_stream).exec_async(&mut world.conn).await.unwrap();
    redis::cmd("SET").arg(&other_stream).arg("no stream").exec_async(&mut world.conn).await.unwrap();
    world.event("enqueued", job(9), &envelope("extract_post")).await;
    let said = syncer.run_once().await.unwrap_err().to_string();
    assert!(said.contains("stream"), "{said}");
    assert!(world.store.history().job(job(9)).await.unwrap().is_some());
}

#[tokio::test]
async fn something_else_in_place_of_what_was_synced_stops_no_sync_and_is_put_right() {
    let mut world = World::start().await;
    let note = format!("{}_synced", stream());
    redis::cmd("RPUSH").arg(&note).arg("0-1").exec_async(&mut world.conn).await.unwrap();
    assert!(world.syncer(100).rolled_back().await.unwrap().is_empty());
    let id = world.event("enqueued", job(1), &envelope("extract_post")).await;
    world.sync().await;
    assert!(world.store.history().job(job(1)).await.unwrap().is_some());
    assert_eq!(world.conn.get::<_, String>(&note).await.unwrap(), id);
}

#[tokio::test]
async fn a_crash_between_the_commit_and_the_trim_doubles_nothing() {
    // This Redis cannot trim, so every run ends there, as if it was killed at that moment.
    let server = OwnRedis::with(&["--rename-command", "XTRIM", ""]).await;
    let mut world = World::on(TestRedis::at(&server.url())).await;
    for n in 0..30 {
        world.event("enqueued", job(n), &envelope("extract_post")).await;
        world.event("started", job(n), r#"{"attempt":1,"worker":"w1"}"#).await;
    }
    let syncer = world.syncer(100).keeping(Duration::ZERO);
    syncer.run_once().await.unwrap_err();
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (30, 60));
    assert_eq!(world.sync().await.events, 0);

    // And with a cursor that is behind, as in a backup that was restored, everything is moved a second time.
    let cursor = "update sync_cursors set ms = 0, seq = 0, ordinal = 0, version_ms = 0, version_seq = 0";
    sqlx::query(cursor).execute(&world.database.raw()).await.unwrap();
    syncer.run_once().await.unwrap_err();
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (30, 60));
    assert_eq!(world.store.history().job(job(1)).await.unwrap().unwrap().state, JobState::Running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_that_run_at_once_move_every_event_once() {
    let mut world = World::start().await;
    let mut pipe = redis::pipe();
    for n in 0..2_000 {
        pipe.xadd(stream(), "*", &[(format!("enqueued {}", job(n)), envelope("extract_post"))]).ignore();
    }
    pipe.exec_async(&mut world.conn).await.unwrap();
    let runs = (0..4).map(|_| {
        let syncer = world.syncer(50);
        tokio::spawn(async move { syncer.run_once().await.unwrap() })
    });
    let reports = futures::future::try_join_all(runs).await.unwrap();
    assert_eq!(reports.iter().map(|report| report.events).sum::<u64>(), 2_000);
    assert!(reports.iter().flat_map(|report| &report.streams).all(|stream| stream.lost_entries == 0));
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (2_000, 2_000));
}

/// Concurrent syncs move each other's entries: none of them takes that for a loss, nor does a concurrent reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_that_run_at_once_are_not_taken_for_a_postgres_that_lost_something() {
    let mut world = World::start().await;
    let syncing: Vec<_> = (0..3).map(|_| world.syncer(3)).collect();
    let looking = world.syncer(3);
    for round in 0..60 {
        let mut pipe = redis::pipe();
        for n in 0..30 {
            pipe.xadd(stream(), "*", &[(format!("enqueued {}", job(round * 30 + n)), envelope("extract_post"))])
                .ignore();
        }
        pipe.exec_async(&mut world.conn).await.unwrap();
        let syncs = futures::future::try_join_all(syncing.iter().map(Syncer::run_once));
        let looks = async {
            for _ in 0..10 {
                let found = looking.rolled_back().await.unwrap();
                assert!(found.is_empty(), "{found:?}");
            }
        };
        let (synced, ()) = tokio::join!(syncs, looks);
        synced.unwrap();
    }
    let lost = world.store.recovery().lost_within(Duration::from_secs(3_600)).await.unwrap();
    assert!(!lost, "nothing was lost");
}

/// Runs a future for so many polls and then drops it.
async fn dropped_after<F: Future>(polls: u32, future: F) {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        left -= 1;
        if future.as_mut().poll(context).is_ready() || left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_sync_that_is_killed_at_any_moment_loses_and_doubles_nothing() {
    let mut world = World::start().await;
    for n in 0..300 {
        world.event("enqueued", job(n), &envelope("extract_post")).await;
    }
    for polls in 1..60 {
        let syncer = world.syncer(7);
        dropped_after(polls, syncer.run_once()).await;
    }
    let before = world.count("jobs").await;
    assert!(before > 0, "some of the runs got as far as a commit");
    world.sync().await;
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (300, 300));
}

/// Runs on a thread and a runtime of its own until `stop`, and then freezes.
fn freezing(syncer: Syncer, stop: Arc<Notify>) -> JoinHandle<Runtime> {
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                moved = syncer.run_once() => panic!("it should have been stopped: {moved:?}"),
                () = stop.notified() => {}
            }
        });
        runtime
    })
}

#[tokio::test]
async fn a_sync_that_froze_amid_a_batch_does_not_hold_up_the_others_for_ever() {
    let mut world = World::start().await;
    for n in 0..20 {
        world.event("enqueued", job(n), &envelope("extract_post")).await;
    }
    let pool = world.database.raw();
    let mut gate = pool.begin().await.unwrap();
    sqlx::query("lock table job_events in access exclusive mode").execute(&mut *gate).await.unwrap();
    let redis = world.redis.door();
    let doomed = Syncer::new(redis, world.database.store(world::ENV), world::ENV, &[queue()], 100);
    let stop = Arc::new(Notify::new());
    let frozen = freezing(doomed, stop.clone());
    let at_the_gate = async {
        let held = "select exists (select from pg_locks where relation = 'job_events'::regclass and not granted)";
        while !sqlx::query_scalar::<_, bool>(held).fetch_one(&pool).await.unwrap() {}
    };
    tokio::time::timeout(Duration::from_secs(30), at_the_gate).await.expect("the sync waits at the gate");
    stop.notify_one();
    let frozen = frozen.join().unwrap();
    gate.rollback().await.unwrap();

    assert_eq!(world.sync().await.events, 20);
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (20, 20));
    frozen.shutdown_background();
}

#[tokio::test]
async fn entries_that_were_trimmed_too_early_are_counted_and_reported() {
    let mut world = World::start().await;
    for n in 0..5 {
        world.event("enqueued", job(n), &envelope("extract_post")).await;
    }
    world.sync().await;
    for n in 5..25 {
        world.event("enqueued", job(n), &envelope("extract_post")).await;
    }
    let _: i64 = redis::cmd("XTRIM").arg(stream()).arg("MAXLEN").arg(8).query_async(&mut world.conn).await.unwrap();
    let report = world.sync().await;
    assert_eq!((report.events, report.streams.iter().map(|s| s.lost_entries).sum::<u64>()), (8, 12));
    let (gaps, lost): (i64, i64) =
        sqlx::query_as("select gaps, lost_entries from sync_cursors where stream = 'events:extraction'")
            .fetch_one(&world.database.raw())
            .await
            .unwrap();
    assert_eq!((gaps, lost), (1, 12));
    world.event("enqueued", job(99), &envelope("extract_post")).await;
    assert_eq!(world.sync().await.streams[0].lost_entries, 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_put_aside_and_the_rest_goes_on() {
    let mut world = World::start().await;
    let (good, bad) = (job(1), job(2));
    world.raw_entry(&stream(), "nonsense", b"{}").await;
    world.raw_entry(&stream(), "enqueued not-an-id", b"\xff\xfe").await;
    world.event("enqueued", bad, "}{").await;
    world.event("enqueued", good, &envelope("extract_post")).await;
    let report = world.sync().await;
    assert_eq!(report.streams.iter().map(|stream| stream.rejected).sum::<u64>(), 3);
    assert_eq!(world.store.history().job(good).await.unwrap().unwrap().state, JobState::Waiting);
    assert_eq!(world.store.history().job(bad).await.unwrap().unwrap().kind, None);
    let rejects = world.store.sync_rejects(10).await.unwrap();
    assert_eq!(rejects.len(), 3);
    assert!(rejects.iter().any(|reject| reject.field == "nonsense" && reject.reason.contains("not an event")));
}

#[tokio::test]
async fn payloads_that_postgres_cannot_hold_stop_nothing() {
    let mut world = World::start().await;
    let wrap = |payload: &str| format!(r#"{{"kind":"k","max":1,"payload":{payload}}}"#);
    let deep = format!("{}{}", "[".repeat(9_000), "]".repeat(9_000));
    let payloads = [r#""a\u0000b""#, r#""\ud800""#, "1e999999", deep.as_str(), r#"{"\u0000":1}"#];
    for (n, payload) in (0..).zip(payloads) {
        world.event("enqueued", job(n), &wrap(payload)).await;
    }
    let nul = r#"{"attempt":1,"error":"a\u0000b","worker":"w\u0000","result":{"\u0000":"\u0000"}}"#;
    world.event("dead", job(50), nul).await;
    // An attempt too large for its column: only this event is rejected, the others of the batch are stored.
    world.event("dead", job(51), r#"{"attempt":4294967295,"error":"too many"}"#).await;
    world.event("enqueued", job(52), &envelope("extract_post")).await;
    let report = world.sync().await;
    assert_eq!(report.streams.iter().map(|stream| stream.rejected).sum::<u64>(), 1);
    assert_eq!(world.count("jobs").await, 7);
    let dead = world.store.history().job(job(50)).await.unwrap().unwrap();
    assert_eq!(dead.last_error.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(world.sync().await.events, 0);
}

#[tokio::test]
async fn a_stream_that_fails_does_not_keep_the_others_waiting() {
    let mut world = World::start().await;
    let () = world.conn.set(world::HOT, "not a stream").await.unwrap();
    world.event("enqueued", job(1), &envelope("extract_post")).await;
    let failure = world.syncer(100).run_once().await.unwrap_err();
    assert!(!failure.is_unavailable(), "{failure}");
    assert_eq!(world.count("jobs").await, 1);
}
