//! The life of a job: the six outcomes, attempts, timeouts, panics, invalid payloads.

mod support;

use std::time::Duration;

use perch_job::{JobKind, Priority, RetryPolicy};
use perch_queue::{
    EnqueueOptions, EventKind, Fail, JobState, NewJob,
    testing::fetch,
    worker::{HandlerResult, Handlers, JobContext},
};
use serde_json::value::RawValue;
use support::{Chore, Seen, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_once_and_leaves_nothing_in_redis_but_its_events() {
    let world = World::start().await;
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |chore: Chore| {
        record.push(chore.n);
        async { HandlerResult::Ok("done") }
    }));
    let enqueued = world.client.enqueue(&Chore::number(7)).await.expect("accepted");
    eventually("it succeeded", || async { world.count(EventKind::Succeeded).await == 1 }).await;
    assert_eq!(seen.all(), [7]);
    let events = world.events().await;
    let words: Vec<EventKind> = events.iter().map(|e| e.kind).collect();
    assert_eq!(words, [EventKind::Enqueued, EventKind::Started, EventKind::Succeeded]);
    assert!(events.iter().all(|e| e.job == enqueued.id));
    assert_eq!(events[2].data().result, Some("done".into()));
    assert_eq!(world.queue.stats().await.expect("Redis").succeeded, 1);
    working.stop().await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut world.redis.raw().await).await.expect("KEYS");
    let left: Vec<&String> = keys
        .iter()
        .filter(|k| !["events", "wake", "state"].iter().any(|kept| k.ends_with(&format!("}}:{kept}"))))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_is_retried_and_dies_with_every_error_kept() {
    let world = World::start().await;
    let working = world.work(Handlers::new().on(|_: Chore, cx: JobContext| async move {
        HandlerResult::<()>::Err(Fail::Retry(format!("attempt {} failed", cx.attempt())))
    }));
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    eventually("it is dead", || async { world.queue.dead_letter(id).await.expect("Redis").is_some() }).await;
    let letter = world.queue.dead_letter(id).await.expect("Redis").expect("dead");
    assert_eq!(letter.attempts, 3);
    let errors: Vec<_> = letter.errors.iter().map(|e| e.error.clone().expect("an error")).collect();
    assert_eq!(errors, ["attempt 3 failed", "attempt 2 failed", "attempt 1 failed"]);
    assert_eq!(world.count(EventKind::Retried).await, 2);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failure_with_its_message_and_the_pool_lives_on() {
    let world = World::start().await;
    let working = world.work(Handlers::new().on(|chore: Chore| async move {
        assert!(chore.n != 13, "thirteen is unlucky");
        HandlerResult::Ok(())
    }));
    let unlucky = world.client.enqueue(&Chore::number(13)).await.expect("accepted").id;
    eventually("it is dead", || async { world.queue.dead_letter(unlucky).await.expect("Redis").is_some() }).await;
    let letter = world.queue.dead_letter(unlucky).await.expect("Redis").expect("dead");
    assert_eq!(letter.attempts, 3);
    assert!(letter.last_error().contains("thirteen is unlucky"), "{}", letter.last_error());
    world.client.enqueue(&Chore::number(1)).await.expect("accepted");
    eventually("the next job ran", || async { world.count(EventKind::Succeeded).await == 1 }).await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_longer_than_its_timeout_is_stopped_and_retried() {
    let world = World::start().await;
    let working = world.work(Handlers::new().on(|_: Chore| async {
        std::future::pending::<()>().await;
        HandlerResult::Ok(())
    }));
    let options = EnqueueOptions { timeout: Some(Duration::from_millis(50)), ..EnqueueOptions::default() };
    let id = world.client.enqueue_with(&Chore::number(1), options).await.expect("accepted").id;
    eventually("it is dead", || async { world.queue.dead_letter(id).await.expect("Redis").is_some() }).await;
    let letter = world.queue.dead_letter(id).await.expect("Redis").expect("dead");
    assert_eq!(letter.attempts, 3);
    assert!(letter.last_error().contains("timeout of 50ms"), "{}", letter.last_error());
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_and_snooze_wait_as_long_as_they_say_and_only_the_first_counts() {
    let world = World::start().await;
    let seen = Seen::new();
    let record = seen.clone();
    let working = world.work(Handlers::new().on(move |_: Chore, cx: JobContext| {
        record.push((cx.attempt(), tokio::time::Instant::now()));
        let run = record.len();
        async move {
            match run {
                1 => Err(Fail::Snooze(Duration::from_millis(120), "not yet".into())),
                2 => Err(Fail::RetryAfter(Duration::from_millis(150), "429".into())),
                _ => Ok(()),
            }
        }
    }));
    world.client.enqueue(&Chore::number(1)).await.expect("accepted");
    eventually("it succeeded", || async { world.count(EventKind::Succeeded).await == 1 }).await;
    let runs = seen.all();
    assert_eq!(runs.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 1, 2]);
    assert!(runs[1].1 - runs[0].1 >= Duration::from_millis(120));
    assert!(runs[2].1 - runs[1].1 >= Duration::from_millis(150));
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_beyond_all_bounds_and_a_handler_that_panics_before_it_starts_break_no_pool() {
    let world = World::start().await;
    let working = world.work(Handlers::new().on(|chore: Chore| {
        assert!(chore.n != 13, "before the first await");
        async move {
            match chore.n {
                0..4 => Err(Fail::RetryAfter(Duration::from_secs(u64::MAX), "for ever".into())),
                4..8 => Err(Fail::Snooze(Duration::MAX, "for ever".into())),
                _ => Ok(()),
            }
        }
    }));
    for n in (0..8).chain([13, 20]) {
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
    }
    eventually("eight wait, one is dead, one is done", || async {
        let stats = world.queue.stats().await.expect("Redis");
        (stats.delayed, stats.dead, stats.running) == (8, 1, 0) && world.count(EventKind::Succeeded).await == 1
    })
    .await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_not_tried_again_while_its_last_attempt_still_runs() {
    let world = World::start().await;
    let running = std::sync::Arc::new(std::sync::atomic::AtomicI32::new(0));
    let most = running.clone();
    let overlaps = Seen::new();
    let record = overlaps.clone();
    let working = world.work(Handlers::new().on(move |_: Chore| {
        let (running, record) = (most.clone(), record.clone());
        async move {
            record.push(running.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
            // Work that does not await cannot be dropped in the middle.
            let until = std::time::Instant::now() + Duration::from_millis(300);
            while std::time::Instant::now() < until {
                std::hint::spin_loop();
            }
            running.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            tokio::task::yield_now().await;
            std::future::pending::<()>().await;
            HandlerResult::Ok(())
        }
    }));
    let options = EnqueueOptions { timeout: Some(Duration::from_millis(50)), ..EnqueueOptions::default() };
    let id = world.client.enqueue_with(&Chore::number(1), options).await.expect("accepted").id;
    eventually("it is dead", || async { world.queue.dead_letter(id).await.expect("Redis").is_some() }).await;
    assert_eq!(overlaps.all(), [0, 0, 0]);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_can_send_its_job_to_the_dead_letters_at_once() {
    let world = World::start().await;
    let working =
        world.work(Handlers::new().on(|_: Chore| async { HandlerResult::<()>::Err(Fail::Dead("hopeless".into())) }));
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    eventually("it is dead", || async { world.queue.dead_letter(id).await.expect("Redis").is_some() }).await;
    assert_eq!(world.queue.dead_letter(id).await.expect("Redis").expect("dead").attempts, 1);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_envelope_ends_in_the_dead_letters_and_holds_nobody_up() {
    let world = World::start().await;
    let id = perch_job::JobId::at(chrono::Utc::now());
    let mut raw = world.redis.raw().await;
    redis::cmd("HSET")
        .arg(world.queue.keys().jobs())
        .arg(id.to_string())
        .arg(&b"\xff\xfe{not json"[..])
        .exec_async(&mut raw)
        .await
        .expect("HSET");
    redis::cmd("RPUSH")
        .arg(world.queue.keys().ready(perch_job::Priority::Normal))
        .arg(id.to_string())
        .exec_async(&mut raw)
        .await
        .expect("RPUSH");
    redis::cmd("RPUSH")
        .arg(world.queue.keys().ready(perch_job::Priority::Normal))
        .arg("not an id")
        .exec_async(&mut raw)
        .await
        .expect("RPUSH");
    world.client.enqueue(&Chore::number(1)).await.expect("accepted");
    let working = world.work(Handlers::new().on(|_: Chore| async { HandlerResult::Ok(()) }));
    eventually("the good job ran", || async { world.count(EventKind::Succeeded).await == 1 }).await;
    eventually("the bad one is dead", || async { world.queue.dead_letter(id).await.expect("Redis").is_some() }).await;
    let letter = world.queue.dead_letter(id).await.expect("Redis").expect("dead");
    assert!(letter.last_error().contains("envelope is not readable"), "{}", letter.last_error());
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_past_its_deadline_is_dead_instead_of_started() {
    let world = World::start().await;
    let deadline = chrono::Utc::now() + chrono::TimeDelta::milliseconds(30);
    let options = EnqueueOptions { deadline: Some(deadline), ..EnqueueOptions::default() };
    let id = world.client.enqueue_with(&Chore::number(1), options).await.expect("accepted").id;
    eventually("the deadline passed", || async { chrono::Utc::now() > deadline }).await;
    let working = world.work(Handlers::new().on(|_: Chore| async { HandlerResult::Ok(()) }));
    eventually("it is dead", || async { world.queue.dead_letter(id).await.expect("Redis").is_some() }).await;
    assert!(world.queue.dead_letter(id).await.expect("Redis").expect("dead").last_error().contains("deadline"));
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_cancelled_through_its_token() {
    let world = World::start().await;
    let working = world.work(Handlers::new().on(|_: Chore, cx: JobContext| async move {
        cx.cancellation().cancelled().await;
        HandlerResult::Ok("stopped by itself")
    }));
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    eventually("it runs", || async {
        world.queue.job(id).await.expect("Redis").is_some_and(|j| j.state == JobState::Running)
    })
    .await;
    let answer = world.queue.cancel(id, "ann", "wrong post").await.expect("Redis");
    assert_eq!(answer, perch_queue::Cancellation::Cancelling);
    eventually("it is gone", || async { world.queue.job(id).await.expect("Redis").is_none() }).await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_does_not_heed_its_cancellation_is_dropped() {
    let world = World::start().await;
    let working = world.work(Handlers::new().on(|_: Chore| async {
        std::future::pending::<()>().await;
        HandlerResult::Ok(())
    }));
    let id = world.client.enqueue(&Chore::number(1)).await.expect("accepted").id;
    eventually("it runs", || async {
        world.queue.job(id).await.expect("Redis").is_some_and(|j| j.state == JobState::Running)
    })
    .await;
    world.queue.cancel(id, "ann", "wrong post").await.expect("Redis");
    eventually("it is gone", || async { world.queue.job(id).await.expect("Redis").is_none() }).await;
    let cancelled: Vec<_> = world.events().await.into_iter().filter(|e| e.kind == EventKind::Cancelled).collect();
    assert!(cancelled[0].data().error.expect("a reason").contains("cancelled by ann: wrong post"));
    working.stop().await;
}

#[tokio::test]
async fn a_payload_of_the_wrong_shape_is_refused_at_the_door() {
    let world = World::start().await;
    let job = NewJob {
        kind: JobKind::from_static("chore"),
        payload: RawValue::from_string(r#"{"n":"many"}"#.into()).expect("JSON"),
        options: EnqueueOptions::default(),
    };
    let error = world.client.submit(job).await.expect_err("n is a number");
    assert!(error.to_string().contains("$.n"), "{error}");
}

#[tokio::test]
async fn what_is_out_of_range_is_refused_with_its_field() {
    let world = World::start().await;
    let refuse = async |options: EnqueueOptions, word: &str| {
        let error = world.client.enqueue_with(&Chore::number(1), options).await.expect_err(word);
        assert!(error.to_string().contains(word), "{error}");
    };
    let far = chrono::Utc::now() + chrono::TimeDelta::days(4_000);
    refuse(EnqueueOptions { run_at: Some(far), ..EnqueueOptions::default() }, "run_at").await;
    let past = chrono::Utc::now() - chrono::TimeDelta::seconds(1);
    refuse(EnqueueOptions { deadline: Some(past), ..EnqueueOptions::default() }, "deadline").await;
    refuse(EnqueueOptions { timeout: Some(Duration::ZERO), ..EnqueueOptions::default() }, "timeout").await;
    refuse(EnqueueOptions { group: Some("a|b".into()), ..EnqueueOptions::default() }, "group").await;
    let retry = RetryPolicy { max_attempts: 0, ..RetryPolicy::DEFAULT };
    refuse(EnqueueOptions { retry: Some(retry), ..EnqueueOptions::default() }, "max_attempts").await;
    let huge = NewJob {
        kind: JobKind::from_static("chore"),
        payload: RawValue::from_string(format!(r#"{{"n":1,"group":"{}"}}"#, "x".repeat(300_000))).expect("JSON"),
        options: EnqueueOptions::default(),
    };
    assert!(world.client.submit(huge).await.expect_err("too large").to_string().contains("262144"));
}

#[tokio::test]
async fn what_is_planted_beside_the_jobs_takes_none_of_them_along() {
    let world = World::start().await;
    let mut conn = world.redis.raw().await;
    let keys = world.queue.keys();
    for key in [keys.workers(), keys.worker_info()] {
        redis::cmd("SET").arg(key).arg("planted by hand").exec_async(&mut conn).await.expect("SET");
    }
    redis::cmd("HSET").arg(keys.state()).arg("fetches").arg("many").exec_async(&mut conn).await.expect("HSET");
    for n in 0..3 {
        world.client.enqueue(&Chore::number(n)).await.expect("accepted");
    }
    let fetched = fetch(&world.queue, "w1", 2, 0).await.expect("Redis answers");
    let ready: usize = redis::cmd("LLEN").arg(keys.ready(Priority::Normal)).query_async(&mut conn).await.expect("LLEN");
    assert_eq!((fetched.jobs.len(), ready), (2, 1));
}
