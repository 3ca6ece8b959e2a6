use perch_store::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Seen, World, seen};

fn poll(username: &str) -> Value {
    json!({ "kind": "poll_account", "payload": { "username": username } })
}

async fn array(world: &World, body: &Value) -> Seen {
    seen(world.request(Method::POST, "/api/v1/jobs/batch", Scope::Enqueue).json(body)).await
}

async fn lines(world: &World, body: impl Into<reqwest::Body>) -> Seen {
    let request = world.request(Method::POST, "/api/v1/jobs/batch", Scope::Enqueue);
    seen(request.header("content-type", "application/x-ndjson").body(body)).await
}

async fn waiting(world: &World) -> u64 {
    world.queue("extraction").stats().await.expect("the queue").waiting()
}

#[tokio::test]
async fn a_batch_is_accepted_job_by_job() {
    let world = World::start().await;
    let jobs: Vec<Value> = (0..600).map(|n| poll(&format!("a{n}"))).collect();
    let answer = array(&world, &json!(jobs)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["accepted"]), (200, &json!(600)));
    assert_eq!(waiting(&world).await, 600);
}

#[tokio::test]
async fn a_bad_job_in_an_array_is_refused_alone_and_in_its_place() {
    let world = World::start().await;
    let jobs = json!([poll("a"), { "kind": "poll_account", "payload": { "username": 7 } }, { "kind": "nope", "payload": 1 }, poll("b")]);
    let answer = array(&world, &jobs).await;
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["accepted"], &body["refused"]), (207, &json!(2), &json!(2)));
    let results = body["results"].as_array().expect("results");
    let places: Vec<(u64, u64)> =
        results.iter().map(|r| (r["place"].as_u64().unwrap_or(99), r["status"].as_u64().unwrap_or(0))).collect();
    assert_eq!(places, [(0, 201), (1, 422), (2, 422), (3, 201)]);
    assert_eq!(results[1]["problem"]["errors"][0]["field"], "$.payload.username");
    assert_eq!(waiting(&world).await, 2);
}

#[tokio::test]
async fn a_bad_line_among_good_ones_is_refused_alone_and_by_its_number() {
    let world = World::start().await;
    let mut body = format!("{}\n\n{{\"kind\":\"poll_account\",\n{}\r\n", poll("a"), poll("b")).into_bytes();
    body.extend(b"\xff\xfe\n");
    let answer = lines(&world, body).await;
    assert_eq!(answer.status, 207, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let results: Vec<Value> =
        answer.text.lines().map(|line| serde_json::from_str(line).expect("JSON a line")).collect();
    let seen: Vec<(u64, u64)> =
        results.iter().map(|r| (r["place"].as_u64().unwrap_or(99), r["status"].as_u64().unwrap_or(0))).collect();
    assert_eq!(seen, [(1, 201), (3, 400), (4, 201), (5, 400)]);
    assert_eq!(results[1]["problem"]["type"], "/docs#invalid-json");
    assert_eq!(results[3]["problem"]["type"], "/docs#not-utf-8");
    assert_eq!(waiting(&world).await, 2);
}

#[tokio::test]
async fn a_batch_with_too_many_jobs_is_refused_as_a_whole() {
    let world = World::with(&[("PERCH__HTTP__MAX_BATCH", "2")]).await;
    let three = [poll("a"), poll("b"), poll("c")];
    array(&world, &json!(three)).await.problem(413, "too-many-jobs");
    lines(&world, three.clone().map(|job| format!("{job}\n")).concat()).await.problem(413, "too-many-jobs");
    assert_eq!(waiting(&world).await, 0);
    assert_eq!(array(&world, &json!(three[..2])).await.status, 200);
}

#[tokio::test]
async fn an_array_that_is_none_is_refused() {
    let world = World::start().await;
    array(&world, &poll("a")).await.problem(422, "invalid-request");
    assert_eq!(array(&world, &json!([])).await.json()["accepted"], 0);
}

#[tokio::test]
async fn a_batch_does_not_pretend_to_honour_an_idempotency_key() {
    let world = World::start().await;
    let request = world.request(Method::POST, "/api/v1/jobs/batch", Scope::Enqueue).json(&json!([poll("a")]));
    let answer = seen(request.header("Idempotency-Key", "k")).await;
    assert_eq!(answer.problem(400, "invalid-header").0, "Idempotency-Key");
}
