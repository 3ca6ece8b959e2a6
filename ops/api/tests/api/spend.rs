use chrono::Utc;
use perch_base::Environment;
use perch_store::{Allowance, Budgets, SpendKind, SpendRecord};
use serde_json::{Value, json};

use crate::world::World;

const DOLLAR: i64 = 1_000_000;

#[tokio::test]
async fn what_was_spent_and_what_it_holds_back_are_told_over_the_api() {
    let world = World::with(&[("PERCH__X__BUDGET", "{ daily = 1.0, monthly = 50.0 }")]).await;
    let (now, store) = (Utc::now(), &world.store);
    let record = SpendRecord {
        id: "1".into(),
        at: now,
        provider: "x".into(),
        bot: "picks".into(),
        account: Some("sharp_sally".into()),
        kind: SpendKind::PostRead,
        units: 198,
        model: None,
        prompt_tokens: 0,
        completion_tokens: 0,
        micros: DOLLAR * 99 / 100,
        job_id: None,
    };
    store.record(&[record]).await.expect("Postgres answers");
    let of_x = |report: &Value| {
        let providers = report["providers"].as_array().expect("a list");
        providers.iter().find(|cost| cost["provider"] == "x").cloned().expect("X has a budget")
    };
    let before = world.get("/api/v1/spend").await.json();
    assert_eq!((&of_x(&before)["today"], &of_x(&before)["held_by"]), (&json!(0.99), &Value::Null));
    assert_eq!((&before["items"][0]["kind"], &before["items"][0]["units"]), (&json!("post_read"), &json!(198)));
    let budgets = Budgets::new(world.redis.door(), store.clone(), Environment::Staging);
    let allowed = Allowance { day: DOLLAR, month: 0, rate: None };
    budgets.reserve("x", DOLLAR / 20, allowed, now).await.expect("Redis answers");
    let held = world.get("/api/v1/spend").await.json();
    assert_eq!(of_x(&held)["held_by"], json!("day"));
    assert_eq!(world.get("/api/v1/spend?since=yesterday").await.status, 400);
}
