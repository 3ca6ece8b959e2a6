//! Order, uniqueness, schedules, and operator actions.

mod support;

use std::{collections::HashSet, time::Duration};

use chrono::Utc;
use perch_base::Clock;
use perch_job::{JobId, Priority, Unique, UniqueScope};
use perch_queue::{
    Acceptance, Cancellation, EnqueueError, EnqueueOptions, EventKind, Fail, JobState, NewJob, OnConflict, Replay,
    ReplayOutcome,
    worker::{HandlerResult, Handlers},
};
use serde_json::value::RawValue;
use support::{Chore, OnlyOne, Seen, World, eventually};

fn options() -> EnqueueOptions {
    EnqueueOptions::default()
}

fn recorder(seen: &Seen<u64>) -> Handlers {
    let seen = seen.clone();
    Handlers::new()
        .on(move |chore: Chore| {
            seen.push(chore.n);
            async { HandlerResult::Ok(()) }
        })
        .on(|_: OnlyOne| async { HandlerResult::Ok(()) })
}

#[tokio::test(flavor = "multi_thread")]
async fn higher_priority_goes_first_and_one_in_ten_is_left_to_the_low() {
    let world = World::with(|queue, _| queue.concurrency = 1, Clock::system()).await;
    for n in 0..30 {
        let with = EnqueueOptions { priority: Some(Priority::Low), ..options() };
        world.client.enqueue_with(&Chore::number(n), with).await.expect("accepted");
    }
    for n in 100..130 {
        let with = EnqueueOptions { priority: Some(Priority::High), ..options() };
        world.client.enqueue_with(&Chore::number(n), with).await.expect("accepted");
    }
    let seen = Seen::new();
    let working = world.work(recorder(&seen));
    world.drained().await;
    let first_thirty: Vec<u64> = seen.all().into_iter().take(30).collect();
    let low = first_thirty.iter().filter(|n| **n < 100).count();
    assert_eq!(low, 3, "{first_thirty:?}");
    assert_eq!(seen.len(), 60);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_job_waits_for_its_millisecond() {
    let world = World::start().await;
    let seen: Seen<chrono::DateTime<Utc>> = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |_: Chore| {
        record.push(Utc::now());
        async { HandlerResult::Ok(()) }
    }));
    let run_at = Utc::now() + chrono::TimeDelta::milliseconds(400);
    world
        .client
        .enqueue_with(&Chore::number(1), EnqueueOptions { run_at: Some(run_at), ..options() })
        .await
        .expect("ok");
    eventually("it ran", || async { seen.len() == 1 }).await;
    let late = seen.all()[0] - run_at;
    assert!(late >= chrono::TimeDelta::milliseconds(-1), "{late} early");
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_learns_of_a_job_that_is_scheduled_earlier_than_the_one_it_waits_for() {
    let world = World::start().await;
    let seen = Seen::new();
    let working = world.work(recorder(&seen));
    for (n, seconds) in [(1, 3_600), (2, 0)] {
        let run_at = Some(Utc::now() + chrono::TimeDelta::milliseconds(seconds * 1_000 + 100));
        world.client.enqueue_with(&Chore::number(n), EnqueueOptions { run_at, ..options() }).await.expect("accepted");
    }
    eventually("the earlier one ran", || async { seen.all() == [2] }).await;
    working.stop().await;
}

#[tokio::test]
async fn a_time_in_the_past_means_at_once() {
    let world = World::start().await;
    let run_at = Some(Utc::now() - chrono::TimeDelta::days(9));
    let id = world.client.enqueue_with(&Chore::number(1), EnqueueOptions { run_at, ..options() }).await.expect("ok").id;
    assert_eq!(world.queue.job(id).await.expect("Redis").expect("there").state, JobState::Waiting);
}

#[tokio::test]
async fn the_three_answers_to_a_held_unique_key() {
    let world = World::start().await;
    let job = OnlyOne { key: "k".into() };
    let first = world.client.enqueue(&job).await.expect("accepted");

    let kept = world.client.enqueue(&job).await.expect("kept");
    assert_eq!((kept.acceptance, kept.id), (Acceptance::Kept, first.id));

    let reject = EnqueueOptions { on_conflict: OnConflict::Reject, ..options() };
    match world.client.enqueue_with(&job, reject).await {
        Err(EnqueueError::Conflict { key, holder }) => assert_eq!((key.as_str(), holder), ("k", first.id)),
        other => panic!("{other:?}"),
    }

    let replace = EnqueueOptions { on_conflict: OnConflict::Replace, ..options() };
    let second = world.client.enqueue_with(&job, replace).await.expect("replaced");
    assert_eq!((second.acceptance, second.replaced), (Acceptance::Replaced, Some(first.id)));
    assert!(world.queue.job(first.id).await.expect("Redis").is_none());
    assert_eq!(world.queue.stats().await.expect("Redis").waiting(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_key_is_free_again_once_its_job_is_done_or_cancelled_or_dead() {
    let world = World::start().await;
    let job = OnlyOne { key: "k".into() };
    let first = world.client.enqueue(&job).await.expect("accepted");
    world.queue.cancel(first.id, "ann", "test").await.expect("Redis");
    assert_eq!(world.client.enqueue(&job).await.expect("accepted").acceptance, Acceptance::Accepted);
    let working = world.work(
        Handlers::new()
            .on(|job: OnlyOne| async move { if job.key == "k" { Ok(()) } else { Err(Fail::Dead("no".into())) } }),
    );
    world.drained().await;
    assert_eq!(world.client.enqueue(&job).await.expect("accepted").acceptance, Acceptance::Accepted);
    let doomed = OnlyOne { key: "doomed".into() };
    let id = world.client.enqueue(&doomed).await.expect("accepted").id;
    eventually("it is dead", || async { world.queue.dead_letter(id).await.expect("Redis").is_some() }).await;
    working.stop().await;
    assert_eq!(world.client.enqueue(&doomed).await.expect("accepted").acceptance, Acceptance::Accepted);
}

#[tokio::test]
async fn a_window_holds_its_key_whatever_becomes_of_the_job() {
    let world = World::start().await;
    let unique = Some(Unique { key: "w".into(), scope: UniqueScope::WindowMs(60_000) });
    let with = EnqueueOptions { unique, ..options() };
    let first = world.client.enqueue_with(&Chore::number(1), with.clone()).await.expect("accepted");
    world.queue.cancel(first.id, "ann", "test").await.expect("Redis");
    let second = world.client.enqueue_with(&Chore::number(2), with).await.expect("kept");
    assert_eq!((second.acceptance, second.id), (Acceptance::Kept, first.id));
}

#[tokio::test]
async fn an_id_that_is_known_is_a_duplicate_and_no_second_job() {
    let world = World::start().await;
    let id = JobId::at(Utc::now());
    let with = EnqueueOptions { id: Some(id), ..options() };
    assert_eq!(
        world.client.enqueue_with(&Chore::number(1), with.clone()).await.expect("ok").acceptance,
        Acceptance::Accepted
    );
    assert_eq!(
        world.client.enqueue_with(&Chore::number(1), with.clone()).await.expect("ok").acceptance,
        Acceptance::Duplicate
    );
    world.queue.cancel(id, "ann", "test").await.expect("Redis");
    assert_eq!(world.client.enqueue_with(&Chore::number(1), with).await.expect("ok").acceptance, Acceptance::Duplicate);
    assert_eq!(world.queue.stats().await.expect("Redis").waiting(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_never_runs_whether_it_was_ready_or_delayed() {
    let world = World::start().await;
    let ready = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    let run_at = Some(Utc::now() + chrono::TimeDelta::milliseconds(50));
    let later = EnqueueOptions { run_at, ..options() };
    let delayed = world.client.enqueue_with(&Chore::number(2), later).await.expect("accepted").id;
    world.client.enqueue(&Chore::number(3)).await.expect("accepted");
    for id in [ready, delayed] {
        assert_eq!(world.queue.cancel(id, "ann", "test").await.expect("Redis"), Cancellation::Cancelled);
        assert_eq!(world.queue.cancel(id, "ann", "test").await.expect("Redis"), Cancellation::Unknown);
    }
    let seen = Seen::new();
    let working = world.work(recorder(&seen));
    eventually("the third ran", || async { seen.all() == [3] }).await;
    world.drained().await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_is_not_the_oldest_of_its_queue() {
    let world = World::start().await;
    let high = EnqueueOptions { priority: Some(Priority::High), ..options() };
    let gone = world.client.enqueue_with(&Chore::number(1), high).await.expect("accepted").id;
    let left = world.client.enqueue(&Chore::number(2)).await.expect("accepted").id;
    let oldest = async || world.queue.stats().await.expect("Redis").oldest;
    assert_eq!(oldest().await, Some(gone.created_at()));
    world.queue.cancel(gone, "ann", "test").await.expect("Redis");
    assert_eq!(oldest().await, Some(left.created_at()));
    world.queue.cancel(left, "ann", "test").await.expect("Redis");
    assert_eq!(oldest().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let world = World::start().await;
    let seen = Seen::new();
    assert!(world.queue.pause("ann").await.expect("Redis"));
    assert!(!world.queue.pause("bob").await.expect("Redis"));
    let working = world.work(recorder(&seen));
    eventually("the worker is there", || async { world.queue.stats().await.expect("Redis").workers == 1 }).await;
    world.client.enqueue(&Chore::number(1)).await.expect("accepted");
    eventually("the worker took the token and found the queue paused", || async {
        let len: u64 = redis::cmd("LLEN")
            .arg(world.queue.keys().wake())
            .query_async(&mut world.redis.raw().await)
            .await
            .expect("LLEN");
        len == 0
    })
    .await;
    let stats = world.queue.stats().await.expect("Redis");
    assert_eq!((stats.waiting(), stats.paused_by.as_deref()), (1, Some("ann")));
    assert!(seen.all().is_empty());
    assert!(world.queue.resume("ann").await.expect("Redis"));
    eventually("it ran", || async { seen.all() == [1] }).await;
    working.stop().await;
}

#[tokio::test]
async fn run_now_brings_a_delayed_job_to_the_front() {
    let world = World::start().await;
    let run_at = Some(Utc::now() + chrono::TimeDelta::hours(1));
    let id = world.client.enqueue_with(&Chore::number(1), EnqueueOptions { run_at, ..options() }).await.expect("ok").id;
    assert!(world.queue.run_now(id).await.expect("Redis"));
    assert!(!world.queue.run_now(id).await.expect("Redis"));
    assert_eq!(world.queue.job(id).await.expect("Redis").expect("there").state, JobState::Waiting);
}

#[tokio::test]
async fn a_purge_empties_the_queue_in_bounded_steps_and_leaves_the_dead() {
    let world = World::start().await;
    let jobs = (0..1_200).map(|n| NewJob::of(&Chore::number(n)).expect("JSON")).collect();
    assert!(world.client.submit_all(jobs).await.iter().all(Result::is_ok));
    let mut steps = Vec::new();
    loop {
        match world.queue.purge_some("ann").await.expect("Redis") {
            0 => break,
            n => steps.push(n),
        }
    }
    assert_eq!(steps, [500, 500, 200]);
    let jobs: u64 = redis::cmd("EXISTS")
        .arg(world.queue.keys().jobs())
        .query_async(&mut world.redis.raw().await)
        .await
        .expect("EXISTS");
    assert_eq!(jobs, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_runs_the_job_again_with_edits_and_counts_attempts_on() {
    let world = World::start().await;
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore, cx: perch_queue::worker::JobContext| {
        record.push((chore.n, cx.attempt(), cx.replays()));
        async move { if chore.n == 1 { Err(Fail::Retry("one is refused".into())) } else { Ok(()) } }
    }));
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    eventually("it is dead", || async { world.queue.dead_letter(id).await.expect("Redis").is_some() }).await;
    let letter = world.queue.dead_letter(id).await.expect("Redis").expect("dead");
    let payload = Some(RawValue::from_string(r#"{"n":2}"#.into()).expect("JSON"));
    let replay = Replay { letter, payload };
    let answers = world.queue.replay(std::slice::from_ref(&replay), Duration::ZERO, "ann").await.expect("Redis");
    assert_eq!(answers, [(id, ReplayOutcome::Replayed)]);
    world.drained().await;
    assert_eq!(seen.all(), [(1, 1, 0), (1, 2, 0), (1, 3, 0), (2, 4, 1)]);
    assert_eq!(world.queue.replay(&[replay], Duration::ZERO, "ann").await.expect("Redis"), [(id, ReplayOutcome::Gone)]);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_letter_is_gone_and_retention_discards_the_oldest() {
    let world = World::with(|queue, _| queue.dead_kept = 2, Clock::system()).await;
    let working =
        world.work(Handlers::new().on(|_: Chore| async { HandlerResult::<()>::Err(Fail::Dead("no".into())) }));
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(world.client.enqueue(&Chore::number(n)).await.expect("accepted").id);
        eventually("it is dead", || async {
            world.queue.dead_letter(ids[ids.len() - 1]).await.expect("Redis").is_some()
        })
        .await;
    }
    working.stop().await;
    assert_eq!(world.queue.discard(&[ids[0], JobId::at(Utc::now())], "ann").await.expect("Redis"), 1);
    assert_eq!(world.queue.prune_some().await.expect("Redis"), 1);
    assert_eq!(world.queue.prune_some().await.expect("Redis"), 0);
    let left: HashSet<JobId> =
        world.queue.dead_page(None, 10).await.expect("Redis").letters.into_iter().map(|l| l.id).collect();
    assert_eq!(left, HashSet::from([ids[2], ids[3]]));
    assert_eq!(world.count(EventKind::Discarded).await, 2);
}

#[tokio::test]
async fn bulk_answers_come_in_order_and_one_bad_job_spoils_no_other() {
    let world = World::start().await;
    let mut jobs: Vec<NewJob> = (0..600).map(|n| NewJob::of(&Chore::number(n)).expect("JSON")).collect();
    jobs[300].payload = RawValue::from_string("{}".into()).expect("JSON");
    let answers = world.client.submit_all(jobs).await;
    assert_eq!(answers.len(), 600);
    assert!(answers.iter().enumerate().all(|(i, a)| a.is_ok() == (i != 300)));
    assert_eq!(world.queue.stats().await.expect("Redis").waiting(), 599);
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_a_job_that_is_done_leaves_nothing_behind() {
    let world = World::start().await;
    let working = world.work(recorder(&Seen::new()));
    let unique = Some(Unique { key: "w".into(), scope: UniqueScope::WindowMs(60_000) });
    let with = EnqueueOptions { unique, on_conflict: OnConflict::Replace, ..options() };
    let first = world.client.enqueue_with(&Chore::number(1), with.clone()).await.expect("accepted").id;
    world.drained().await;
    assert!(world.client.enqueue_with(&Chore::number(2), with).await.is_err(), "the window still holds the key");
    let cancelled = world.events().await.into_iter().any(|e| e.job == first && e.kind == EventKind::Cancelled);
    assert!(!cancelled);
    assert_eq!(world.queue.stats().await.expect("Redis").cancelled, 0);
    working.stop().await;
}
