//! Every route there is, with every key that should not open it.

use std::collections::{BTreeMap, BTreeSet};

use perch_api as api;
use perch_store::Scope;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::world::{Seen, World, seen};

/// Paths that need no key, and answer the same to everybody.
const OPEN: [&str; 4] = ["/health", "/ready", "/docs", "/openapi.json"];

struct Route {
    method: Method,
    /// With its parameters filled in.
    path: String,
    scopes: BTreeSet<String>,
}

impl Route {
    fn about(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    async fn ask(&self, world: &World, token: Option<&str>) -> Seen {
        let request = world.bare(self.method.clone(), &self.path);
        let request = if self.method == Method::GET { request } else { request.json(&json!({})) };
        seen(if let Some(token) = token { request.bearer_auth(token) } else { request }).await
    }
}

/// The routes of a document, by path as it is described.
fn described(document: &Value) -> BTreeMap<String, Vec<Route>> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let routes = paths.map(|(path, item)| {
        let routes = item.as_object().expect("operations").iter().map(|(method, operation)| Route {
            method: method.to_uppercase().parse().expect("a method"),
            path: path
                .replace("{id}", "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2")
                .replace("{queue}", "extraction")
                .replace("{account}", "main"),
            scopes: (operation["security"].as_array().into_iter().flatten())
                .flat_map(|requirement| requirement["key"].as_array().cloned().unwrap_or_default())
                .map(|scope| scope.as_str().expect("a scope").to_owned())
                .collect(),
        });
        (path.clone(), routes.collect())
    });
    routes.collect()
}

/// The paths that a router serves, as its Debug output lists them.
fn served(router: &axum::Router) -> BTreeSet<String> {
    let text = format!("{router:?}");
    let quoted = text.split('"').skip(1).step_by(2);
    // The root stands there for what is answered to any other path.
    quoted.filter(|part| part.len() > 1 && part.starts_with('/') && !part.contains('*')).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_document_describes_every_route_that_is_served_and_no_other() {
    let world = World::start().await;
    let documented: BTreeSet<String> = described(&json!(api::openapi(&perch_workers::bots()))).into_keys().collect();
    let served = served(&api::router(world.state.clone()));
    assert!(served.len() > 15, "{served:?}");
    let undocumented: Vec<&String> = served.difference(&documented).collect();
    assert_eq!(undocumented, ["/docs", "/openapi.json"], "what describes the API is all that it leaves out");
    assert!(documented.is_subset(&served), "{:?}", documented.difference(&served));
    assert_eq!(world.get("/nowhere").await.status, 404);
}

#[tokio::test]
async fn a_route_answers_to_its_scopes_and_to_no_key_that_is_missing_revoked_unknown_or_of_another_scope() {
    // No test of a route may run into the limit of its key.
    let world = World::with(&[("PERCH__HTTP__RATE_PER_SECOND", "10000"), ("PERCH__HTTP__RATE_BURST", "10000")]).await;
    let keys = world.store.api_keys();
    let revoked = keys.create("revoked", &Scope::ALL).await.expect("a key").token;
    keys.revoke("revoked").await.expect("Postgres answers").expect("it was in use");
    let unknown = format!("{}x", &world.token(Scope::Operate)[..world.token(Scope::Operate).len() - 1]);
    let strangers = [
        ("none", None),
        ("a revoked one", Some(revoked.expose_secret())),
        ("an unknown one", Some(unknown.as_str())),
        ("one of no form", Some("x")),
    ];
    let mut guarded = 0;
    for (path, routes) in described(&json!(api::openapi(&perch_workers::bots()))) {
        for route in routes {
            if OPEN.contains(&path.as_str()) {
                assert!(route.scopes.is_empty(), "{} says it needs a key", route.about());
                continue;
            }
            assert!(!route.scopes.is_empty(), "{} is open", route.about());
            guarded += 1;
            for (about, token) in &strangers {
                let answer = route.ask(&world, *token).await;
                assert_eq!(answer.status, 401, "{} with the key {about}: {answer:?}", route.about());
                answer.problem(401, "unauthorized");
                assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
            }
            for scope in Scope::ALL {
                let answer = route.ask(&world, Some(world.token(scope))).await;
                let allowed = route.scopes.contains(scope.as_str());
                let refused = [401, 403].contains(&answer.status.as_u16());
                assert_eq!(refused, !allowed, "{} with the scope {scope:?}: {answer:?}", route.about());
                if !allowed {
                    let (_, detail) = answer.problem(403, "forbidden");
                    assert!(route.scopes.iter().all(|word| detail.contains(word)), "{}: {detail}", route.about());
                }
            }
        }
    }
    assert!(guarded >= 16, "only {guarded} routes are guarded");
}

#[tokio::test]
async fn the_probes_and_the_description_need_no_key_and_mind_none() {
    let world = World::start().await;
    for path in OPEN {
        for request in [world.bare(Method::GET, path), world.bare(Method::GET, path).bearer_auth("perch_stg_unknown")] {
            let answer = seen(request).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
        let posted = seen(world.bare(Method::POST, path).json(&json!({}))).await;
        posted.problem(405, "method-not-allowed");
    }
}

#[tokio::test]
async fn a_method_or_a_path_that_is_not_described_opens_nothing() {
    let world = World::start().await;
    let document = described(&json!(api::openapi(&perch_workers::bots())));
    for (path, routes) in document.iter().filter(|(path, _)| path.starts_with("/api/")) {
        let known: BTreeSet<&str> = routes.iter().map(|route| route.method.as_str()).collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "ODD"] {
            // HEAD is answered wherever GET is.
            if known.contains(method) {
                continue;
            }
            let request = world.bare(method.parse().expect("a method"), &routes[0].path);
            let answer = seen(request.bearer_auth(world.token(Scope::Operate))).await;
            assert!([401, 404, 405].contains(&answer.status.as_u16()), "{method} {path}: {answer:?}");
        }
        for odd in
            [format!("{}/", routes[0].path), format!("{}/../keys", routes[0].path), format!("/{}", routes[0].path)]
        {
            let answer = seen(world.bare(Method::GET, &odd)).await;
            assert!([401, 404, 405].contains(&answer.status.as_u16()), "{odd}: {answer:?}");
        }
    }
}
