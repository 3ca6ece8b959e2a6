//! Bodies of requests in every broken form. Whatever is accepted is there, and whatever is not is told why.

use perch_store::Scope;
use perch_testkit::fuzz;
use reqwest::Method;
use serde_json::Value;

use crate::world::{Seen, World, seen};

/// The request that an example stands for: the name of the route on the first line, then the body.
async fn ask(world: &World, input: &[u8]) -> (&'static str, Seen) {
    let (name, body) = input.iter().position(|byte| *byte == b'\n').map_or((input, &b""[..]), |at| input.split_at(at));
    let body = body.strip_prefix(b"\n").unwrap_or_default().to_vec();
    let json = "application/json";
    let (route, path, scope, media) = match name {
        b"batch" => ("batch", "/api/v1/jobs/batch", Scope::Enqueue, json),
        b"lines" => ("lines", "/api/v1/jobs/batch", Scope::Enqueue, "application/x-ndjson"),
        b"replay" => ("replay", "/api/v1/dead/replay", Scope::Operate, json),
        b"discard" => ("discard", "/api/v1/dead/discard", Scope::Operate, json),
        b"pause" => ("pause", "/api/v1/queues/extraction/pause", Scope::Operate, json),
        _ => ("job", "/api/v1/jobs", Scope::Enqueue, json),
    };
    let request = world.request(Method::POST, path, scope).header("content-type", media).body(body);
    (route, seen(request).await)
}

/// The ids of the jobs that an answer says are kept.
fn kept(answer: &Seen) -> Vec<String> {
    let parts = answer.text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let whole = serde_json::from_str::<Value>(&answer.text).ok();
    let items = |value: Value| match &value["results"] {
        Value::Array(items) => items.clone(),
        _ => vec![value],
    };
    let all = whole.into_iter().chain(parts).flat_map(items);
    all.filter_map(|item| {
        let job = if item["job"].is_object() { &item["job"] } else { &item };
        job["outcome"].as_str().and(job["id"].as_str()).map(str::to_owned)
    })
    .collect()
}

fn check_refusal(answer: &Seen) {
    let body = answer.json();
    assert!(answer.status.is_client_error(), "{answer:?}");
    assert!(body["type"].is_string() && body["detail"].as_str().is_some_and(|words| !words.is_empty()), "{answer:?}");
}

#[test]
fn a_body_is_refused_with_its_reason_or_every_job_that_was_accepted_is_there() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let vars = [("PERCH__HTTP__RATE_PER_SECOND", "100000"), ("PERCH__HTTP__RATE_BURST", "100000")];
    let world = runtime.block_on(World::with(&vars));
    fuzz(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/corpus"), |input| {
        runtime.block_on(async {
            let (route, answer) = ask(&world, input).await;
            if !answer.status.is_success() {
                check_refusal(&answer);
                return format!("{route} {} {}", answer.status, answer.json()["type"]);
            }
            for id in kept(&answer).iter().take(5) {
                let job = world.get(&format!("/api/v1/jobs/{id}")).await;
                assert_eq!(job.status, 200, "{id} was accepted: {answer:?}, {job:?}");
            }
            format!("{route} {}", answer.status)
        })
    });
    runtime.block_on(world.stop());
}
