//! What the sync promises about job events: nothing is lost, nothing is doubled, an older state never wins.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

mod world;

use std::{sync::Arc, task::Poll, thread::JoinHandle, time::Duration};

use chrono::{TimeDelta, Utc};
use perch_jobs::{JobId, QueueName};
use perch_store::{AttemptOutcome, JobFilter, JobState, Syncer};
use perch_testkit::{OwnRedis, TestRedis};
use redis::AsyncCommands;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};
use world::{World, envelope, job, ms, queue, stream};

#[tokio::test]
async fn a_job_can_be_followed_from_its_enqueue_to_its_end() {
    let mut world = World::start().await;
    let (id, child) = (job(1), job(2));
    let now = u64::try_from(Utc::now().timestamp_millis()).unwrap() - 60_000;
    world.event_at(now, &[("enqueued", id, &envelope("extract_post"))]).await;
    world.event_at(now + 10, &[("started", id, r#"{"attempt":1,"worker":"w1"}"#)]).await;
    let retried = format!(r#"{{"attempt":1,"worker":"w1","ms":90,"error":"503","next":{},"trace":"aa"}}"#, now + 500);
    world.event_at(now + 100, &[("retried", id, &retried)]).await;
    let halfway = world.sync().await;
    assert_eq!((halfway.events, halfway.complete), (3, true));
    let job = world.store.history().job(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempts, job.last_error.as_deref()), (JobState::Scheduled, 1, Some("503")));
    assert_eq!(u64::try_from(ms(job.run_at)).unwrap(), now + 500);

    world.event_at(now + 600, &[("started", id, r#"{"attempt":2,"worker":"w2"}"#)]).await;
    let born = envelope("publish_post").replace("\"max\"", &format!("\"parent\":\"{id}\",\"max\""));
    world.event_at(now + 650, &[("enqueued", child, &born)]).await;
    let done = r#"{"attempt":2,"worker":"w2","ms":100,"result":{"picks":2},"trace":"bb"}"#;
    world.event_at(now + 700, &[("succeeded", id, done)]).await;
    world.sync().await;

    let job = world.store.history().job(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempts, job.worker.as_deref()), (JobState::Done, 2, Some("w2")));
    assert_eq!(job.kind.as_deref(), Some("extract_post"));
    assert_eq!(job.payload.unwrap()["a"], 1);
    assert_eq!(job.result.unwrap()["picks"], 2);
    assert_eq!(u64::try_from(ms(job.finished_at)).unwrap(), now + 700);
    let attempts = world.store.history().attempts(id).await.unwrap();
    let told: Vec<_> =
        attempts.iter().map(|a| (a.attempt, a.outcome, a.worker.as_deref(), a.trace.as_deref())).collect();
    assert_eq!(
        told,
        [(1, AttemptOutcome::Retried, Some("w1"), Some("aa")), (2, AttemptOutcome::Succeeded, Some("w2"), Some("bb"))]
    );
    assert_eq!((attempts[0].error.as_deref(), attempts[0].duration_ms), (Some("503"), Some(90)));
    assert_eq!(u64::try_from(ms(attempts[0].started_at)).unwrap(), now + 10);
    assert_eq!(world.store.history().children(id).await.unwrap()[0].id, child);
    assert_eq!(world.store.history().events(id).await.unwrap().len(), 5);
}

#[tokio::test]
async fn an_attempt_that_has_not_ended_shows_as_running() {
    let mut world = World::start().await;
    let id = job(1);
    world.event("enqueued", id, &envelope("extract_post")).await;
    world.event("started", id, r#"{"attempt":1,"worker":"w1"}"#).await;
    world.sync().await;
    let attempts = world.store.history().attempts(id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].outcome, attempts[0].finished_at), (AttemptOutcome::Running, None));
    assert_eq!(world.store.history().job(id).await.unwrap().unwrap().state, JobState::Running);
}

#[tokio::test]
async fn a_history_of_failures_alone_still_names_the_job_and_its_payload() {
    let mut world = World::start().await;
    let id = job(1);
    let now = u64::try_from(Utc::now().timestamp_millis()).unwrap();
    let failure = r#"{"attempt":1,"worker":"w1","ms":50,"error":"429"}"#;
    world.event_at(now, &[("enqueued", id, &envelope("publish_post")), ("retried", id, failure)]).await;
    let death = r#"{"attempt":2,"worker":"w1","ms":40,"error":"403"}"#;
    world.event_at(now + 9, &[("enqueued", id, &envelope("publish_post")), ("dead", id, death)]).await;
    world.sync().await;
    let job = world.store.history().job(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempts, job.last_error.as_deref()), (JobState::Dead, 2, Some("403")));
    assert_eq!((job.kind.as_deref(), job.payload.unwrap()["a"].as_i64()), (Some("publish_post"), Some(1)));
    assert_eq!(world.store.history().attempts(id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_was_moved_is_let_go_of_a_minute_later_and_moving_again_finds_nothing() {
    let mut world = World::start().await;
    for n in 0..249 {
        world.event("enqueued", job(n), &envelope("extract_post")).await;
    }
    world.syncer(40).run_once().await.unwrap();
    let kept: usize = world.conn.xlen(stream()).await.unwrap();
    assert_eq!(kept, 249, "a Postgres that loses its last seconds gets them again");
    let later = u64::try_from((Utc::now() + TimeDelta::seconds(61)).timestamp_millis()).unwrap();
    world.event_at(later, &[("enqueued", job(249), &envelope("extract_post"))]).await;
    assert_eq!(world.syncer(40).run_once().await.unwrap().events, 1);
    let kept: usize = world.conn.xlen(stream()).await.unwrap();
    assert_eq!(kept, 1, "the last entry stays as the mark of where the sync is");
    let syncer = world.syncer(40);
    for _ in 0..3 {
        assert_eq!(syncer.run_once().await.unwrap().events, 0);
    }
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (250, 250));
}

/// A failover to an empty server, or to one that was started anew, whose clock is behind.
#[tokio::test]
async fn what_happens_by_a_clock_that_is_behind_is_later_all_the_same() {
    let mut world = World::start().await;
    let (id, other) = (job(1), job(2));
    let now = u64::try_from(Utc::now().timestamp_millis()).unwrap();
    world.event_at(now, &[("enqueued", id, &envelope("extract_post"))]).await;
    world.event_at(now + 5, &[("started", id, r#"{"attempt":1,"worker":"w1"}"#)]).await;
    world.sync().await;
    redis::cmd("FLUSHDB").exec_async(&mut world.conn).await.unwrap();
    let earlier = now - 3_600_000;
    world.event_at(earlier, &[("enqueued", id, &envelope("extract_post"))]).await;
    world.event_at(earlier + 5, &[("started", id, r#"{"attempt":2,"worker":"w2"}"#)]).await;
    world.syncer(1).run_once().await.unwrap();
    assert_eq!(world.store.history().job(id).await.unwrap().unwrap().attempts, 2);
    world.event_at(earlier + 20, &[("succeeded", id, r#"{"attempt":2,"worker":"w2"}"#)]).await;
    world.event_at(earlier + 30, &[("enqueued", other, &envelope("extract_post"))]).await;
    world.event_at(earlier + 40, &[("succeeded", other, r#"{"attempt":1,"worker":"w2"}"#)]).await;
    // Whatever is cut into which batch, and by a process that starts now.
    world.syncer(1).run_once().await.unwrap();
    for id in [id, other] {
        let job = world.store.history().job(id).await.unwrap().unwrap();
        assert_eq!(job.state, JobState::Done);
        assert!(ms(job.finished_at) < i64::try_from(now).unwrap(), "times stay those of the clock");
    }
    let words = world.store.history().events(id).await.unwrap().into_iter().map(|event| event.kind);
    assert!(words.eq(["enqueued", "started", "enqueued", "started", "succeeded"]));
    // And once the clock is ahead again.
    world.event_at(now + 50, &[("dead", id, r#"{"attempt":3,"error":"no"}"#)]).await;
    world.sync().await;
    assert_eq!(world.store.history().job(id).await.unwrap().unwrap().state, JobState::Dead);
}

/// Somebody else writes to a stream, or in its place.
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
async fn a_crash_between_the_commit_and_the_trim_doubles_nothing() {
    // This Redis cannot trim, so every run ends there, as one that is killed at that moment.
    let server = OwnRedis::with(&["--rename-command", "XTRIM", ""]).await;
    let mut world = World::on(TestRedis::at(&server.url())).await;
    for n in 0..30 {
        world.event("enqueued", job(n), &envelope("extract_post")).await;
        world.event("started", job(n), r#"{"attempt":1,"worker":"w1"}"#).await;
    }
    world.syncer(100).run_once().await.unwrap_err();
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (30, 60));
    assert_eq!(world.sync().await.events, 0);

    // And with a cursor that is behind, as in a backup that was restored, everything is moved a second time.
    let cursor = "update sync_cursors set ms = 0, seq = 0, ordinal = 0, version_ms = 0, version_seq = 0";
    sqlx::query(cursor).execute(&world.database.raw()).await.unwrap();
    world.syncer(100).run_once().await.unwrap_err();
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (30, 60));
    assert_eq!(world.store.history().job(job(1)).await.unwrap().unwrap().state, JobState::Running);
}

#[tokio::test]
async fn an_older_state_never_overwrites_a_newer_one() {
    let mut world = World::start().await;
    let (id, other) = (job(1), job(2));
    world.event_at(5_000, &[("enqueued", id, &envelope("extract_post"))]).await;
    world.event_at(5_010, &[("started", id, r#"{"attempt":1,"worker":"w1"}"#)]).await;
    let copy: Vec<u8> = redis::cmd("DUMP").arg(stream()).query_async(&mut world.conn).await.unwrap();
    world.sync().await;
    world.event_at(6_000, &[("succeeded", id, r#"{"attempt":1}"#)]).await;
    world.sync().await;
    // A replica that lagged takes over, and its clock is behind: what happens now has ids that follow the older copy.
    let () =
        redis::cmd("RESTORE").arg(stream()).arg(0).arg(copy).arg("REPLACE").query_async(&mut world.conn).await.unwrap();
    world.event_at(5_020, &[("enqueued", other, &envelope("extract_post"))]).await;
    world.event_at(5_030, &[("succeeded", other, r#"{"attempt":1,"worker":"w2"}"#)]).await;
    world.syncer(1).run_once().await.unwrap();
    for id in [id, other] {
        assert_eq!(world.store.history().job(id).await.unwrap().unwrap().state, JobState::Done);
    }
    assert_eq!(world.count("job_events").await, 5, "none is moved twice");
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

#[tokio::test]
async fn a_batch_of_more_than_one_read_moves_every_event_once_and_in_order() {
    let mut world = World::start().await;
    let mut pipe = redis::pipe();
    for n in 0..1_300 {
        pipe.xadd(stream(), "*", &[(format!("enqueued {}", job(n)), envelope("extract_post"))]).ignore();
    }
    for n in 0..1_300 {
        let text = r#"{"attempt":1,"worker":"a\tb\\n\u0000"}"#;
        pipe.xadd(stream(), "*", &[(format!("started {}", job(n)), text)]).ignore();
    }
    pipe.exec_async(&mut world.conn).await.unwrap();
    // The first batch ends with the first event of a second kind, so that jobs begin in one and go on in the next.
    let report = world.syncer(1_301).run_once().await.unwrap();
    assert_eq!((report.events, report.complete), (2_600, true));
    assert!(report.streams.iter().all(|stream| stream.lost_entries == 0 && stream.rejected == 0), "{report:?}");
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (1_300, 2_600));
    for n in [0, 1, 1_299] {
        let job = world.store.history().job(job(n)).await.unwrap().unwrap();
        assert_eq!((job.state, job.kind.as_deref()), (JobState::Running, Some("extract_post")));
        assert_eq!(job.worker.as_deref(), Some("a\tb\\n\u{fffd}"));
        assert_eq!(world.store.history().events(job.id).await.unwrap()[1].worker, job.worker);
    }
}

#[tokio::test]
async fn what_a_batch_does_not_say_of_a_job_stays_as_it_is_whatever_else_the_batch_says() {
    let mut world = World::start().await;
    let known = envelope("extract_post").replace("\"max\"", r#""priority":"high","replays":1,"max""#);
    let failed = r#"{"attempt":2,"worker":"w1","ms":90,"error":"503","trace":"aa"}"#;
    // So many that what none says is left out of their statement, and so few that it is not.
    for (first, jobs) in [(0, 500), (1_000, 4)] {
        let (half, all) = (first + jobs / 2, first + jobs);
        let mut pipe = redis::pipe();
        for n in first..all {
            pipe.xadd(
                stream(),
                "*",
                &[(format!("enqueued {}", job(n)), &*known), (format!("retried {}", job(n)), failed)],
            );
        }
        pipe.exec_async(&mut world.conn).await.unwrap();
        world.syncer(1_000).run_once().await.unwrap();
        let mut pipe = redis::pipe();
        (first..half).for_each(|n| _ = pipe.xadd(stream(), "*", &[(format!("cancelled {}", job(n)), "{}")]));
        pipe.exec_async(&mut world.conn).await.unwrap();
        world.syncer(1_000).run_once().await.unwrap();
        let mut pipe = redis::pipe();
        for n in half..all {
            let other = format!("enqueued {}", job(n + 10_000));
            pipe.xadd(stream(), "*", &[(format!("cancelled {}", job(n)), "{}"), (other, &*envelope("publish_post"))]);
        }
        pipe.exec_async(&mut world.conn).await.unwrap();
        world.syncer(1_000).run_once().await.unwrap();
        for n in [first, half - 1, half, all - 1] {
            let job = world.store.history().job(job(n)).await.unwrap().unwrap();
            assert_eq!(
                (job.state, job.priority.as_str(), job.attempts, job.replays),
                (JobState::Cancelled, "high", 2, 1)
            );
            assert_eq!((job.kind.as_deref(), job.group.as_deref()), (Some("extract_post"), Some("main")));
            assert_eq!((job.worker.as_deref(), job.last_error.as_deref()), (Some("w1"), Some("503")));
            assert_eq!((job.max_attempts, job.payload), (Some(6), Some(serde_json::json!({"a": 1}))));
        }
        let other = world.store.history().job(job(half + 10_000)).await.unwrap().unwrap();
        assert_eq!((other.state, other.priority.as_str(), other.attempts), (JobState::Waiting, "normal", 0));
        assert_eq!((other.kind.as_deref(), other.max_attempts), (Some("publish_post"), Some(6)));
        assert_eq!(world.store.history().events(job(first)).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn events_of_which_postgres_has_some_already_are_moved_all_the_same() {
    let mut world = World::start().await;
    for n in 0..40 {
        world.event("enqueued", job(n), &envelope("extract_post")).await;
    }
    // Redis comes back from a copy that was made before the stream was trimmed, Postgres from one made before that.
    let copy: Vec<u8> = redis::cmd("DUMP").arg(stream()).query_async(&mut world.conn).await.unwrap();
    world.syncer(10).run_once().await.unwrap();
    let () =
        redis::cmd("RESTORE").arg(stream()).arg(0).arg(copy).arg("REPLACE").query_async(&mut world.conn).await.unwrap();
    world.event("enqueued", job(40), &envelope("extract_post")).await;
    let pool = world.database.raw();
    let cursor = "update sync_cursors set ms = 0, seq = 0, ordinal = 0, version_ms = 0, version_seq = 0";
    sqlx::query(cursor).execute(&pool).await.unwrap();
    sqlx::query("delete from job_events where job_id in (select job_id from job_events order by ms, seq limit 15)")
        .execute(&pool)
        .await
        .unwrap();
    let report = world.syncer(10).run_once().await.unwrap();
    assert!(report.streams.iter().all(|stream| stream.rejected == 0), "{report:?}");
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (41, 41));
}

/// Runs a future for so many polls and then drops it, wherever it stands.
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

/// Runs on a thread and a runtime of its own until `stop`, and then stands still as it is.
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
    // An attempt that no column holds: only this event is put aside, the others of the batch are stored.
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
async fn an_entry_with_hundreds_of_events_is_moved_whole() {
    let mut world = World::start().await;
    let text = envelope("extract_post");
    let now = u64::try_from(Utc::now().timestamp_millis()).unwrap();
    let ids: Vec<JobId> = (0..500).map(job).collect();
    let fields: Vec<_> = ids.iter().map(|id| ("enqueued", *id, text.as_str())).collect();
    world.event_at(now, &fields).await;
    let started: Vec<_> = ids.iter().map(|id| ("started", *id, r#"{"attempt":1,"worker":"w"}"#)).collect();
    world.event_at(now, &started).await;
    let report = world.syncer(10).run_once().await.unwrap();
    assert_eq!(report.events, 1_000);
    let running = JobFilter { state: Some(JobState::Running), limit: 1_000, ..JobFilter::default() };
    assert_eq!(world.store.history().search(&running).await.unwrap().len(), 500);
}

#[tokio::test]
async fn the_lag_is_the_age_of_the_oldest_event_that_is_not_in_postgres() {
    let mut world = World::start().await;
    let ago = u64::try_from(Utc::now().timestamp_millis()).unwrap() - 90_000;
    world.event_at(ago, &[("enqueued", job(1), &envelope("extract_post"))]).await;
    world.event("enqueued", job(2), &envelope("extract_post")).await;
    let syncer = world.syncer(100);
    let name = format!("events:{}", queue());
    let behind = syncer.lag().await.unwrap();
    let line = behind.iter().find(|line| line.name == name).unwrap();
    assert!(line.lag.as_secs() >= 89 && line.entries == 2, "{line:?}");
    assert!(syncer.run_once().await.unwrap().lag.as_secs() >= 89);
    let after = syncer.lag().await.unwrap();
    assert!(after.iter().all(|line| line.lag.is_zero()), "{after:?}");
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

#[tokio::test]
async fn a_sync_with_nothing_to_do_is_one_command() {
    let server = OwnRedis::start().await;
    let mut world = World::on(TestRedis::at(&server.url())).await;
    world.event("enqueued", job(1), &envelope("extract_post")).await;
    let syncer = world.syncer(100);
    syncer.run_once().await.unwrap();
    let () = redis::cmd("CONFIG").arg("RESETSTAT").query_async(&mut world.conn).await.unwrap();
    for _ in 0..10 {
        assert_eq!(syncer.run_once().await.unwrap().events, 0);
    }
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut world.conn).await.unwrap();
    let counted: Vec<&str> = stats.lines().filter(|line| line.starts_with("cmdstat_")).collect();
    assert!(counted.iter().any(|line| line.starts_with("cmdstat_xread:calls=10,")), "{counted:?}");
    assert!(counted.iter().all(|line| line.contains("xread") || line.contains("config")), "{counted:?}");
}
