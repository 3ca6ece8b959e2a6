//! When "X does not show it" means "it was not done", and how a person may settle an effect.

use std::time::Duration;

use chrono::Utc;
use perch_clients::x::CreatePost;
use perch_jobs::{Job as _, JobId, PublishPost, RetryPolicy};
use perch_queue::EnqueueOptions;
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{
    ACT_WITHIN, ActionState, AttemptOutcome, Claim,
    EffectEventKind::{Asked, Claimed, Confirmed, TakenOver, Unknown},
    EffectIntent, EffectState, JobState, Resolution, ResolveOutcome, request_digest,
};
use serde_json::json;

use crate::world::{TestPermit, World, eventually, lost_worker, main_account, publication};

const KEY: &str = "promise:1";

#[tokio::test]
async fn a_post_that_x_shows_late_is_waited_for_and_not_made_again() {
    let world = World::with(&[("PERCH__X__SETTLE", "6s")]).await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::DropBefore).times(1));
    let id = world.enqueue(&publication("Shown late", None, Some(KEY))).await;
    eventually("X was asked and showed nothing", || async {
        world.effect_events(KEY).await.contains(&Asked).then_some(())
    })
    .await;
    // The delay of X: only now does it show.
    let post = CreatePost { text: "Shown late".into(), reply_to: None, ..CreatePost::default() };
    let made = world.other_x().create_post(TestPermit, &main_account(), &post).await.expect("the sandbox takes it");

    let job = world.ended(id).await;
    assert_eq!((job.state, job.attempts), (JobState::Done, 2));
    assert_eq!(world.x.made().len(), 1);
    assert_eq!(world.effect(KEY).await.external_id.as_deref(), Some(made.id.as_str()));
    assert_eq!(world.effect_events(KEY).await, [Claimed, Unknown, Asked, Asked, Confirmed]);
    use AttemptOutcome::{Retried, Snoozed, Succeeded};
    assert_eq!(world.outcomes(id).await, [Retried, Snoozed, Succeeded]);
}

#[tokio::test]
async fn what_a_silent_attempt_may_be_doing_is_not_repeated_before_its_call_must_have_ended() {
    let world = World::without_workers(&[("PERCH__X__TIMEOUT", "1s")]).await;
    let job = JobId::at(Utc::now());
    let intent = EffectIntent {
        key: KEY.into(),
        kind: "post".into(),
        account: "main".into(),
        digest: request_digest(&["main", "Patience", ""]),
        job,
        attempt: 1,
        holder: lost_worker(),
        live: true,
    };
    let claim = world.store.effects().claim(&intent).await.expect("Postgres answers");
    assert!(matches!(claim, Claim::Granted(_)));
    let options = EnqueueOptions { id: Some(job), ..EnqueueOptions::default() };
    world.enqueue_with(&publication("Patience", None, Some(KEY)), options).await;
    let world = world.work();
    assert_eq!(world.ended(job).await.state, JobState::Done);
    assert_eq!(world.effect_events(KEY).await, [Claimed, Asked, Asked, TakenOver, Confirmed]);
    let history = world.effect_history(KEY).await;
    let waited = (history[3].at - history[0].at).to_std().expect("time goes forward");
    assert!(waited >= ACT_WITHIN + Duration::from_secs(1), "{waited:?}");
    assert_eq!(history[2].details["needed_ms"], 6_000);
    assert_eq!(world.x.made().len(), 1);
}

#[tokio::test]
async fn what_a_person_confirmed_is_recorded_by_the_next_job_and_not_made_again() {
    let world = World::start().await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::DropAfter).times(1));
    let retry = Some(RetryPolicy { max_attempts: 1, ..PublishPost::RETRY });
    let once = EnqueueOptions { retry, ..EnqueueOptions::default() };
    let id = world.enqueue_with(&publication("By hand", None, Some(KEY)), once).await;
    assert_eq!(world.ended(id).await.state, JobState::Dead);
    let effects = world.store.effects();
    let said = Resolution::Confirmed { external_id: None };
    let resolved = effects.resolve(KEY, &said, "anna", "it is on the profile").await.expect("Postgres answers");
    assert!(matches!(resolved, ResolveOutcome::Done(effect) if effect.state == EffectState::Confirmed));

    let job = world.done(&publication("By hand", None, Some(KEY))).await;
    assert_eq!(world.x.calls(Endpoint::CreatePost), 1);
    assert_eq!(job.result.as_ref().map(|result| &result["outcome"]), Some(&json!("published")));
    let action = world.action(KEY).await;
    assert_eq!((action.state, action.external_id), (ActionState::Published, None));
}
