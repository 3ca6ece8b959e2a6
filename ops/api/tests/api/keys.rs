use perch_base::Environment;
use perch_store::Scope;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::world::{PATIENCE, World, eventually, seen};

#[tokio::test]
async fn who_operates_may_also_look_but_not_enqueue() {
    let world = World::start().await;
    assert_eq!(seen(world.request(Method::GET, "/api/v1/queues", Scope::Operate)).await.status, 200);
    let job = json!({ "kind": "sync_hot_state", "payload": {} });
    let refused = seen(world.request(Method::POST, "/api/v1/jobs", Scope::Operate).json(&job)).await;
    refused.problem(403, "forbidden");
    assert!(refused.header("www-authenticate").contains("scope=\"enqueue\""), "{refused:?}");
}

#[tokio::test]
async fn a_key_of_the_other_environment_and_a_revoked_one_are_refused() {
    let world = World::start().await;
    let production = world.database.as_ref().expect("it is there").store(Environment::Production);
    let other = production.api_keys().create("other", &Scope::ALL).await.expect("a key").token;
    let revoked = world.store.api_keys().create("revoked", &Scope::ALL).await.expect("a key").token;
    world.store.api_keys().revoke("revoked").await.expect("Postgres").expect("it was in use");
    for token in [other, revoked] {
        let request = world.bare(Method::GET, "/api/v1/queues").bearer_auth(token.expose_secret());
        seen(request).await.problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_while_it_is_in_use_is_refused_at_once() {
    let world = World::start().await;
    let token = world.store.api_keys().create("in use", &[Scope::Read]).await.expect("a key").token;
    let ask = || async { seen(world.bare(Method::GET, "/api/v1/queues").bearer_auth(token.expose_secret())).await };
    assert_eq!(ask().await.status, 200);
    world.store.api_keys().revoke("in use").await.expect("Postgres answers").expect("it was in use");
    // Sooner than what is known of a key would run out.
    assert!(PATIENCE < perch_store::KEY_HOLDS);
    eventually("the key is refused", || async { ask().await.status == 401 }).await;
    assert_eq!(world.get("/api/v1/queues").await.status, 200, "no other key is");
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_come_back() {
    let vars = [("PERCH__HTTP__RATE_PER_SECOND", "1"), ("PERCH__HTTP__RATE_BURST", "3")];
    let world = World::with(&vars).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(world.get("/api/v1/queues").await);
    }
    let refused = answers.iter().find(|answer| answer.status == 429).expect("the burst is spent");
    refused.problem(429, "rate-limited");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{refused:?}");
    let other = seen(world.request(Method::GET, "/api/v1/queues", Scope::Operate)).await;
    assert_eq!(other.status, 200, "another key has a rate of its own");
}

#[tokio::test]
async fn when_postgres_is_away_a_known_key_goes_on_working_and_an_unknown_one_is_put_off() {
    let mut world = World::start().await;
    assert_eq!(world.get("/api/v1/queues").await.status, 200);
    drop(world.database.take());
    assert_eq!(world.get("/api/v1/queues").await.status, 200);
    let unknown = world.bare(Method::GET, "/api/v1/queues").bearer_auth("perch_stg_unknown");
    let answer = seen(unknown).await;
    answer.problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
}

#[tokio::test]
async fn the_description_names_every_type_it_uses() {
    let world = World::start().await;
    let document = seen(world.bare(Method::GET, "/openapi.json")).await.json();
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    assert_eq!(document, json!(perch_api::openapi(&perch_workers::bots())));
    let mut used = Vec::new();
    references(&document, &mut used);
    assert!(!used.is_empty());
    for path in used {
        let pointer = path.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{path} is not defined");
    }
    let page = seen(world.bare(Method::GET, "/")).await;
    assert!(page.text.contains("<h1>Perch API</h1>"), "/ leads to the documentation");
    let page = seen(world.bare(Method::GET, "/docs")).await;
    assert!(page.header("content-type").starts_with("text/html"));
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("operations").keys() {
            let heading = format!("<code>{} {path}</code>", method.to_uppercase());
            assert!(page.text.contains(&heading), "{heading}");
        }
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
