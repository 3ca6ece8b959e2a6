//! Faults on demand, and how the sandbox starts, writes and stops.

mod common;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use common::{Parrot, TestWorld};
use perch_sandbox::{Endpoint, Fault, FaultKind, FaultTarget, Sandbox, SandboxError, SandboxOptions};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_connection_dropped_before_acting_leaves_nothing_behind() {
    let world = TestWorld::start().await;
    world.state.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::DropBefore).times(1));
    let body = json!({ "text": "once" });
    let error = world.post("perch_bot", &body).send().await.expect_err("the connection is cut");
    assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    assert!(world.state.made().is_empty());
    assert_eq!(world.post("perch_bot", &body).send().await.expect("an answer").status(), 201);
}

#[tokio::test]
async fn a_connection_dropped_after_acting_leaves_the_post() {
    let world = TestWorld::start().await;
    world.state.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::DropAfter).times(1));
    let body = json!({ "text": "once" });
    world.post("perch_bot", &body).send().await.expect_err("the connection is cut");
    assert_eq!(world.state.made().len(), 1);
    assert_eq!(world.post("perch_bot", &body).send().await.expect("an answer").status(), 403);
    assert_eq!(world.state.calls_that_ended(Endpoint::CreatePost, "dropped"), 1);
}

#[tokio::test]
async fn a_rate_limit_fault_says_when_to_come_back() {
    let world = TestWorld::start().await;
    world.state.add_fault(Fault::new(FaultTarget::EVERY, FaultKind::RateLimited).delay_ms(5_000));
    let x = world.read("/2/tweets?ids=1").send().await.expect("an answer");
    assert_eq!(x.status(), 429);
    let reset: i64 = x.headers()["x-rate-limit-reset"].to_str().expect("text").parse().expect("a number");
    assert!((4..=6).contains(&(reset - chrono::Utc::now().timestamp())));
    assert_eq!(x.json::<Value>().await.expect("JSON")["type"], "https://api.x.com/2/problems/rate-limit-exceeded");
    let chat = world.chat(&json!({ "model": "m", "messages": [] })).send().await.expect("an answer");
    assert_eq!((chat.status().as_u16(), &chat.headers()["retry-after"]), (429, &"5".parse().expect("a header")));
}

#[tokio::test]
async fn faults_are_added_listed_and_cleared_over_http() {
    let world = TestWorld::start().await;
    let added = world.fault(&json!({ "endpoint": "posts", "kind": "unavailable", "times": 2 })).send().await;
    assert_eq!(added.expect("an answer").status(), 201);
    assert_eq!(world.read("/2/tweets?ids=1").send().await.expect("an answer").status(), 503);
    let listed = world.json("/sandbox/faults").await;
    assert_eq!((&listed["faults"][0]["times"], &listed["faults"][0]["struck"]), (&json!(1), &json!(1)));
    let cleared = world.client.delete(world.url("/sandbox/faults")).send().await.expect("an answer");
    assert_eq!(cleared.status(), 204);
    assert_eq!(world.read("/2/tweets?ids=1").send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_fault_that_makes_no_sense_is_refused() {
    let world = TestWorld::start().await;
    for body in [
        json!({ "endpoint": "moon", "kind": "slow" }),
        json!({ "endpoint": "*", "kind": "explode" }),
        json!({ "endpoint": "*", "kind": "slow", "times": 0 }),
        json!({ "endpoint": "*", "kind": "slow", "probability": 1.5 }),
    ] {
        let answer = world.fault(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "{body}");
        assert!(answer.json::<Value>().await.expect("JSON")["detail"].is_string());
    }
}

#[tokio::test]
async fn a_malformed_answer_of_x_is_no_json_but_the_call_acted() {
    let world = TestWorld::start().await;
    world.state.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::Malformed).times(1));
    let answer = world.post("perch_bot", &json!({ "text": "once" })).send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    assert!(serde_json::from_str::<Value>(&answer.text().await.expect("a body")).is_err());
    assert_eq!(world.state.made().len(), 1);
}

#[tokio::test]
async fn a_held_request_ends_when_the_sandbox_stops() {
    let world = TestWorld::start().await;
    world.state.add_fault(Fault::new(Endpoint::Posts, FaultKind::Timeout));
    let request = tokio::spawn(world.read("/2/tweets?ids=1").send());
    assert!(world.state.wait_until(SOON, |s| s.calls_that_ended(Endpoint::Posts, "held") == 1).await);
    let began = Instant::now();
    world.sandbox.stop().await;
    assert_eq!(request.await.expect("no panic").expect("an answer").status(), 504);
    assert!(began.elapsed() < SOON);
}

#[tokio::test]
async fn a_client_with_a_timeout_of_its_own_gives_up_on_a_held_request() {
    let world = TestWorld::start().await;
    world.state.add_fault(Fault::new(Endpoint::Posts, FaultKind::Timeout).times(1));
    let request = world.read("/2/tweets?ids=1").timeout(Duration::from_millis(200)).send();
    assert!(request.await.expect_err("it takes too long").is_timeout());
}

#[tokio::test]
async fn watched_accounts_write_on_until_the_sandbox_stops() {
    let world = TestWorld::with(SandboxOptions {
        watched: vec!["capper".into(), "sharp".into()],
        actors: vec![Arc::new(Parrot)],
        post_every: Some(Duration::from_millis(20)),
        ..SandboxOptions::default()
    })
    .await;
    let total = world.json("/sandbox/state").await["written_total"].as_u64().expect("a number");
    let deadline = Instant::now() + SOON;
    while world.json("/sandbox/state").await["written_total"].as_u64().expect("a number") < total + 10 {
        assert!(Instant::now() < deadline, "the accounts do not write");
    }
    let until = Sandbox::run_until(world.sandbox, async {});
    tokio::time::timeout(SOON, until).await.expect("it stops").expect("without an error");
}

#[tokio::test]
async fn the_page_shows_what_was_posted_called_and_broken() {
    let world = TestWorld::start().await;
    let post = world.state.publish("capper", "Suns +4.5");
    let body = json!({ "text": "Noted", "reply": { "in_reply_to_tweet_id": post } });
    world.post("perch_bot", &body).send().await.expect("an answer");
    world.state.add_fault(Fault::new(Endpoint::Chat, FaultKind::Slow));
    let state = world.json("/sandbox/state").await;
    assert_eq!(state["posted"][0]["account"], "perch_bot");
    assert_eq!(state["posted"][0]["target"]["text"], "Suns +4.5");
    assert_eq!(state["calls"], json!([{ "endpoint": "create_post", "outcome": "201", "count": 1 }]));
    assert_eq!(state["faults"][0]["endpoint"], "chat");
    let page = world.client.get(world.url("/")).send().await.expect("an answer").text().await.expect("a page");
    assert!(page.contains("/sandbox/state"));
    assert_eq!(world.json("/health").await["status"], "ok");
}

#[tokio::test]
async fn a_taken_address_and_a_bad_username_are_told_at_the_start() {
    let world = TestWorld::start().await;
    let taken = world.sandbox.base_url().trim_start_matches("http://").parse().expect("an address");
    let error = Sandbox::start(taken, SandboxOptions::default()).await.expect_err("the port is taken");
    assert!(matches!(error, SandboxError::Bind { bind, .. } if bind == taken));
    let options = SandboxOptions { watched: vec!["@capper".into()], ..SandboxOptions::default() };
    let error = Sandbox::start("127.0.0.1:0".parse().expect("an address"), options).await.expect_err("no username");
    assert!(error.to_string().contains("@capper"));
}

#[tokio::test]
async fn a_web_page_that_is_open_in_a_browser_on_this_machine_can_break_nothing() {
    let world = TestWorld::start().await;
    let fault = json!({ "endpoint": "*", "kind": "unavailable" });
    let posted = || world.client.post(world.url("/sandbox/faults")).json(&fault);
    let asked = [
        posted().header("origin", "https://example.com"),
        posted().header("sec-fetch-site", "cross-site"),
        posted().header("host", "rebound.example.com:8090"),
        world.client.post(world.url("/sandbox/faults")).header("content-type", "text/plain").body(fault.to_string()),
        world.client.delete(world.url("/sandbox/faults")).header("origin", "null"),
        world
            .client
            .put(world.url("/sandbox/flow"))
            .json(&json!({ "flows": false }))
            .header("origin", "https://example.com"),
        world
            .client
            .post(world.url("/sandbox/accounts/fan/posts"))
            .json(&json!({ "text": "hi" }))
            .header("sec-fetch-site", "same-site"),
        world.client.get(world.url("/sandbox/state")).header("sec-fetch-site", "cross-site"),
    ];
    for request in asked {
        let answer = request.send().await.expect("an answer");
        let (status, url) = (answer.status().as_u16(), answer.url().to_string());
        assert!([403, 415].contains(&status), "{url}: {status}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{url}");
    }
    let state = world.json("/sandbox/state").await;
    let has_fan = state["accounts"].as_array().is_some_and(|all| all.iter().any(|one| one["username"] == "fan"));
    assert!(state["faults"] == json!([]) && !has_fan, "{state}");
    let own = posted().header("origin", world.url("")).header("sec-fetch-site", "same-origin");
    assert_eq!(own.send().await.expect("an answer").status(), 201, "the sandbox's own page may");
}
