use perch_store::{
    EffectEventKind::{Asked, Claimed, Confirmed, Failed, TakenOver, Unknown},
    EffectState,
};
use serde_json::json;

use crate::world::{World, events, found, granted, nothing, unresolved};

#[tokio::test]
async fn every_change_of_an_effect_is_in_its_history_with_who_did_it() {
    let world = World::start().await;
    let effects = world.store.effects();
    let first = granted(world.claim(1).await);
    effects.fail(&first, "503\0").await.unwrap();
    let second = granted(world.claim(2).await);
    effects.unknown(&second, "connection dropped").await.unwrap();
    let third = effects.resolve_not_done(unresolved(world.claim(3).await), &nothing()).await.unwrap();
    effects.confirm(&third, Some("777"), &json!({ "id": "777" })).await.unwrap();

    let history = world.history().await;
    assert_eq!(
        events(&history),
        [
            (Claimed, 1, Some(1)),
            (Failed, 1, Some(1)),
            (Claimed, 2, Some(2)),
            (Unknown, 2, Some(2)),
            (Asked, 3, Some(3)),
            (TakenOver, 3, Some(3)),
            (Confirmed, 3, Some(3)),
        ]
    );
    assert!(history.iter().all(|event| event.job_id == Some(world.job) && event.actor.is_none()));
    assert_eq!(history[0].holder.as_deref(), Some("worker-1"));
    assert_eq!(history[1].details["error"], "503\u{fffd}");
    assert_eq!((&history[4].details["answer"], &history[4].details["looked_at"]), (&json!("not_found"), &json!(7)));
    assert_eq!(history[6].details, json!({ "external_id": "777", "response": { "id": "777" } }));
    assert!(history.is_sorted_by(|earlier, later| earlier.number < later.number));
}

#[tokio::test]
async fn what_was_found_stands_before_the_confirmation_and_names_the_attempt_that_asked() {
    let world = World::start().await;
    let _dead = granted(world.claim(1).await);
    let takeover = unresolved(world.claim(2).await);
    world.store.effects().resolve_confirmed(takeover, &found("777"), Some("777"), &json!({})).await.unwrap();
    let history = world.history().await;
    assert_eq!(events(&history), [(Claimed, 1, Some(1)), (Asked, 1, Some(2)), (Confirmed, 1, Some(2))]);
    assert_eq!((&history[1].details["answer"], &history[1].details["id"]), (&json!("found"), &json!("777")));
}

#[tokio::test]
async fn an_answer_that_decides_nothing_is_kept_and_leaves_the_effect_as_it_is() {
    let world = World::start().await;
    let permit = granted(world.claim(1).await);
    world.store.effects().unknown(&permit, "lost").await.unwrap();
    world.store.effects().resolve_later(unresolved(world.claim(2).await), &nothing()).await.unwrap();
    assert_eq!(world.state().await, EffectState::Unknown);
    assert_eq!(events(&world.history().await)[2..], [(Asked, 1, Some(2))]);
    let takeover = unresolved(world.claim(3).await);
    let _permit = world.store.effects().resolve_not_done(takeover, &nothing()).await.unwrap();
}

#[tokio::test]
async fn what_an_attempt_learnt_while_acting_is_stored_with_what_it_came_to() {
    let world = World::start().await;
    let mut permit = granted(world.claim(1).await);
    permit.add_evidence(found("777"));
    world.store.effects().confirm(&permit, Some("777"), &json!({})).await.unwrap();
    assert_eq!(events(&world.history().await), [(Claimed, 1, Some(1)), (Asked, 1, Some(1)), (Confirmed, 1, Some(1))]);
}

#[tokio::test]
async fn a_change_that_is_repeated_or_refused_is_not_told_a_second_time() {
    let world = World::start().await;
    let effects = world.store.effects();
    let first = granted(world.claim(1).await);
    for _ in 0..2 {
        effects.unknown(&first, "lost").await.unwrap();
    }
    let takeover = unresolved(world.claim(2).await);
    let permit = effects.resolve_not_done(takeover, &nothing()).await.unwrap();
    effects.unknown(&first, "late").await.unwrap_err();
    for _ in 0..2 {
        effects.confirm(&permit, Some("777"), &json!({})).await.unwrap();
    }
    effects.confirm(&first, Some("778"), &json!({})).await.unwrap_err();
    let told: Vec<_> = world.history().await.into_iter().map(|event| event.event).collect();
    assert_eq!(told, [Claimed, Unknown, Asked, TakenOver, Confirmed]);
}

#[tokio::test]
async fn the_time_since_the_last_word_counts_from_the_lost_answer_or_else_from_the_permit() {
    let world = World::start().await;
    let permit = granted(world.claim(1).await);
    world.age(std::time::Duration::from_secs(60)).await;
    let silent = unresolved(world.claim(2).await);
    assert!((60..90).contains(&silent.quiet().as_secs()), "{:?}", silent.quiet());
    world.store.effects().unknown(&permit, "lost").await.unwrap();
    let spoken = unresolved(world.claim(2).await);
    assert!(spoken.quiet().as_secs() < 30, "{:?}", spoken.quiet());
}

#[tokio::test]
async fn a_permit_is_open_when_it_is_given() {
    let world = World::start().await;
    let permit = granted(world.claim(1).await);
    assert!(permit.deadline().is_open());
}
