use perch_base::Environment;
use perch_store::Scope;
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::world::{World, seen};

/// One operation of the OpenAPI document.
struct Operation {
    method: Method,
    described: String,
    /// With its parameters filled in.
    path: String,
    scopes: Vec<String>,
}

async fn operations(world: &World) -> Vec<Operation> {
    let document = seen(world.bare(Method::GET, "/openapi.json")).await.json();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let scopes = operation["security"].as_array().into_iter().flatten();
            let scopes = scopes.flat_map(|requirement| requirement["key"].as_array().cloned().unwrap_or_default());
            found.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                described: path.clone(),
                path: path.replace("{id}", "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2").replace("{queue}", "extraction"),
                scopes: scopes.map(|scope| scope.as_str().unwrap_or_default().to_owned()).collect(),
            });
        }
    }
    found
}

fn request(world: &World, operation: &Operation) -> RequestBuilder {
    let request = world.bare(operation.method.clone(), &operation.path);
    if operation.method == Method::POST { request.json(&json!({})) } else { request }
}

#[tokio::test]
async fn no_route_of_the_api_opens_without_a_key_of_its_scope() {
    let world = World::start().await;
    let operations = operations(&world).await;
    assert!(operations.len() >= 20, "there are only {}", operations.len());
    for operation in &operations {
        let about = format!("{} {}", operation.method, operation.path);
        if !operation.path.starts_with("/api/v1/") {
            assert!(operation.scopes.is_empty(), "{about}");
            continue;
        }
        assert!(!operation.scopes.is_empty(), "{about} is described as open");
        let none = seen(request(&world, operation)).await;
        none.problem(401, "unauthorized");
        assert!(none.header("www-authenticate").starts_with("Bearer"), "{about}");
        seen(request(&world, operation).bearer_auth("perch_stg_forged")).await.problem(401, "unauthorized");
        for scope in Scope::ALL {
            let answer = seen(request(&world, operation).bearer_auth(world.token(scope))).await;
            if operation.scopes.iter().any(|word| word == scope.as_str()) {
                assert!(![401, 403].contains(&answer.status.as_u16()), "{about} with {scope:?}: {answer:?}");
            } else {
                let (_, detail) = answer.problem(403, "forbidden");
                assert!(operation.scopes.iter().all(|word| detail.contains(word)), "{about}: {detail}");
            }
        }
    }
}

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
    assert_eq!(document, json!(perch_workers::api::openapi()));
    let mut used = Vec::new();
    references(&document, &mut used);
    assert!(!used.is_empty());
    for path in used {
        let pointer = path.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{path} is not defined");
    }
    let page = seen(world.bare(Method::GET, "/docs")).await;
    assert!(page.header("content-type").starts_with("text/html"));
    for operation in operations(&world).await {
        let heading = format!("<code>{} {}</code>", operation.method, operation.described);
        assert!(page.text.contains(&heading), "{heading}");
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
