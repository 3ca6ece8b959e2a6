use std::sync::atomic::{AtomicBool, Ordering};

use perch_jobs::PollAccounts;
use perch_queue::{Fail, worker::Handlers};
use perch_store::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{World, seen};

fn delayed_poll() -> Value {
    json!({ "kind": "poll_account", "payload": { "username": "a" }, "delay_ms": 600_000 })
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed_for_all_and_the_audit_log_says_by_whom() {
    let world = World::start().await;
    let paused = world.operate("/api/v1/queues/extraction/pause", &json!({})).await.json();
    assert_eq!((&paused["paused"], &paused["changed"]), (&json!(true), &json!(true)));
    let again = world.operate("/api/v1/queues/extraction/pause", &json!({})).await.json();
    assert_eq!(again["changed"], false);
    let queue = world.get("/api/v1/queues/extraction").await.json();
    assert_eq!((&queue["paused"], &queue["paused_by"]), (&json!(true), &json!("api:operator")));
    let resumed = world.operate("/api/v1/queues/extraction/resume", &json!({})).await.json();
    assert_eq!((&resumed["paused"], &resumed["changed"]), (&json!(false), &json!(true)));
    assert_eq!(world.get("/api/v1/queues/extraction").await.json()["paused"], false);

    let line = |action: &str| (action.to_owned(), "extraction".to_owned(), "api:operator".to_owned());
    let expected = [line("queue.pause"), line("queue.pause"), line("queue.resume")];
    assert_eq!(world.audited().await, expected);
}

#[tokio::test]
async fn a_waiting_job_that_is_cancelled_cannot_be_cancelled_again() {
    let world = World::start().await;
    let id = world.enqueue(&delayed_poll()).await.id();
    let path = format!("/api/v1/jobs/{id}?reason=not+needed");
    let cancelled = seen(world.request(Method::DELETE, &path, Scope::Enqueue)).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.json()["outcome"]), (200, &json!("cancelled")));
    let again = seen(world.request(Method::DELETE, &path, Scope::Enqueue)).await;
    assert!(again.problem(409, "conflict").1.contains("it is cancelled"), "{again:?}");
    assert_eq!(world.audited().await, [("job.cancel".to_owned(), id, "api:producer".to_owned())]);
}

#[tokio::test]
async fn a_running_job_that_is_cancelled_is_told_to_stop() {
    let world = World::with(&[("PERCH__ENGINE__HEARTBEAT", "100ms"), ("PERCH__ENGINE__LEASE", "9s")]).await;
    let id = world.enqueue(&json!({ "kind": "poll_accounts", "payload": {} })).await.id();
    let path = format!("/api/v1/jobs/{id}");
    let handlers = Handlers::new().on::<PollAccounts, _, _>(async |_: PollAccounts, told: CancellationToken| {
        told.cancelled().await;
        Err::<(), _>(Fail::Cancelled("as told".into()))
    });
    let asked = AtomicBool::new(false);
    let has_stopped = || async {
        let job = world.get(&path).await;
        if job.status == 200 && job.json()["state"] == "running" && !asked.swap(true, Ordering::Relaxed) {
            let answer = seen(world.request(Method::DELETE, &path, Scope::Operate)).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["outcome"]), (202, &json!("cancelling")));
        }
        job.json()["state"] == "cancelled"
    };
    world.work_until(handlers, "the job has stopped", has_stopped).await;
}

#[tokio::test]
async fn a_delayed_job_is_run_now_and_a_ready_one_is_ready_already() {
    let world = World::start().await;
    let id = world.enqueue(&delayed_poll()).await.id();
    let path = format!("/api/v1/jobs/{id}/run-now");
    assert_eq!(world.operate(&path, &json!({})).await.json()["ready"], true);
    assert_eq!(world.get(&format!("/api/v1/jobs/{id}")).await.json()["state"], "waiting");
    let (_, detail) = world.operate(&path, &json!({})).await.problem(409, "conflict");
    assert!(detail.contains("waiting"), "{detail}");
    assert_eq!(world.audited().await, [("job.run_now".to_owned(), id, "api:operator".to_owned())]);
}

#[tokio::test]
async fn a_queue_that_cannot_be_read_hides_no_other() {
    let world = World::start().await;
    let mut raw = world.redis.raw().await;
    let jobs = world.queue("extraction").keys().jobs();
    redis::cmd("SET").arg(jobs).arg("odd").exec_async(&mut raw).await.expect("Redis answers");
    let listed = world.get("/api/v1/queues").await;
    let body = listed.json();
    assert!(body["items"].is_array(), "{listed:?}");
    let readable = body["items"].as_array().expect("queues").len();
    assert_eq!((listed.status.as_u16(), readable, &body["unreadable"][0]["queue"]), (200, 6, &json!("extraction")));
    assert!(body["unreadable"][0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{body}");
}

#[tokio::test]
async fn queues_kinds_cron_entries_and_workers_are_listed() {
    let world = World::start().await;
    world.enqueue(&delayed_poll()).await;
    let queues = world.get("/api/v1/queues").await.json();
    let names: Vec<&str> =
        queues["items"].as_array().expect("queues").iter().filter_map(|queue| queue["queue"].as_str()).collect();
    let expected =
        ["analytics_processing", "candidates", "extraction", "generation", "pending_posts", "scoring", "sync_to_store"];
    assert_eq!(names, expected);
    assert_eq!((&queues["items"][2]["delayed"], &queues["items"][2]["concurrency"]), (&json!(1), &json!(8)));

    let kinds = world.get("/api/v1/kinds").await.json();
    let publish = kinds["items"].as_array().expect("kinds").iter().find(|kind| kind["kind"] == "publish_post");
    let publish = publish.expect("publish_post is built in");
    assert_eq!(publish["queue"], "pending_posts");
    assert!(publish["schema"]["properties"]["text"].is_object(), "{publish}");

    let cron = world.get("/api/v1/cron").await.json();
    let entry = cron["items"].as_array().expect("entries").iter().find(|entry| entry["entry"] == "poll_accounts");
    assert!(entry.is_some_and(|entry| entry["next"].is_string() && entry["last"].is_null()), "{cron}");

    assert_eq!(world.get("/api/v1/workers").await.json()["items"], json!([]));
}
