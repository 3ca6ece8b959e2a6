use perch_jobs::{PollAccount, SyncHotState};
use perch_queue::{
    Fail,
    worker::{Handlers, JobContext},
};
use perch_store::{Scope, Syncer};
use reqwest::Method;
use serde_json::json;

use crate::world::{World, seen};

async fn sync(world: &World) {
    let queues = world.client.queues();
    let env = world.settings.env;
    let syncer = Syncer::new(queues.redis().clone(), world.store.clone(), env, &queues.names(), 500);
    syncer.run_once().await.expect("the sync");
}

#[tokio::test]
async fn a_finished_job_is_told_from_the_history_with_its_attempts_and_what_followed() {
    let world = World::start().await;
    let job = json!({
        "kind": "poll_account", "payload": { "username": "a" }, "retry": { "base_ms": 0, "cap_ms": 0 },
    });
    let id = world.enqueue(&job).await.id();
    let handlers = Handlers::new()
        .on::<PollAccount, _, _>(async |_: PollAccount, context: JobContext| {
            if context.attempt() == 1 {
                return Err(Fail::Retry("X answered 503".into()));
            }
            context.enqueue(&SyncHotState {}).await?;
            Ok(json!({ "posts": 2 }))
        })
        .on::<SyncHotState, _, _>(async |_: SyncHotState| Ok(()));
    let (queue, known) = (world.queue("extraction"), id.parse().expect("an id"));
    world
        .work_until(handlers, "the job is done", || async { queue.job(known).await.is_ok_and(|job| job.is_none()) })
        .await;
    sync(&world).await;

    let job = world.get(&format!("/api/v1/jobs/{id}")).await.json();
    assert_eq!((&job["state"], &job["result"]), (&json!("done"), &json!({ "posts": 2 })));
    assert_eq!(job["history"], "recorded");
    let attempts = job["attempt_history"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 2, "{job}");
    assert_eq!((&attempts[0]["outcome"], &attempts[0]["error"]), (&json!("retried"), &json!("X answered 503")));
    assert_eq!(attempts[1]["outcome"], "succeeded");
    assert!(attempts[1]["worker"].is_string() && attempts[1]["duration_ms"].is_u64(), "{job}");

    let done = world.get("/api/v1/jobs?state=done&queue=extraction").await.json();
    assert_eq!(done["items"][0]["id"], id);
    assert_eq!(done["next"], json!(null));
    let (_, detail) = seen(world.request(Method::DELETE, &format!("/api/v1/jobs/{id}"), Scope::Enqueue))
        .await
        .problem(409, "conflict");
    assert!(detail.contains("done"), "{detail}");
}

#[tokio::test]
async fn a_job_is_told_as_it_stands_before_postgres_has_heard_of_it() {
    let world = World::start().await;
    let id = world.enqueue(&json!({ "kind": "poll_account", "payload": { "username": "a" } })).await.id();
    sync(&world).await;
    let path = format!("/api/v1/jobs/{id}");
    assert_eq!(world.get(&path).await.json()["state"], "waiting");
    let (queue, known) = (world.queue("extraction"), id.parse().expect("an id"));
    let handlers = Handlers::new().on::<PollAccount, _, _>(async |_: PollAccount| Ok(json!({ "posts": 2 })));
    world
        .work_until(handlers, "the job is done", || async { queue.job(known).await.is_ok_and(|job| job.is_none()) })
        .await;
    let job = world.get(&path).await.json();
    assert_eq!((&job["state"], &job["result"]), (&json!("done"), &json!({ "posts": 2 })), "{job}");
    assert_eq!(job["attempt_history"][0]["outcome"], "succeeded", "{job}");
    assert_eq!(seen(world.request(Method::DELETE, &path, Scope::Enqueue)).await.status, 409);

    let lost = world.enqueue(&json!({ "kind": "poll_account", "payload": { "username": "b" } })).await.id();
    sync(&world).await;
    queue.drop_ended(&[lost.parse().expect("an id")]).await.expect("Redis answers");
    let job = world.get(&format!("/api/v1/jobs/{lost}")).await.json();
    assert_eq!(job["state"], "unknown", "nothing tells how it ended: {job}");
    assert_eq!(world.get("/api/v1/jobs?state=unknown").await.status, 400);
}

#[tokio::test]
async fn a_job_that_follows_from_another_is_among_its_children() {
    let world = World::start().await;
    let parent = world.enqueue(&json!({ "kind": "poll_accounts", "payload": {} })).await.id();
    let options = perch_queue::EnqueueOptions {
        parent: Some(parent.parse().expect("an id")),
        ..perch_queue::EnqueueOptions::default()
    };
    let child = world.client.enqueue_with(&PollAccount { username: "a".into() }, options).await.expect("a child").id;
    sync(&world).await;
    let job = world.get(&format!("/api/v1/jobs/{parent}")).await.json();
    assert_eq!(job["state"], "waiting");
    assert_eq!(job["children"][0]["id"], child.to_string());
}

#[tokio::test]
async fn a_job_is_shown_without_its_history_while_postgres_is_away() {
    let mut world = World::start().await;
    let id = world.enqueue(&json!({ "kind": "poll_accounts", "payload": {} })).await.id();
    assert_eq!(world.get("/api/v1/queues").await.status, 200);
    drop(world.database.take());
    let job = world.get(&format!("/api/v1/jobs/{id}")).await.json();
    assert_eq!((&job["state"], &job["history"]), (&json!("waiting"), &json!("unavailable")));
}
