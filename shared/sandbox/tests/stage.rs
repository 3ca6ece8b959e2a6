//! Staging over HTTP, and the posts that the accounts write by themselves.

mod common;

use std::{sync::Arc, time::Duration};

use common::{Parrot, TestWorld};
use perch_sandbox::{GameResult, SandboxOptions};
use reqwest::Method;
use serde_json::{Value, json};

async fn sent(world: &TestWorld, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let answer = world.client.request(method, world.url(path)).json(body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn posts_are_staged_answered_and_taken_back_over_http() {
    let world = TestWorld::start().await;
    let posts = "/sandbox/accounts/fan/posts";
    let (status, first) =
        sent(&world, Method::POST, posts, &json!({ "text": "@perch_bot hi", "picture": "Suns ML" })).await;
    assert_eq!(status, 201);
    let first = first["id"].as_str().expect("an id").to_owned();
    let (_, second) = sent(&world, Method::POST, posts, &json!({ "text": "anyone?", "reply_to": first })).await;
    let (_, third) = sent(&world, Method::POST, "/sandbox/accounts/other/posts", &json!({ "retweet_of": first })).await;
    let query =
        format!("/2/tweets?ids={first},{},{}", second["id"].as_str().expect("id"), third["id"].as_str().expect("id"));
    assert_eq!(world.json(&query).await["data"][2]["text"], "RT @fan: @perch_bot hi");
    assert_eq!(
        world.client.get(world.url(&format!("/sandbox/media/{first}.png"))).send().await.expect("it").status(),
        200
    );

    assert_eq!(sent(&world, Method::DELETE, &format!("/sandbox/posts/{first}"), &Value::Null).await.0, 204);
    assert_eq!(sent(&world, Method::DELETE, &format!("/sandbox/posts/{first}"), &Value::Null).await.0, 404);
    assert_eq!(world.json(&query).await["errors"][0]["resource_id"], first.as_str());
}

#[tokio::test]
async fn accounts_are_closed_and_opened_over_http() {
    let world = TestWorld::start().await;
    let user = world.state.add_account("capper");
    let path = format!("/2/users/{user}/tweets");
    for (standing, has_posts) in [("protected", false), ("suspended", false), ("open", true)] {
        let (status, _) = sent(&world, Method::PUT, "/sandbox/accounts/capper", &json!({ "standing": standing })).await;
        assert_eq!((status, world.json(&path).await.get("data").is_some()), (204, has_posts), "{standing}");
    }
}

#[tokio::test]
async fn results_are_given_as_they_were_put() {
    let world = TestWorld::start().await;
    assert_eq!(world.json("/sandbox/results").await, json!([]));
    let result = json!([{
        "event": "Los Angeles Lakers vs Boston Celtics", "sport": "nba", "first": "Los Angeles Lakers",
        "second": "Boston Celtics", "scores": [112, 104], "finished_at": "2026-08-20T22:31:00Z",
        "players": { "LeBron James": { "points": 27 } },
    }]);
    assert_eq!(sent(&world, Method::PUT, "/sandbox/results", &result).await.0, 204);
    assert_eq!(world.json("/sandbox/results").await, result);
    serde_json::from_value::<Vec<GameResult>>(result).expect("results");
}

#[tokio::test]
async fn what_cannot_be_staged_is_refused_by_field() {
    let world = TestWorld::start().await;
    for (method, path, body, field) in [
        (Method::POST, "/sandbox/accounts/not-a-name/posts", json!({ "text": "hi" }), "username"),
        (Method::POST, "/sandbox/accounts/fan/posts", json!({ "text": " " }), "text"),
        (Method::POST, "/sandbox/accounts/fan/posts", json!({ "text": "hi", "reply_to": "7" }), "reply_to"),
        (Method::POST, "/sandbox/accounts/fan/posts", json!({ "words": "hi" }), "body"),
        (Method::PUT, "/sandbox/accounts/fan", json!({ "standing": "lost" }), "body"),
        (Method::PUT, "/sandbox/flow", json!({}), "body"),
        (Method::PUT, "/sandbox/results", json!([{ "event": "A vs B" }]), "body"),
    ] {
        let (status, problem) = sent(&world, method, path, &body).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)), "{path} {body}: {problem}");
    }
}

#[tokio::test]
async fn actors_write_in_the_turns_of_the_accounts_and_rest_when_told_to() {
    let world = TestWorld::with(SandboxOptions {
        bot_accounts: vec!["perch_bot".into()],
        watched: vec!["capper".into(), "sharp".into()],
        post_every: Some(Duration::from_millis(2)),
        actors: vec![Arc::new(Parrot)],
        ..SandboxOptions::default()
    })
    .await;
    let bot = world.state.add_account("perch_bot");
    let path = format!("/2/users/{bot}/mentions?max_results=100&expansions=author_id,referenced_posts");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let page = loop {
        let page = world.json(&path).await;
        if page["meta"]["result_count"].as_u64() >= Some(10) {
            break page;
        }
        assert!(std::time::Instant::now() < deadline, "nobody mentions the bot: {}", page["meta"]);
    };
    let answered = page["includes"]["posts"].as_array().expect("what the mentions answer");
    assert!(answered.iter().all(|post| post["text"].as_str().is_some_and(|text| text.starts_with("turn "))), "{page}");
    let user = world.state.add_account("sharp");
    let written = world.json(&format!("/2/users/{user}/tweets?max_results=100")).await;
    assert!(written["data"].as_array().is_some_and(|all| all.iter().any(|post| post["text"] == "before 11")));

    assert_eq!(sent(&world, Method::PUT, "/sandbox/flow", &json!({ "flows": false })).await.0, 204);
    let total = async || world.json("/sandbox/state").await["written_total"].clone();
    let resting = total().await;
    let waited = world.state.wait_until(Duration::from_millis(100), |_| false).await;
    assert_eq!((waited, total().await), (false, resting));
}

#[tokio::test]
async fn an_edited_post_has_a_new_id_and_its_history_and_timelines_show_the_newest_version() {
    let world = TestWorld::start().await;
    let fan = world.state.add_account("fan");
    let (_, first) = sent(&world, Method::POST, "/sandbox/accounts/fan/posts", &json!({ "text": "Suns +4.5" })).await;
    let path = format!("/sandbox/posts/{}", first["id"].as_str().expect("an id"));
    let (status, second) = sent(&world, Method::PUT, &path, &json!({ "text": "Suns +3.5" })).await;
    assert_eq!(status, 200);
    assert_eq!(
        sent(&world, Method::PUT, &path, &json!({ "text": "Suns +2.5" })).await.0,
        404,
        "it has a newer version"
    );
    let timeline = world.json(&format!("/2/users/{fan}/tweets")).await;
    let shown = timeline["data"].as_array().expect("a list");
    assert_eq!((shown.len(), &shown[0]["id"], &shown[0]["text"]), (1, &second["id"], &json!("Suns +3.5")));
    assert_eq!(shown[0]["edit_history_tweet_ids"], json!([first["id"], second["id"]]));
}
