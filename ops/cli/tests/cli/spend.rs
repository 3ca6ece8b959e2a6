use chrono::{TimeDelta, Utc};
use perch_base::Environment;
use perch_store::{Allowance, Budgets, Reservation, SpendKind, SpendRecord, Store};
use serde_json::{Value, json};

use crate::world::{Ran, World, run};

const CENT: i64 = 10_000;

/// What was read from X, in cents.
fn read(id: &str, days_ago: i64, account: &str, cents: i64) -> SpendRecord {
    SpendRecord {
        id: id.into(),
        at: Utc::now() - TimeDelta::days(days_ago),
        provider: "x".into(),
        bot: "picks".into(),
        account: Some(account.into()),
        kind: SpendKind::PostRead,
        units: u32::try_from(cents * 2).expect("a few"),
        model: None,
        prompt_tokens: 0,
        completion_tokens: 0,
        micros: cents * CENT,
        job_id: None,
    }
}

fn store(world: &World) -> Store {
    world.database.store(Environment::Staging)
}

/// The command with a budget for X, which is not the sandbox.
fn spend(world: &World, budget: &str, arguments: &[&str]) -> Ran {
    let mut command = world.perch(&[&["spend"], arguments].concat());
    command.env("X_API_BEARER_TOKEN", "a-token-of-x").env("PERCH__X__BUDGET", budget);
    run(&mut command, b"")
}

fn of_x(report: &Value) -> &Value {
    let providers = report["providers"].as_array().expect("a list");
    providers.iter().find(|cost| cost["provider"] == "x").expect("X has a budget")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_is_shown_by_provider_and_by_what_it_was_for_with_a_forecast() {
    let world = World::start().await;
    assert!(world.run(&["spend"]).went_well().stdout.contains("nothing was spent"));
    let records = [read("1", 0, "sharp_sally", 30), read("2", 0, "parlay_pete", 12), read("3", 2, "sharp_sally", 80)];
    store(&world).record(&records).await.expect("Postgres answers");
    let hour_ago = (Utc::now() - TimeDelta::days(3)).to_rfc3339();
    let report = spend(&world, "{ daily = 1.0, monthly = 50.0 }", &["--since", &hour_ago, "--json"]).json();
    let x = of_x(&report);
    assert_eq!((&x["today"], &x["daily_budget"], &x["held_by"]), (&json!(0.42), &json!(1.0), &Value::Null));
    let usual = 0.80 / 2.0;
    let forecast = x["forecast"].as_f64().expect("a number");
    let month = x["month"].as_f64().expect("a number");
    let end = perch_store::next_month(Utc::now());
    let left = (end - perch_store::next_day(Utc::now())).num_days();
    #[expect(clippy::cast_precision_loss, reason = "days of a month")]
    let expected = month + usual * left as f64;
    assert!((forecast - expected).abs() < 0.001, "{forecast} and not {expected}: two days are no week");
    let lines = report["items"].as_array().expect("a list");
    assert_eq!(
        (&lines[0]["account"], &lines[0]["cost"], &lines[0]["calls"]),
        (&json!("sharp_sally"), &json!(1.1), &json!(2))
    );
    let text = spend(&world, "{ daily = 1.0, monthly = 50.0 }", &["--limit", "1"]).went_well();
    assert!(
        text.stdout.contains("0.420  1.00") && text.stdout.lines().all(|line| line.chars().count() <= 80),
        "{text:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_holds_calls_back_says_so_before_it_is_spent_to_the_cent() {
    let world = World::start().await;
    let (store, now) = (store(&world), Utc::now());
    store.record(&[read("1", 0, "sharp_sally", 98)]).await.expect("Postgres answers");
    let budgets = Budgets::new(world.redis.door(), store, Environment::Staging);
    let allowed = Allowance { day: 100 * CENT, month: 0, rate: None };
    let refused = budgets.reserve("x", 5 * CENT, allowed, now).await.expect("Redis answers");
    assert!(matches!(refused, Reservation::Refused { .. }), "{refused:?}");
    let budget = "{ daily = 1.0, monthly = 50.0 }";
    let report = spend(&world, budget, &["--json"]).json();
    assert_eq!((&of_x(&report)["today"], &of_x(&report)["held_by"]), (&json!(0.98), &json!("day")));
    assert!(of_x(&report)["last_held"].is_string());
    let text = spend(&world, budget, &[]).went_well().stdout;
    assert!(text.contains("0.980  1.00") && text.contains("held until tomorrow (UTC)"), "{text}");
    let raised = spend(&world, "{ daily = 2.0, monthly = 50.0 }", &["--json"]).json();
    assert_eq!(of_x(&raised)["held_by"], Value::Null);
}
