//! Slots, each filled once.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use perch_bot_personas::{PostState, SlotState, StockStore as _};
use perch_core::personas::{CatchUpPolicy, PersonaSpec};
use perch_store::EffectState;
use serde_json::{Value, json};

use crate::{
    mentions::told,
    together::Together,
    world::{World, eventually},
};

use super::{IDLE, add, baker, batch, due_now, due_since, name, of, replenish, run, slot_states, sql, this_minute};

#[tokio::test]
async fn a_slot_is_filled_and_its_post_published_once_however_often_it_is_run() {
    let together =
        Together::saying(&[&batch(&["Rye wants a cold night and a hot stone.", "Flour remembers the weather."])]).await;
    let world = told(&together, &[IDLE]).await;
    due_now(&world, "baker", baker()).await;
    replenish(&world, "baker").await;
    let (mut first, mut second) = (run(&world).await, run(&world).await);
    first.as_object_mut().expect("an object").remove("replenishing");
    second.as_object_mut().expect("an object").remove("replenishing");
    assert_eq!(first, json!({ "filled": 1 }));
    let published = eventually("the post is published", || async {
        run(&world).await;
        of(&world, "baker", PostState::Published).await.into_iter().next()
    })
    .await;
    let key = published.effect_key.clone().expect("a key");
    assert_eq!(world.effect(&key).await.state, EffectState::Confirmed);
    assert_eq!(key, format!("persona:baker:{}", published.slot_at.expect("a slot").timestamp()));
    let made = world.x.made();
    assert_eq!(made.iter().filter(|post| post.text == published.text).count(), 1, "{made:?}");
    assert_eq!(published.external_id.as_deref(), Some(made[0].id.as_str()));
    let slot = published.slot_at.expect("a slot");
    assert!(slot_states(&world, "baker").await.contains(&(slot, SlotState::Published)));
}

#[tokio::test]
async fn a_post_that_was_reserved_before_a_crash_goes_out_once_and_its_slot_takes_no_other() {
    let together =
        Together::saying(&[&batch(&["Rye wants a cold night and a hot stone.", "Flour remembers the weather."])]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    let slot_at = this_minute();
    let (key, job) = (format!("persona:baker:{}", slot_at.timestamp()), perch_jobs::JobId::at(slot_at));
    let fill = async || {
        let first = |ready: &[perch_bot_personas::ReadyPost], _: &[Option<String>]| ready.first().map(|post| post.id);
        world.store.slots().fill(&name("baker"), slot_at, (&key, job), first).await.expect("Postgres answers")
    };
    // The process that filled the slot was killed before it enqueued the job.
    assert!(matches!(fill().await, perch_bot_personas::Reservation::Filled(_)));
    assert_eq!(fill().await, perch_bot_personas::Reservation::Before(SlotState::Reserved));
    sqlx::query("update personas.posts set updated_at = updated_at - interval '2 minutes' where state = 'reserved'")
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    let published = eventually("the post is published", || async {
        run(&world).await;
        of(&world, "baker", PostState::Published).await.into_iter().next()
    })
    .await;
    assert_eq!((published.slot_at, published.publish_job_id), (Some(slot_at), Some(job)));
    assert_eq!(world.x.made().len(), 1);
    assert_eq!(of(&world, "baker", PostState::Ready).await.len(), 1);
}

#[tokio::test]
async fn after_an_outage_missed_slots_are_left_out_or_the_latest_is_caught_up() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[IDLE]).await;
    for (persona, catch_up) in [("skips", CatchUpPolicy::Skip), ("catches", CatchUpPolicy::Latest)] {
        // Ten minutes ago, which is beyond the grace of five.
        let minute = (Utc::now() - TimeDelta::minutes(10)).format("%M");
        let schedule = vec![format!("{minute} * * * *")];
        add(&world, persona, &PersonaSpec { catch_up, schedule, ..baker() }).await;
        due_since(&world, persona, Utc::now() - TimeDelta::minutes(135)).await;
    }
    let result = run(&world).await;
    assert_eq!((&result["missed"], &result["empty"]), (&json!(5), &json!(1)), "{result}");
    let states = |slots: Vec<(_, SlotState)>| slots.into_iter().map(|(_, state)| state).collect::<Vec<_>>();
    assert_eq!(states(slot_states(&world, "skips").await), [SlotState::Missed; 3]);
    assert_eq!(states(slot_states(&world, "catches").await), [SlotState::Empty, SlotState::Missed, SlotState::Missed]);
}

/// Fills the slot of this minute as a process that was killed before it enqueued the job.
async fn left_behind(world: &World, persona: &str) -> DateTime<Utc> {
    let slot_at = this_minute();
    let key = format!("persona:{persona}:{}", slot_at.timestamp());
    let first = |ready: &[perch_bot_personas::ReadyPost], _: &[Option<String>]| ready.first().map(|post| post.id);
    let job = perch_jobs::JobId::at(slot_at);
    world.store.slots().fill(&name(persona), slot_at, (&key, job), first).await.expect("Postgres answers");
    slot_at
}

#[tokio::test]
async fn a_post_that_was_left_behind_too_long_is_ready_again_and_holds_no_other_persona_up() {
    let texts = [batch(&["Rye wants a cold night and a hot stone."]), batch(&["Flour remembers the weather."])];
    let together = Together::saying(&[&texts[0], &texts[1]]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "late", &baker()).await;
    replenish(&world, "late").await;
    let slot_at = left_behind(&world, "late").await;
    due_now(&world, "other", baker()).await;
    replenish(&world, "other").await;
    sql(&world, "update personas.posts set updated_at = updated_at - interval '70 minutes' where state = 'reserved'")
        .await;
    assert_eq!(run(&world).await["filled"], json!(1), "the other one posts");
    let late = "update personas.posts set updated_at = updated_at - interval '1 hour' where bot_id = 'late' and state = 'reserved'";
    sql(&world, late).await;
    run(&world).await;
    let [post] = &of(&world, "late", PostState::Ready).await[..] else { panic!("it is ready again") };
    assert_eq!((post.slot_at, &post.effect_key, post.publish_job_id), (None, &None, None));
    assert!(slot_states(&world, "late").await.contains(&(slot_at, SlotState::Missed)));
}

#[tokio::test]
async fn a_post_whose_job_could_not_begin_in_time_is_ready_again_and_its_slot_missed() {
    let together = Together::saying(&[&batch(&["Rye wants a cold night and a hot stone."])]).await;
    let world = told(&together, &[IDLE]).await;
    due_now(&world, "baker", baker()).await;
    replenish(&world, "baker").await;
    let brake = perch_store::Brake::new(world.client.queues().redis().clone(), world.store.clone());
    brake.pull("ann", "test", Value::Null).await.expect("Redis and Postgres answer");
    run(&world).await;
    let reserved = of(&world, "baker", PostState::Reserved).await;
    let job = reserved[0].publish_job_id.expect("a job");
    eventually("Postgres knows of the job", || async {
        world.sync().await;
        world.store.history().job(job).await.expect("Postgres answers")
    })
    .await;
    // As if its deadline had passed while the brake was on.
    let passed =
        "update jobs set state = 'dead', finished_at = now(), envelope = jsonb_set(envelope, '{deadline}', '1')
                  where kind = 'publish_post'";
    sql(&world, passed).await;
    run(&world).await;
    assert_eq!(of(&world, "baker", PostState::Ready).await.len(), 1);
    let missed = reserved[0].slot_at.expect("a slot");
    assert!(slot_states(&world, "baker").await.contains(&(missed, SlotState::Missed)));
    assert!(world.x.made().is_empty());
}

/// Several schedulers of several processes at once.
#[tokio::test]
async fn two_schedulers_fill_a_slot_once() {
    let texts = [
        "Rye wants a cold night and a hot stone.",
        "Flour remembers the weather.",
        "Steam is a guest with loud shoes.",
    ];
    let together = Together::saying(&[&batch(&texts)]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    let slot_at = this_minute();
    let job = perch_jobs::JobId::at(slot_at);
    let fills = (0..8).map(|_| async {
        let first = |ready: &[perch_bot_personas::ReadyPost], _: &[Option<String>]| ready.first().map(|post| post.id);
        world
            .store
            .slots()
            .fill(&name("baker"), slot_at, ("persona:baker:1", job), first)
            .await
            .expect("Postgres answers")
    });
    let filled = futures::future::join_all(fills).await;
    let ids: BTreeSet<i64> = filled
        .iter()
        .filter_map(|one| match one {
            perch_bot_personas::Reservation::Filled(post) => Some(post.id),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 1, "{filled:?}");
    assert_eq!(of(&world, "baker", PostState::Reserved).await.len(), 1);
}
