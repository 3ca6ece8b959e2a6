use perch_store::{RateWindow, RateWindows, Scope};
use reqwest::Method;
use serde_json::json;

use crate::world::{World, seen};

const BRAKE: &str = "/api/v1/brake";

#[tokio::test]
async fn the_brake_is_pulled_seen_and_lifted_and_the_audit_log_says_by_whom_and_why() {
    let world = World::start().await;
    assert_eq!(world.get(BRAKE).await.json()["on"], false);
    let pull = || world.request(Method::PUT, BRAKE, Scope::Operate).json(&json!({ "reason": "wrong odds" }));
    let pulled = seen(pull()).await.json();
    assert_eq!((&pulled["on"], &pulled["changed"], &pulled["logged"]), (&json!(true), &json!(true), &json!(true)));
    assert_eq!(seen(pull()).await.json()["changed"], false);
    let told = world.get(BRAKE).await.json();
    assert_eq!((&told["by"], &told["reason"]), (&json!("api:operator"), &json!("wrong odds")));
    let metrics = world.get("/metrics").await.text;
    assert!(metrics.contains(r#"perch_brake{scope="everything"} 1"#), "{metrics}");
    let ready = seen(world.bare(Method::GET, "/ready")).await;
    assert_eq!((ready.status.as_u16(), &ready.json()["brake"]), (200, &json!("on, so nothing is published")));

    let lift = format!("{BRAKE}?reason=mended");
    let lifted = seen(world.request(Method::DELETE, &lift, Scope::Operate)).await.json();
    assert_eq!((&lifted["on"], &lifted["changed"]), (&json!(false), &json!(true)));
    let line = |action: &str| (action.to_owned(), "brake".to_owned(), "api:operator".to_owned());
    assert_eq!(world.audited().await, [line("brake.on"), line("brake.on"), line("brake.off")]);
}

#[tokio::test]
async fn the_brake_is_not_touched_without_the_scope_or_a_reason() {
    let world = World::start().await;
    for scope in [Scope::Read, Scope::Enqueue] {
        let pull = world.request(Method::PUT, BRAKE, scope).json(&json!({ "reason": "no" }));
        seen(pull).await.problem(403, "forbidden");
    }
    let empty = world.request(Method::PUT, BRAKE, Scope::Operate).json(&json!({ "reason": " " }));
    let (field, reason) = seen(empty).await.problem(422, "invalid-request");
    assert!(field == "$.reason" && reason.contains("say in 1 to 500 characters why"), "{field}: {reason}");
    let without = seen(world.request(Method::DELETE, BRAKE, Scope::Operate)).await;
    without.problem(400, "invalid-query");
    assert_eq!(world.audited().await, []);
}

#[tokio::test]
async fn an_account_and_a_bot_have_brakes_of_their_own_and_a_name_that_nobody_has_is_refused() {
    let world = World::start().await;
    let pull = |scope: &str| {
        let path = format!("{BRAKE}?scope={scope}");
        world.request(Method::PUT, &path, Scope::Operate).json(&json!({ "reason": "odd words" }))
    };
    for scope in ["account:main", "bot:picks"] {
        let pulled = seen(pull(scope)).await.json();
        assert_eq!((&pulled["scope"], &pulled["on"], &pulled["changed"]), (&json!(scope), &json!(true), &json!(true)));
    }
    let shown = world.get(BRAKE).await.json();
    assert_eq!((&shown["scope"], &shown["on"]), (&json!("everything"), &json!(false)));
    let scoped = shown["scoped"].as_array().expect("a list");
    let scoped: Vec<_> = scoped.iter().map(|brake| (&brake["scope"], &brake["by"], &brake["reason"])).collect();
    let (by, reason) = (&json!("api:operator"), &json!("odd words"));
    assert_eq!(scoped, [(&json!("account:main"), by, reason), (&json!("bot:picks"), by, reason)]);
    let ready = seen(world.bare(Method::GET, "/ready")).await.json();
    assert_eq!(ready["brake"], "on for 1 account and 1 bot, so nothing of theirs is published");
    let metrics = world.get("/metrics").await.text;
    for (scope, on) in [("everything", 0), ("account:main", 1), ("bot:picks", 1), ("bot:mentions", 0)] {
        assert!(metrics.contains(&format!(r#"perch_brake{{scope="{scope}"}} {on}"#)), "{scope}: {metrics}");
    }

    for (scope, known) in [("account:nobody", "there are main"), ("bot:nobody", "picks")] {
        let (field, reason) = seen(pull(scope)).await.problem(404, "not-found");
        assert!(field == "scope" && reason.contains(known), "{field}: {reason}");
    }
    let (field, reason) = seen(pull("person:main")).await.problem(400, "invalid-query");
    assert!(field == "scope" && reason.contains("account:NAME"), "{field}: {reason}");

    let lift = format!("{BRAKE}?reason=mended&scope=account:main");
    let lifted = seen(world.request(Method::DELETE, &lift, Scope::Operate)).await.json();
    assert_eq!((&lifted["scope"], &lifted["on"]), (&json!("account:main"), &json!(false)));
    let bot = world.get(&format!("{BRAKE}?scope=bot:picks")).await.json();
    assert_eq!((&bot["scope"], &bot["on"], &bot["scoped"]), (&json!("bot:picks"), &json!(true), &json!([])));
    let line = |action: &str, object: &str| (action.to_owned(), object.to_owned(), "api:operator".to_owned());
    let expected = [line("brake.on", "brake:account:main"), line("brake.on", "brake:bot:picks")];
    assert_eq!(world.audited().await, [&expected[..], &[line("brake.off", "brake:account:main")]].concat());
}

#[tokio::test]
async fn limits_are_shown_at_all_three_levels() {
    let world = World::with(&[
        ("PERCH__POSTING__PER_DAY", "20"),
        ("PERCH__QUEUES__EXTRACTION__RATE", r#"{ count = 5, per = "1m" }"#),
    ])
    .await;
    let windows = RateWindows::new(world.redis.door(), world.settings.env);
    let reset = perch_base::clock::now() + chrono::TimeDelta::minutes(10);
    windows.set("x:posts_create:main", RateWindow { limit: 100, remaining: 3, reset }).await.expect("Redis answers");
    windows
        .set("model:grok:chat_completions", RateWindow { limit: 60, remaining: 59, reset })
        .await
        .expect("Redis answers");
    let shown = world.get("/api/v1/limits").await.json();
    let api = &shown["api"];
    assert_eq!((&api[0]["caller"], &api[0]["remaining"]), (&json!("grok"), &json!(59)));
    assert_eq!(
        (&api[1]["service"], &api[1]["endpoint"], &api[1]["caller"]),
        (&json!("x"), &json!("posts_create"), &json!("main"))
    );
    let main = &shown["posting"][0];
    assert_eq!((&main["account"], &main["per_day"], &main["posts"]), (&json!("main"), &json!(20), &json!(0)));
    let extraction =
        shown["processing"].as_array().and_then(|all| all.iter().find(|queue| queue["queue"] == "extraction"));
    assert_eq!(extraction.map(|queue| &queue["rate"]["left"]), Some(&json!(5)), "{shown}");

    let one = world.get("/api/v1/limits?account=main").await.json();
    assert_eq!(one["api"].as_array().map(Vec::len), Some(1));
    let (field, reason) = world.get("/api/v1/limits?account=other").await.problem(404, "not-found");
    assert!(field == "account" && reason.contains("configured are main"), "{field}: {reason}");
}
