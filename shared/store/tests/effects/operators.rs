use chrono::{TimeDelta, Utc};
use perch_base::{Environment, Paging};
use perch_jobs::JobId;
use perch_store::{
    Claim, EffectEventKind, EffectFilter, EffectIntent, EffectState, IN_FLIGHT, Resolution, ResolveOutcome, StoreError,
};
use serde_json::json;

use crate::world::{World, granted, nothing, unresolved};

fn happened(id: &str) -> Resolution {
    Resolution::Confirmed { external_id: Some(id.into()) }
}

#[tokio::test]
async fn what_a_person_says_settles_the_effect_and_no_late_attempt_can_change_it() {
    let world = World::start().await;
    let effects = world.store.effects();
    let late = granted(world.claim(1).await);
    effects.unknown(&late, "lost").await.unwrap();
    let asking = unresolved(world.claim(2).await);

    let ResolveOutcome::Done(effect) = world.resolve(&happened("777")).await else { panic!("it was open") };
    assert_eq!((effect.state, effect.fence, effect.external_id.as_deref()), (EffectState::Confirmed, 2, Some("777")));
    assert_eq!(effect.response, Some(json!({ "resolved_by": "anna", "reason": "I looked" })));

    for refused in [
        effects.resolve_not_done(asking, &nothing()).await.map(drop),
        effects.confirm(&late, Some("778"), &json!({})).await.map(drop),
        effects.fail(&late, "late").await,
    ] {
        assert!(matches!(refused, Err(StoreError::EffectSuperseded { .. })), "{refused:?}");
    }
    assert!(matches!(world.claim(3).await, Claim::Done(_)));
    let last = world.history().await.pop().unwrap();
    assert_eq!((last.event, last.actor.as_deref(), last.job_id), (EffectEventKind::Resolved, Some("anna"), None));
    assert_eq!((&last.details["was"], &last.details["reason"]), (&json!("unknown"), &json!("I looked")));
}

#[tokio::test]
async fn what_did_not_happen_by_the_word_of_a_person_may_be_done_by_the_next_attempt() {
    let world = World::start().await;
    let late = granted(world.claim(1).await);
    world.store.effects().unknown(&late, "lost").await.unwrap();
    let ResolveOutcome::Done(effect) = world.resolve(&Resolution::NotDone).await else { panic!("it was open") };
    assert_eq!((effect.state, effect.error.as_deref()), (EffectState::Failed, Some("anna resolved it: I looked")));
    let refused = world.store.effects().confirm(&late, Some("777"), &json!({})).await;
    assert!(matches!(refused, Err(StoreError::EffectSuperseded { .. })), "{refused:?}");
    assert_eq!(granted(world.claim(2).await).fence(), 3);
}

#[tokio::test]
async fn what_is_known_or_in_use_is_not_resolved() {
    let world = World::start().await;
    assert_eq!(world.resolve(&Resolution::NotDone).await, ResolveOutcome::Unknown);
    let permit = granted(world.claim(1).await);
    let ResolveOutcome::Busy(_, left) = world.resolve(&Resolution::NotDone).await else { panic!("it is in use") };
    assert!(left <= IN_FLIGHT);
    world.store.effects().fail(&permit, "503").await.unwrap();
    assert!(matches!(world.resolve(&Resolution::NotDone).await, ResolveOutcome::AlreadyFailed(_)));
    let permit = granted(world.claim(2).await);
    world.store.effects().confirm(&permit, Some("777"), &json!({})).await.unwrap();
    for resolution in [happened("778"), Resolution::NotDone] {
        let ResolveOutcome::AlreadyConfirmed(effect) = world.resolve(&resolution).await else { panic!("it happened") };
        assert_eq!((effect.fence, effect.external_id.as_deref()), (2, Some("777")));
    }
    assert_eq!(world.history().await.len(), 4);
}

#[tokio::test]
async fn effects_are_listed_by_what_was_asked_for_the_latest_first() {
    let world = World::start().await;
    for (n, (kind, account)) in [("post", "main"), ("retweet", "main"), ("post", "second")].into_iter().enumerate() {
        let intent = EffectIntent {
            key: format!("{kind}:{n}"),
            kind: kind.into(),
            account: account.into(),
            job: JobId::at(Utc::now()),
            ..world.intent(1)
        };
        let permit = granted(world.store.effects().claim(&intent).await.unwrap());
        if n == 0 {
            world.store.effects().unknown(&permit, "lost").await.unwrap();
        }
    }
    let list = async |filter: EffectFilter| -> Vec<String> {
        world
            .store
            .effects()
            .list(&filter, &Paging::default())
            .await
            .unwrap()
            .items
            .into_iter()
            .map(|effect| effect.key)
            .collect()
    };
    let all = EffectFilter::default();
    assert_eq!(list(all.clone()).await, ["post:2", "retweet:1", "post:0"]);
    assert_eq!(list(EffectFilter { state: Some(EffectState::Unknown), ..all.clone() }).await, ["post:0"]);
    assert_eq!(list(EffectFilter { kind: Some("retweet".into()), ..all.clone() }).await, ["retweet:1"]);
    assert_eq!(list(EffectFilter { account: Some("second".into()), ..all.clone() }).await, ["post:2"]);
    let yesterday = Some(Utc::now() - TimeDelta::days(1));
    assert!(list(EffectFilter { before: yesterday, ..all.clone() }).await.is_empty());
    let production = world.database.store(Environment::Production);
    assert!(production.effects().list(&all, &Paging::default()).await.unwrap().items.is_empty());
}
