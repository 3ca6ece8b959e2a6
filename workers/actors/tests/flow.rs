//! The posts that the actors of the bots write, and their answers.

use std::time::Duration;

use perch_actors::actors;
use perch_sandbox::{Sandbox, SandboxOptions, SandboxState};
use serde_json::{Value, json};

struct TestWorld {
    sandbox: Sandbox,
    state: SandboxState,
    client: reqwest::Client,
}

impl TestWorld {
    async fn with(options: SandboxOptions) -> Self {
        perch_base::tls::install();
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
        let client = reqwest::Client::builder().no_proxy().build().expect("a plain client");
        Self { state: sandbox.state(), sandbox, client }
    }

    async fn json(&self, path: &str) -> Value {
        let read = self.client.get(format!("{}{path}", self.sandbox.base_url())).bearer_auth("sandbox-bearer");
        read.send().await.expect("an answer").json().await.expect("JSON")
    }

    async fn told(&self, text: &str) -> String {
        let url = format!("{}/v1/chat/completions", self.sandbox.base_url());
        let body = json!({ "model": "grok-4", "messages": [{ "role": "user", "content": text }] });
        let asked = self.client.post(url).bearer_auth("sandbox-key").json(&body).send().await.expect("an answer");
        let answer: Value = asked.json().await.expect("JSON");
        answer["choices"][0]["message"]["content"].as_str().expect("a text").to_owned()
    }
}

#[tokio::test]
async fn the_flow_brings_mentions_of_every_sort() {
    let world = TestWorld::with(SandboxOptions {
        bot_accounts: vec!["perch_bot".into()],
        watched: vec!["capper".into(), "sharp".into()],
        post_every: Some(Duration::from_millis(2)),
        actors: actors(),
        ..SandboxOptions::default()
    })
    .await;
    let bot = world.state.add_account("perch_bot");
    let path = format!("/2/users/{bot}/mentions?max_results=100&expansions=author_id,referenced_posts");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let page = loop {
        let page = world.json(&path).await;
        if page["meta"]["result_count"].as_u64() >= Some(40) {
            break page;
        }
        assert!(std::time::Instant::now() < deadline, "nobody mentions the bot: {}", page["meta"]);
    };
    let posts = page["data"].as_array().expect("mentions");
    assert!(posts.iter().any(|p| p.get("referenced_posts").is_some()), "some answer other posts");
    assert!(posts.iter().any(|p| p.get("referenced_posts").is_none()), "some stand alone");
    assert!(posts.iter().all(|p| p["text"].as_str().is_some_and(|t| t.contains("@perch_bot"))));
}

#[tokio::test]
async fn each_bot_is_answered_by_its_actor() {
    let world = TestWorld::with(SandboxOptions { actors: actors(), ..SandboxOptions::default() }).await;
    let read = world.told("Read the picks.\n<post>\nLakers -3.5 (-110) 2u\n</post>").await;
    let read: Value = serde_json::from_str(&read).expect("an answer in JSON");
    assert_eq!((&read["type"], &read["line"], &read["units"]), (&json!("spread"), &json!(-3.5), &json!(2.0)));
    let reply = world.told("<mention>\n@perch_bot who do you like in Lakers vs Celtics?\n</mention>").await;
    assert!((20..240).contains(&reply.len()) && !reply.starts_with('{'), "{reply}");
}

#[tokio::test]
async fn an_account_has_written_before_the_sandbox_starts() {
    let watched = vec!["capper".into()];
    let world = TestWorld::with(SandboxOptions { watched, actors: actors(), ..SandboxOptions::default() }).await;
    let user = world.state.add_account("capper");
    let page = world.json(&format!("/2/users/{user}/tweets?max_results=100&post.fields=created_at")).await;
    let posts = page["data"].as_array().expect("posts");
    assert_eq!(posts.len(), 11);
    let at = |n: usize| posts[n]["created_at"].as_str().expect("a time").parse::<chrono::DateTime<chrono::Utc>>();
    let age = chrono::Utc::now() - at(10).expect("a time");
    assert!(age > chrono::TimeDelta::hours(29), "the oldest is of the day before: {age}");
}
