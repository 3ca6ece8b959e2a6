use chrono::{TimeDelta, Utc};
use perch_base::Environment;
use perch_sandbox::{Sandbox, SandboxOptions};
use perch_store::{Allowance, Budgets, Reservation, SpendKind, SpendRecord};

use super::{
    sample::Sample,
    stage::{Stage, sandbox},
};
use crate::world::World;

played! { "docs/bots.md":
    what_a_model_does_not_take_is_said_as_the_page_on_bots_prints_it("$ perch doctor");
    what_was_spent_is_shown_as_the_page_on_bots_prints_it("$ perch spend");
    a_day_in_the_sandbox_is_staged_as_the_page_on_bots_prints_it("$ perch sandbox play");
}

async fn what_a_model_does_not_take_is_said_as_the_page_on_bots_prints_it([doctor]: [Sample; 1]) {
    let world = World::start().await;
    let models = sandbox().await;
    let mut stage = Stage::of(&world).with("PERCH__MODELS__PROVIDERS__OPENAI__TEMPERATURE", "true");
    for name in ["GROK", "OPENAI"] {
        let base_url = format!("{}/v1", models.base_url());
        stage = stage.with(&format!("{name}_API_KEY"), "sandbox");
        stage = stage.with(&format!("PERCH__MODELS__PROVIDERS__{name}__BASE_URL"), base_url);
    }
    stage.play(&doctor);
}

async fn what_was_spent_is_shown_as_the_page_on_bots_prints_it([spend]: [Sample; 1]) {
    /// A thousandth of a dollar.
    const MILL: i64 = 1_000;
    let world = World::start().await;
    let (store, now) = (world.database.store(Environment::Staging), Utc::now());
    let record = |provider: &str, bot: &str, kind, days_ago: i64, mills: i64| SpendRecord {
        id: format!("{provider} {days_ago}"),
        at: now - TimeDelta::days(days_ago),
        provider: provider.into(),
        bot: bot.into(),
        account: None,
        kind,
        units: 1,
        model: None,
        prompt_tokens: 0,
        completion_tokens: 0,
        micros: mills * MILL,
        job_id: None,
    };
    let records = [
        record("grok", "picks", SpendKind::Model, 0, 412),
        record("together", "mentions", SpendKind::Model, 0, 31),
        record("x", "picks", SpendKind::PostRead, 0, 9_995),
        record("x", "picks", SpendKind::PostRead, 1, 3_200),
    ];
    store.record(&records).await.expect("Postgres answers");
    let budgets = Budgets::new(world.redis.door(), store, Environment::Staging);
    let allowed = Allowance { day: 10_000 * MILL, month: 200_000 * MILL, rate: None };
    let refused = budgets.reserve("x", 15 * MILL, allowed, now).await.expect("Redis answers");
    assert!(matches!(refused, Reservation::Refused { .. }), "{refused:?}");
    // With keys of one's own: what the sandbox plays has no budget.
    let keys = ["X_API_BEARER_TOKEN", "GROK_API_KEY", "OPENAI_API_KEY", "TOGETHER_API_KEY"];
    keys.iter().fold(Stage::of(&world), |stage, key| stage.with(key, "mine")).play(&spend);
}

async fn a_day_in_the_sandbox_is_staged_as_the_page_on_bots_prints_it([day]: [Sample; 1]) {
    let world = World::start().await;
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), SandboxOptions::default()).await.expect("a free port");
    let address = sandbox.base_url().replace("http://", "");
    // Five minutes would be a long test.
    let soon = |_: &[String], word: &str| (word == "5m").then(|| "1s".to_owned());
    Stage::of(&world).with("PERCH__SANDBOX__BIND", address).play_naming(&day, soon);
}
