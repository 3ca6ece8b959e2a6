//! What operators change, and what they are told.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use perch_base::Paging;
use perch_bot_personas::{PostState, StockStore as _};
use perch_core::personas::{PersonaChange, PersonaSpec, PersonaStore as _};
use perch_store::AuditFilter;
use serde_json::{Value, json};

use crate::{mentions::told, together::Together, world::eventually};

use super::{IDLE, add, baker, batch, due_now, due_since, name, of, replenish, run, slot_states, sql, this_minute};

#[tokio::test]
async fn a_persona_is_changed_paused_and_removed_at_run_time_and_the_audit_log_says_by_whom() {
    let together = Together::saying(&[&batch(&["Rye wants a cold night and a hot stone."])]).await;
    let world = told(&together, &[IDLE]).await;
    due_now(&world, "baker", baker()).await;
    replenish(&world, "baker").await;
    let personas = world.store.personas();
    let stale = personas.put(&name("baker"), &baker(), Some(7), "bob").await.expect("Postgres answers");
    assert!(matches!(stale, PersonaChange::Conflict(_)), "{stale:?}");
    personas.set_enabled(&name("baker"), false, "bob").await.expect("Postgres answers");
    assert_eq!(run(&world).await, json!({ "filled": 0 }));
    assert!(slot_states(&world, "baker").await.is_empty(), "it has no slots while it is paused");
    assert!(personas.remove(&name("baker"), "cat").await.expect("Postgres answers"));
    run(&world).await;
    assert_eq!(of(&world, "baker", PostState::Expired).await.len(), 1);
    let filter = AuditFilter { object: Some("baker".into()), actor: None };
    let lines = world.store.audit().list(&filter, &Paging::default()).await.expect("Postgres answers").items;
    let actions: BTreeMap<&str, &str> = lines.iter().map(|line| (line.action.as_str(), line.actor.as_str())).collect();
    assert_eq!(actions["personas.pause"], "bob");
    assert_eq!((actions["personas.add"], actions["personas.remove"]), ("ann", "cat"));
}

#[tokio::test]
async fn the_variables_of_a_single_bot_make_a_persona_that_they_change_until_an_operator_does() {
    let together = Together::saying(&[]).await;
    let vars =
        [IDLE, ("BOT_NAME", "template-bot"), ("BOT_PERSONALITY", "You are kind."), ("POSTING_SCHEDULE", "0 9 * * *")];
    let world = told(&together, &vars).await;
    let get = async || {
        run(&world).await;
        world.store.personas().get(&name("template-bot")).await.expect("Postgres answers").expect("it is added")
    };
    let added = get().await;
    assert_eq!(
        (added.spec.prompt.as_str(), added.spec.schedule.as_slice()),
        ("You are kind.", &["0 9 * * *".to_owned()][..])
    );
    assert_eq!(get().await.version, 1, "a second run changes nothing");
    let edited = PersonaSpec { prompt: "You are dry.".into(), ..added.spec };
    world.store.personas().put(&added.name, &edited, Some(1), "ann").await.expect("Postgres answers");
    assert_eq!(get().await.spec.prompt, "You are dry.", "what an operator has changed stays");
}

#[tokio::test]
async fn mentions_are_answered_as_the_persona_of_their_account() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    world.x.publish(crate::mentions::FAN, "@perch_bot good morning");
    crate::mentions::fetched(&world).await;
    let asked = eventually("the model is asked", || async { together.asked().into_iter().next() }).await;
    let system = asked["messages"][0]["content"].as_str().expect("text").to_owned();
    assert!(system.starts_with("You are a baker with dry humour."), "{system}");
}

#[tokio::test]
async fn a_persona_that_is_removed_leaves_nothing_behind_for_the_next_of_its_name() {
    let together = Together::saying(&[&batch(&["Rye wants a cold night and a hot stone."])]).await;
    let world = told(&together, &[IDLE]).await;
    let spec = PersonaSpec { schedule: vec!["*/20 * * * *".into()], ..baker() };
    add(&world, "baker", &spec).await;
    replenish(&world, "baker").await;
    due_since(&world, "baker", Utc::now() - TimeDelta::hours(3)).await;
    // Reserved by a process that was killed before it enqueued the job.
    let first = |ready: &[perch_bot_personas::ReadyPost], _: &[Option<String>]| ready.first().map(|post| post.id);
    let (slot_at, job) = (this_minute(), perch_jobs::JobId::at(this_minute()));
    let key = format!("persona:baker:{}", slot_at.timestamp());
    world.store.slots().fill(&name("baker"), slot_at, (&key, job), first).await.expect("Postgres answers");
    world.store.personas().remove(&name("baker"), "ann").await.expect("Postgres answers");
    run(&world).await;
    assert_eq!(of(&world, "baker", PostState::Expired).await.len(), 1);
    add(&world, "baker", &spec).await;
    assert_eq!(run(&world).await["missed"], Value::Null, "the slots before it was added again are none of its own");
    assert!(world.x.made().is_empty());
}

#[tokio::test]
async fn an_edit_of_a_persona_that_was_removed_meanwhile_does_not_bring_it_back() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    let personas = world.store.personas();
    personas.remove(&name("baker"), "bob").await.expect("Postgres answers");
    let edited = PersonaSpec { tone: "dry".into(), ..baker() };
    let change = personas.put(&name("baker"), &edited, Some(1), "ann").await.expect("Postgres answers");
    assert_eq!(change, PersonaChange::Unknown);
}

#[tokio::test]
async fn a_persona_that_this_release_cannot_read_stops_only_itself_and_one_with_unknown_fields_not_even_that() {
    let together = Together::saying(&[]).await;
    let vars = [IDLE, ("BOT_NAME", "odd"), ("BOT_PERSONALITY", "You are kind.")];
    let world = told(&together, &vars).await;
    for persona in ["odd", "newer", "other"] {
        add(&world, persona, &baker()).await;
    }
    sql(&world, "update personas set spec = spec || '{\"timezone\": 7}' where name = 'odd'").await;
    sql(&world, "update personas set spec = spec || '{\"mood\": \"glad\"}' where name = 'newer'").await;
    let enabled = world.store.personas().enabled().await.expect("Postgres answers");
    assert_eq!(enabled.iter().map(|persona| persona.name.as_str()).collect::<Vec<_>>(), ["newer", "other"]);
    assert_eq!(run(&world).await["replenishing"], json!(2));
    assert!(world.store.personas().remove(&name("odd"), "ann").await.expect("Postgres answers"), "it can be removed");
}

#[tokio::test]
async fn what_keeps_a_persona_from_posting_is_told_to_probes_without_what_strangers_wrote() {
    let together = Together::saying(&["I would rather not."]).await;
    let world = told(&together, &[IDLE]).await;
    let told = async || perch_workers::bots().troubles(&world.settings, &world.store).await;
    assert!(told().await.is_empty());
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    assert_eq!(told().await, ["personas: baker: the stock is empty"]);
    world.store.personas().set_enabled(&name("baker"), false, "ann").await.expect("Postgres answers");
    assert!(told().await.is_empty(), "it is paused");
}
