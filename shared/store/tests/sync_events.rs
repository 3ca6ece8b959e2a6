//! What the sync guarantees for job events: nothing is lost, nothing is duplicated, an older state never wins.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

mod world;

use std::time::Duration;

use chrono::Utc;
use perch_base::Paging;
use perch_jobs::JobId;
use perch_store::{AttemptOutcome, JobFilter, JobState};
use perch_testkit::{OwnRedis, TestRedis};
use redis::AsyncCommands;
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
    assert_eq!((job.state, job.attempts, job.last_error.as_deref()), (JobState::Delayed, 1, Some("503")));
    assert_eq!(u64::try_from(ms(job.run_at)).unwrap(), now + 500);

    world.event_at(now + 600, &[("started", id, r#"{"attempt":2,"worker":"w2"}"#)]).await;
    let born = envelope("publish_post").replace("\"max\"", &format!("\"parent\":\"{id}\",\"max\""));
    world.event_at(now + 650, &[("enqueued", child, &born)]).await;
    let done = r#"{"attempt":2,"worker":"w2","ms":100,"result":{"read":2},"trace":"bb"}"#;
    world.event_at(now + 700, &[("succeeded", id, done)]).await;
    world.sync().await;

    let job = world.store.history().job(id).await.unwrap().unwrap();
    assert_eq!((job.state, job.attempts, job.worker.as_deref()), (JobState::Done, 2, Some("w2")));
    assert_eq!(job.kind.as_deref(), Some("extract_post"));
    assert_eq!(job.payload.unwrap()["a"], 1);
    assert_eq!(job.result.unwrap()["read"], 2);
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
async fn what_postgres_has_had_for_long_enough_is_let_go_of_and_moving_again_finds_nothing() {
    let mut world = World::start().await;
    for n in 0..250 {
        world.event("enqueued", job(n), &envelope("extract_post")).await;
    }
    let syncer = world.syncer(40).keeping(Duration::ZERO);
    assert_eq!(syncer.run_once().await.unwrap().events, 250);
    let kept: usize = world.conn.xlen(stream()).await.unwrap();
    assert_eq!(kept, 1, "the last entry stays as the mark of where the sync is");
    for syncer in [&syncer, &world.syncer(40)] {
        for _ in 0..3 {
            assert_eq!(syncer.run_once().await.unwrap().events, 0);
        }
    }
    assert_eq!((world.count("jobs").await, world.count("job_events").await), (250, 250));
}

/// The clock of Redis is set an hour ahead, and back, after which ids go on a minute or two ahead of the last one.
#[tokio::test]
async fn what_was_just_moved_is_kept_for_a_postgres_that_loses_it_however_far_ahead_the_next_ids_are() {
    let mut world = World::start().await;
    let now = u64::try_from(Utc::now().timestamp_millis()).unwrap();
    let syncer = world.syncer(100);
    for (n, ahead) in (0..).zip([0, 10, 3_600_000, 3_600_010, 3_720_000, 3_720_010]) {
        world.event_at(now + ahead, &[("enqueued", job(n), &envelope("extract_post"))]).await;
        assert_eq!(syncer.run_once().await.unwrap().events, 1);
    }
    let kept: usize = world.conn.xlen(stream()).await.unwrap();
    assert_eq!(kept, 6, "all of it was moved within the last minute");
}

/// A failover to an empty or recreated server whose clock is behind.
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
    // With any batch size, and by a process that starts now.
    world.syncer(1).run_once().await.unwrap();
    for id in [id, other] {
        let job = world.store.history().job(id).await.unwrap().unwrap();
        assert_eq!(job.state, JobState::Done);
        assert!(ms(job.finished_at) < i64::try_from(now).unwrap(), "times stay those of the clock");
    }
    let words = world.store.history().events(id).await.unwrap().into_iter().map(|event| event.event);
    assert!(words.eq(["enqueued", "started", "enqueued", "started", "succeeded"]));
    // And once the clock is ahead again.
    world.event_at(now + 50, &[("dead", id, r#"{"attempt":3,"error":"no"}"#)]).await;
    world.sync().await;
    assert_eq!(world.store.history().job(id).await.unwrap().unwrap().state, JobState::Dead);
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
    // So many rows that empty columns are left out of the statement, and so few that they are not.
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
    let running = JobFilter { state: Some(JobState::Running), ..JobFilter::default() };
    let page = world.store.history().page(&running, &Paging::first(1_000), Utc::now()).await.unwrap();
    assert_eq!(page.items.len(), 500);
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

#[tokio::test]
async fn what_a_server_that_took_over_adds_is_moved_though_another_had_given_its_ids_or_higher_ones() {
    let mut world = World::start().await;
    let from = u64::try_from(Utc::now().timestamp_millis()).unwrap();
    let accepted = envelope("extract_post");
    world.event_at(from, &[("enqueued", job(1), &accepted)]).await;
    let copy: Vec<u8> = redis::cmd("DUMP").arg(stream()).query_async(&mut world.conn).await.unwrap();
    for (ms, n) in [(10, 2), (30, 3)] {
        world.event_at(from + ms, &[("enqueued", job(n), &accepted)]).await;
    }
    world.sync().await;
    redis::cmd("RESTORE").arg(stream()).arg(0).arg(&copy).arg("REPLACE").exec_async(&mut world.conn).await.unwrap();
    for (ms, n) in [(10, 4), (20, 5), (40, 6)] {
        world.event_at(from + ms, &[("enqueued", job(n), &accepted)]).await;
    }
    world.sync().await;
    for n in 1..=6 {
        assert!(world.store.history().job(job(n)).await.unwrap().is_some(), "job {n}");
    }
    assert_eq!(world.count("job_events").await, 6);
}
