use chrono::Utc;
use perch_base::Environment;
use perch_jobs::JobId;
use perch_store::{Claim, EffectIntent, EffectState, IN_FLIGHT, Permit, Store, StoreError, request_digest};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

use crate::world::{World, found, granted, nothing, unresolved};

#[tokio::test]
async fn a_confirmed_effect_answers_what_is_stored_and_permits_nobody() {
    let world = World::start().await;
    let permit = granted(world.claim(1).await);
    assert_eq!((permit.key(), permit.fence()), ("post:main:1", 1));
    world.store.effects().confirm(&permit, Some("777"), &json!({"id": "777", "nul": "\0"})).await.unwrap();

    let Claim::Done(effect) = world.claim(2).await else { panic!("the effect is done") };
    assert_eq!(effect.external_id.as_deref(), Some("777"));
    assert_eq!(effect.response.unwrap()["id"], "777");
    assert_eq!(world.store.history().effects_of(world.job).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_confirmation_may_be_repeated_but_not_changed() {
    let world = World::start().await;
    let permit = granted(world.claim(1).await);
    let effects = world.store.effects();
    effects.confirm(&permit, Some("777"), &json!({})).await.unwrap();
    effects.confirm(&permit, Some("777"), &json!({})).await.unwrap();
    let other = effects.confirm(&permit, Some("778"), &json!({})).await;
    assert!(matches!(other, Err(StoreError::EffectSuperseded { .. })), "{other:?}");
    assert!(effects.fail(&permit, "late").await.is_err());
    assert!(effects.unknown(&permit, "late").await.is_err());
}

#[tokio::test]
async fn an_effect_that_was_refused_may_be_tried_again_under_a_new_fence() {
    let world = World::start().await;
    let first = granted(world.claim(1).await);
    world.store.effects().fail(&first, "403 duplicate\0").await.unwrap();
    let second = granted(world.claim(2).await);
    assert!(second.fence() > first.fence());
    let late = world.store.effects().confirm(&first, Some("1"), &json!({})).await;
    assert!(matches!(late, Err(StoreError::EffectSuperseded { .. })), "{late:?}");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_before_anybody_acts_again() {
    let world = World::start().await;
    let first = granted(world.claim(1).await);
    world.store.effects().unknown(&first, "connection dropped").await.unwrap();

    let takeover = unresolved(world.claim(2).await);
    assert_eq!(takeover.key(), "post:main:1");
    let effect = world
        .store
        .effects()
        .resolve_confirmed(takeover, &found("777"), Some("777"), &json!({"found": true}))
        .await
        .unwrap();
    assert_eq!((effect.state, effect.external_id.as_deref()), (EffectState::Confirmed, Some("777")));
    assert!(matches!(world.claim(3).await, Claim::Done(_)));
}

#[tokio::test]
async fn a_late_answer_of_the_first_attempt_settles_what_the_second_is_asking_about() {
    let world = World::start().await;
    let first = granted(world.claim(1).await);
    let takeover = unresolved(world.claim(2).await);
    world.store.effects().confirm(&first, Some("777"), &json!({})).await.unwrap();
    let permit = world.store.effects().resolve_not_done(takeover, &nothing()).await;
    assert!(matches!(permit, Err(StoreError::EffectSuperseded { .. })), "{permit:?}");
    assert!(matches!(world.claim(2).await, Claim::Done(_)));
}

#[tokio::test]
async fn an_attempt_that_was_overtaken_is_stopped_and_can_record_nothing() {
    let world = World::start().await;
    let first = granted(world.claim(1).await);
    let takeover = unresolved(world.claim(2).await);
    let second = world.store.effects().resolve_not_done(takeover, &nothing()).await.unwrap();
    assert!(matches!(world.claim(1).await, Claim::Superseded { .. }));
    for late in [
        world.store.effects().confirm(&first, None, &json!({})).await.map(drop),
        world.store.effects().fail(&first, "late").await,
        world.store.effects().unknown(&first, "late").await,
    ] {
        assert!(matches!(late, Err(StoreError::EffectSuperseded { .. })), "{late:?}");
    }
    world.store.effects().confirm(&second, Some("9"), &json!({})).await.unwrap();
    assert_eq!(world.state().await, EffectState::Confirmed);
}

#[tokio::test]
async fn another_job_with_the_same_key_waits_and_asks_when_the_first_has_had_its_time() {
    let world = World::start().await;
    let _permit = granted(world.claim(1).await);
    let other = EffectIntent { job: JobId::at(Utc::now()), ..world.intent(1) };
    let Claim::Busy { retry_after, .. } = world.store.effects().claim(&other).await.unwrap() else {
        panic!("the first job may be acting")
    };
    assert!(retry_after <= IN_FLIGHT);
    world.age(IN_FLIGHT).await;
    let _takeover = unresolved(world.store.effects().claim(&other).await.unwrap());
    assert_eq!(world.store.effects().unsettled(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_that_stands_for_another_request_is_refused() {
    let world = World::start().await;
    let permit = granted(world.claim(1).await);
    let other = EffectIntent { digest: request_digest(&["main", "good bye"]), ..world.intent(2) };
    assert!(matches!(world.store.effects().claim(&other).await.unwrap(), Claim::DigestMismatch { .. }));
    world.store.effects().fail(&permit, "refused").await.unwrap();
    assert!(matches!(world.store.effects().claim(&other).await.unwrap(), Claim::Granted(_)));
}

#[tokio::test]
async fn a_key_that_cannot_be_stored_is_refused_before_anything_happens() {
    let world = World::start().await;
    for key in [String::new(), "k".repeat(513), "a\0b".to_owned()] {
        let claim = world.store.effects().claim(&EffectIntent { key, ..world.intent(1) }).await;
        assert!(matches!(claim, Err(StoreError::Invalid { .. })), "{claim:?}");
    }
}

#[tokio::test]
async fn staging_and_production_do_not_share_effects() {
    let world = World::start().await;
    let _permit = granted(world.claim(1).await);
    let production = world.database.store(Environment::Production);
    assert!(matches!(production.effects().claim(&world.intent(1)).await.unwrap(), Claim::Granted(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_claims_exactly_one_is_granted() {
    let world = World::start().await;
    for round in 0..20 {
        let claims = (0..12).map(|racer| {
            let store = world.store.clone();
            let job = if racer % 2 == 0 { world.job } else { JobId::at(Utc::now()) };
            let intent = EffectIntent { key: format!("race:{round}"), job, ..world.intent(1) };
            tokio::spawn(async move { store.effects().claim(&intent).await.unwrap() })
        });
        let claims = futures::future::try_join_all(claims).await.unwrap();
        let granted = claims.iter().filter(|claim| matches!(claim, Claim::Granted(_))).count();
        assert_eq!(granted, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_takeovers_exactly_one_gets_the_permit() {
    let world = World::start().await;
    for round in 0..20 {
        let first = EffectIntent { key: format!("takeover:{round}"), ..world.intent(1) };
        let permit = granted(world.store.effects().claim(&first).await.unwrap());
        world.store.effects().unknown(&permit, "lost").await.unwrap();
        let racers = (0..8).map(|racer| {
            let store = world.store.clone();
            let intent = EffectIntent { holder: format!("racer-{racer}"), attempt: 2, ..first.clone() };
            tokio::spawn(async move {
                match store.effects().claim(&intent).await.unwrap() {
                    Claim::Unresolved { takeover, .. } => {
                        store.effects().resolve_not_done(takeover, &nothing()).await.ok()
                    }
                    _ => None,
                }
            })
        });
        let permits = futures::future::try_join_all(racers).await.unwrap();
        let held: Vec<_> = permits.into_iter().flatten().collect();
        // A claim that comes after the winner's permit finds it open again and may ask once more: fences tell them apart.
        assert!(!held.is_empty(), "round {round}");
        let newest = held.iter().map(Permit::fence).max().unwrap();
        let mut confirmed = 0;
        for permit in &held {
            let done = world.store.effects().confirm(permit, Some(&permit.fence().to_string()), &json!({})).await;
            assert_eq!(done.is_ok(), permit.fence() == newest, "round {round}");
            confirmed += usize::from(done.is_ok());
        }
        assert_eq!(confirmed, 1, "round {round}");
    }
}

/// The fate of an attempt that has a permit.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Confirms,
    DiesAfterTheCall,
    LosesTheAnswer,
    DiesBeforeTheCall,
    IsRefused,
}

/// Runs one attempt after another against an outside service that counts calls; returns the count.
async fn attempts(store: &Store, first: EffectIntent, fates: &[Fate]) -> u32 {
    let effects = store.effects();
    let mut happened = 0;
    for (attempt, fate) in (1..).zip(fates) {
        let permit = match effects.claim(&EffectIntent { attempt, ..first.clone() }).await.unwrap() {
            Claim::Granted(permit) => permit,
            Claim::Done(_) => {
                assert_eq!(happened, 1, "what is stored as done was done");
                continue;
            }
            Claim::Unresolved { takeover, .. } if happened > 0 => {
                effects.resolve_confirmed(takeover, &found("777"), Some("1"), &json!({})).await.unwrap();
                continue;
            }
            Claim::Unresolved { takeover, .. } => effects.resolve_not_done(takeover, &nothing()).await.unwrap(),
            other => panic!("attempts that follow each other get a clear answer, not {other:?}"),
        };
        happened += u32::from(matches!(fate, Fate::Confirms | Fate::DiesAfterTheCall | Fate::LosesTheAnswer));
        match fate {
            Fate::Confirms => drop(effects.confirm(&permit, Some("1"), &json!({})).await.unwrap()),
            Fate::LosesTheAnswer => effects.unknown(&permit, "timeout").await.unwrap(),
            Fate::IsRefused => effects.fail(&permit, "429").await.unwrap(),
            Fate::DiesAfterTheCall | Fate::DiesBeforeTheCall => {}
        }
    }
    happened
}

#[test]
fn whatever_becomes_of_the_attempts_the_effect_happens_once_at_most() {
    let fate = prop::sample::select(vec![
        Fate::Confirms,
        Fate::DiesAfterTheCall,
        Fate::LosesTheAnswer,
        Fate::DiesBeforeTheCall,
        Fate::IsRefused,
    ]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::start());
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let case = std::cell::Cell::new(0);
    runner
        .run(&prop::collection::vec(fate, 1..10), |fates| {
            case.set(case.get() + 1);
            let intent = EffectIntent { key: format!("case:{}", case.get()), ..world.intent(1) };
            prop_assert!(runtime.block_on(attempts(&world.store, intent, &fates)) <= 1);
            Ok(())
        })
        .unwrap();
    let _in_runtime = runtime.enter();
    drop(world);
}
