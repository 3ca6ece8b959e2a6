//! The bot that posts as personas, with real workers, servers and the sandbox.

mod evergreen;
mod import;
mod long_posts;
mod operators;
mod similar;
mod slots;
mod stock;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::Paging;
use perch_bot_personas::{PostState, SlotState, StockFilter, StockPost, StockStore as _};
use perch_core::personas::{PersonaChange, PersonaSpec, PersonaStore as _, ReviewPolicy};
use perch_jobs::{PersonaName, ReplenishStock, RunPersonas};
use serde_json::{Value, json};

use crate::world::{World, main_account};

fn name(text: &str) -> PersonaName {
    text.parse().expect("a name")
}

fn baker() -> PersonaSpec {
    PersonaSpec {
        schedule: vec!["0 * * * *".into()],
        review: ReviewPolicy::Flagged,
        ..PersonaSpec::new(main_account(), "You are a baker with dry humour.".into())
    }
}

/// A batch as a model answers it.
fn batch(texts: &[&str]) -> String {
    json!({ "posts": texts.iter().map(|text| json!({ "text": text })).collect::<Vec<_>>() }).to_string()
}

async fn add(world: &World, persona: &str, spec: &PersonaSpec) {
    let change = world.store.personas().put(&name(persona), spec, Some(0), "ann").await.expect("Postgres answers");
    assert!(matches!(change, PersonaChange::Added(_)), "{change:?}");
}

async fn replenish(world: &World, persona: &str) -> Value {
    world.done(&ReplenishStock { persona: name(persona), now: true }).await.result.expect("a result")
}

async fn run(world: &World) -> Value {
    world.done(&RunPersonas {}).await.result.expect("a result")
}

async fn posts(world: &World, filter: &StockFilter) -> Vec<StockPost> {
    world.store.stock().list(filter, &Paging::first(100)).await.expect("Postgres answers").items
}

async fn of(world: &World, persona: &str, state: PostState) -> Vec<StockPost> {
    posts(world, &StockFilter { persona: Some(name(persona)), state: Some(state), topic: None }).await
}

/// Sets back when a persona was added and what is known of its slots, so that the last ones are due now.
async fn due_since(world: &World, persona: &str, since: DateTime<Utc>) {
    let persona = world.store.personas().get(&name(persona)).await.expect("Postgres answers").expect("it is there");
    world.store.slots().progress(&persona).await.expect("Postgres answers");
    for statement in [
        "update personas.progress set slots_until = $1 where bot_id = $2",
        "update personas set created_at = $1 where name = $2",
    ] {
        sqlx::query(statement)
            .bind(since)
            .bind(persona.name.as_str())
            .execute(&world.database().raw())
            .await
            .expect("Postgres answers");
    }
}

async fn slot_states(world: &World, persona: &str) -> Vec<(DateTime<Utc>, SlotState)> {
    let page = world.store.slots().list(&name(persona), &Paging::first(100)).await.expect("Postgres answers");
    page.items.into_iter().map(|slot| (slot.slot_at, slot.state)).collect()
}

/// A persona whose slot of this minute is due, and the next one in an hour.
async fn due_now(world: &World, persona: &str, spec: PersonaSpec) {
    let slot_at = this_minute();
    add(world, persona, &PersonaSpec { schedule: vec![slot_at.format("%M * * * *").to_string()], ..spec }).await;
    due_since(world, persona, slot_at - TimeDelta::seconds(1)).await;
}

fn this_minute() -> DateTime<Utc> {
    DateTime::from_timestamp(Utc::now().timestamp() / 60 * 60, 0).expect("a time")
}

const IDLE: (&str, &str) = ("PERCH__CRON__RUN_PERSONAS__ENABLED", "false");

async fn sql(world: &World, statement: &'static str) {
    sqlx::query(statement).execute(&world.database().raw()).await.expect("Postgres answers");
}
