use perch_store::Scope;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Seen, World, seen};

const ACCOUNTS: &str = "/api/v1/accounts";

async fn patch(world: &World, username: &str, body: &Value) -> Seen {
    let path = format!("{ACCOUNTS}/{username}");
    seen(world.request(Method::PATCH, &path, Scope::Operate).json(body)).await
}

async fn delete(world: &World, username: &str) -> Seen {
    seen(world.request(Method::DELETE, &format!("{ACCOUNTS}/{username}"), Scope::Operate)).await
}

fn handles(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("accounts").iter().filter_map(|account| account["username"].as_str()).collect()
}

#[tokio::test]
async fn an_account_is_added_changed_and_removed_over_the_api_and_the_audit_log_says_by_whom() {
    let world = World::with(&[("PERCH__PICKS__WATCH", r#"["sharp_sally"]"#)]).await;
    let new = json!({ "handle": "@New_One", "schedule": "0 8 * * *", "timezone": "Europe/Berlin", "pages": 3, "note": "hockey" });
    let added = world.operate(ACCOUNTS, &new).await;
    assert_eq!(added.status, 201, "{added:?}");
    let added = added.json();
    assert_eq!((&added["username"], &added["handle"]), (&json!("new_one"), &json!("New_One")));
    assert_eq!((&added["source"], &added["watched"], &added["pages"]), (&json!("operator"), &json!(true), &json!(3)));
    assert_eq!((&added["added_by"], added["next_poll"].is_string()), (&json!("api:operator"), true));
    assert_eq!(world.operate(ACCOUNTS, &json!({ "handle": "new_one" })).await.status, 200);
    let list = world.get(ACCOUNTS).await.json();
    assert_eq!(handles(&list), ["new_one", "sharp_sally"]);
    assert_eq!((&list["items"][0]["note"], &list["items"][1]["source"]), (&json!("hockey"), &json!("config")));

    let changed = patch(&world, "NEW_ONE", &json!({ "pages": null, "schedule": null, "note": "cricket" })).await.json();
    assert_eq!(
        (&changed["pages"], &changed["schedule"], &changed["note"]),
        (&json!(1), &Value::Null, &json!("cricket"))
    );
    let off = patch(&world, "sharp_sally", &json!({ "enabled": false })).await.json();
    assert_eq!((&off["watched"], &off["next_poll"]), (&json!(false), &Value::Null));

    assert_eq!(delete(&world, "new_one").await.json()["watched"], false);
    delete(&world, "new_one").await.problem(404, "not-found");
    patch(&world, "new_one", &json!({ "pages": 2 })).await.problem(409, "conflict");
    assert!(handles(&world.get(ACCOUNTS).await.json()).is_empty());
    assert_eq!(handles(&world.get("/api/v1/accounts?all=true").await.json()), ["new_one", "sharp_sally"]);

    let lines = world.audited().await;
    let actions: Vec<&str> = lines.iter().map(|(action, _, _)| action.as_str()).collect();
    assert_eq!(actions, ["account.add", "account.add", "account.change", "account.change", "account.remove"]);
    assert!(lines.iter().all(|(_, _, actor)| actor == "api:operator"), "{lines:?}");
}

#[tokio::test]
async fn an_account_is_shown_with_its_polls_and_an_unknown_one_is_not_there() {
    let world = World::start().await;
    let shown = world.get("/api/v1/accounts/Sharp_Sally").await.json();
    assert_eq!((&shown["username"], &shown["polls"]), (&json!("sharp_sally"), &json!([])));
    assert_eq!((&shown["totals"]["read"], &shown["last_poll"]), (&json!(0), &Value::Null));
    world.get("/api/v1/accounts/nobody").await.problem(404, "not-found");
    world.get("/api/v1/accounts/no%20handle").await.problem(404, "not-found");
}

#[tokio::test]
async fn an_account_that_cannot_be_watched_is_refused_by_field_and_scope() {
    let world = World::start().await;
    for (body, field) in [
        (json!({ "handle": "not a handle" }), "$.handle"),
        (json!({ "handle": "a", "schedule": "61 * * * *" }), "$.schedule"),
        (json!({ "handle": "a", "timezone": "UTC" }), "$.timezone"),
        (json!({ "handle": "a", "pages": 65 }), "$.pages"),
        (json!({ "handle": "a", "posts_per_poll": 4 }), "$.posts_per_poll"),
        (json!({ "handle": "a", "pagess": 1 }), "$.pagess"),
    ] {
        assert_eq!(world.operate(ACCOUNTS, &body).await.problem(422, "invalid-request").0, field);
    }
    let (field, _) = patch(&world, "sharp_sally", &json!({ "pages": "two" })).await.problem(422, "invalid-request");
    assert_eq!(field, "$.pages");
    let looker = world.request(Method::POST, ACCOUNTS, Scope::Read).json(&json!({ "handle": "a" }));
    seen(looker).await.problem(403, "forbidden");
}
