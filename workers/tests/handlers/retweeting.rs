//! Retweets go the way of posts: through the ledger, once.

use chrono::Utc;
use perch_jobs::JobId;
use perch_queue::EnqueueOptions;
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{
    ActionKind, ActionState, Claim, EffectEventKind, EffectIntent, EffectState, JobState, request_digest,
};
use serde_json::json;

use crate::world::{SALLY, TestPermit, World, lost_worker, main_account, retweet};

#[tokio::test]
async fn a_retweet_goes_out_is_confirmed_and_is_recorded() {
    let world = World::start().await;
    let post = world.x.publish(SALLY, "Lakers tonight");
    let job = world.done(&retweet(&post)).await;
    let made = world.x.made();
    let [repeat] = made.as_slice() else { panic!("one retweet: {made:?}") };
    assert_eq!(repeat.retweet_of.as_deref(), Some(post.as_str()));

    let key = format!("retweet:main:{post}");
    let effect = world.effect(&key).await;
    assert_eq!((effect.state, effect.kind.as_str()), (EffectState::Confirmed, "retweet"));
    assert_eq!(world.effect_events(&key).await, [EffectEventKind::Claimed, EffectEventKind::Confirmed]);
    let action = world.action(&key).await;
    assert_eq!((action.kind, action.state), (ActionKind::Retweet, ActionState::Published));
    assert_eq!((action.source_post.map(|id| id.to_string()), action.job_id), (Some(post), Some(job.id)));
    assert!(world.jobs_of("collect_metrics").await.is_empty(), "a retweet has no metrics of its own");
}

#[tokio::test]
async fn jobs_that_retweet_one_post_do_it_once_and_ask_who_the_account_is_once() {
    let world = World::start().await;
    let post = world.x.publish(SALLY, "Lakers tonight");
    let first = world.done(&retweet(&post)).await;
    let second = world.done(&retweet(&post)).await;
    assert_ne!(first.id, second.id);
    let other = world.x.publish(SALLY, "Suns tonight");
    world.done(&retweet(&other)).await;
    assert_eq!((world.x.made().len(), world.x.calls(Endpoint::Retweet), world.x.calls(Endpoint::Me)), (2, 2, 1));
}

#[tokio::test]
async fn a_retweet_whose_answer_was_lost_is_found_and_not_made_again() {
    let world = World::start().await;
    let post = world.x.publish(SALLY, "Lakers tonight");
    world.x.add_fault(Fault::new(Endpoint::Retweet, FaultKind::DropAfter).times(1));
    world.done(&retweet(&post)).await;
    let made = world.x.made();
    let [repeat] = made.as_slice() else { panic!("one retweet: {made:?}") };
    assert_eq!(world.x.calls(Endpoint::Retweet), 1);
    let key = format!("retweet:main:{post}");
    assert_eq!(world.effect(&key).await.external_id.as_deref(), Some(repeat.id.as_str()));
    use EffectEventKind::{Asked, Claimed, Confirmed, Unknown};
    assert_eq!(world.effect_events(&key).await, [Claimed, Unknown, Asked, Confirmed]);
}

#[tokio::test]
async fn a_retweet_that_never_arrived_is_made_by_the_next_attempt() {
    let world = World::start().await;
    let post = world.x.publish(SALLY, "Lakers tonight");
    world.x.add_fault(Fault::new(Endpoint::Retweet, FaultKind::DropBefore).times(1));
    world.done(&retweet(&post)).await;
    assert_eq!((world.x.made().len(), world.x.calls(Endpoint::Retweet)), (1, 2));
    let history = world.effect_history(&format!("retweet:main:{post}")).await;
    let asked = history.iter().find(|event| event.event == EffectEventKind::Asked).expect("X was asked");
    assert_eq!((&asked.details["answer"], &asked.details["looked_at"]), (&json!("not_found"), &json!(0)));
}

#[tokio::test]
async fn an_attempt_that_died_after_retweeting_is_made_good_by_the_next() {
    let world = World::without_workers(&[]).await;
    let post = world.x.publish(SALLY, "Lakers tonight");
    let (job, wanted) = (JobId::at(Utc::now()), retweet(&post));
    let intent = EffectIntent {
        key: wanted.key(),
        kind: "retweet".into(),
        account: "main".into(),
        digest: request_digest(&["main", &post]),
        job,
        attempt: 1,
        holder: lost_worker(),
        live: true,
    };
    let claim = world.store.effects().claim(&intent).await.expect("Postgres answers");
    assert!(matches!(claim, Claim::Granted(_)));
    let x = world.other_x();
    let me = x.me(&main_account()).await.expect("the sandbox knows it").id;
    x.retweet(TestPermit, &main_account(), &me, &wanted.post_id).await.expect("the sandbox takes it");

    world.enqueue_with(&wanted, EnqueueOptions { id: Some(job), ..EnqueueOptions::default() }).await;
    let world = world.work();
    assert_eq!(world.ended(job).await.state, JobState::Done);
    assert_eq!((world.x.made().len(), world.x.calls(Endpoint::Retweet)), (1, 1));
}

#[tokio::test]
async fn a_post_that_the_account_repeats_already_is_confirmed_by_what_x_says_of_it() {
    let world = World::start().await;
    let post = world.x.publish(SALLY, "Lakers tonight");
    let x = world.other_x();
    let me = x.me(&main_account()).await.expect("the sandbox knows it").id;
    x.retweet(TestPermit, &main_account(), &me, &post.parse().expect("an id")).await.expect("made by hand");

    let job = world.done(&retweet(&post)).await;
    assert_eq!((job.attempts, world.x.made().len()), (1, 1));
    let key = format!("retweet:main:{post}");
    let effect = world.effect(&key).await;
    assert_eq!((effect.state, effect.response), (EffectState::Confirmed, Some(json!({ "already": true }))));
    let history = world.effect_history(&key).await;
    assert_eq!(history[1].details["answer"], "refused");
    assert_eq!(world.action(&key).await.state, ActionState::Published);
}

#[tokio::test]
async fn a_post_that_is_gone_cannot_be_retweeted_and_that_is_recorded() {
    let world = World::start().await;
    let job = world.ended(world.enqueue(&retweet("1234")).await).await;
    assert_eq!((job.state, job.attempts), (JobState::Dead, 1));
    assert_eq!(world.effect("retweet:main:1234").await.state, EffectState::Failed);
    assert_eq!(world.action("retweet:main:1234").await.state, ActionState::Failed);
}

#[tokio::test]
async fn staging_without_a_sandbox_records_a_retweet_and_sends_nothing() {
    let nothing = [("X_MAIN_ACCESS_TOKEN", ""), ("X_MAIN_ACCESS_SECRET", ""), ("X_API_KEY", ""), ("X_API_SECRET", "")];
    let mut vars = vec![("PERCH__X__BASE_URL", "https://api.x.com")];
    vars.extend(nothing);
    let world = World::with(&vars).await;
    let job = world.done(&retweet("1849")).await;
    assert_eq!(job.result, Some(json!({ "outcome": "simulated" })));
    assert_eq!(world.action("retweet:main:1849").await.state, ActionState::Simulated);
}
