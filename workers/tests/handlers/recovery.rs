//! Publications whose attempt ended in the middle.

use chrono::Utc;
use perch_clients::x::CreatePost;
use perch_jobs::{JobId, PostId};
use perch_queue::EnqueueOptions;
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{Claim, EffectIntent, EffectState, Evidence, request_digest};

use crate::world::{TestPermit, World, lost_worker, main_account, publication};

const KEY: &str = "comment:main:1:abc";

/// Lets an attempt of the job claim the effect and end without settling its permit.
async fn claim_and_die(world: &World, job: JobId, text: &str) {
    let intent = EffectIntent {
        key: KEY.into(),
        kind: "post".into(),
        account: "main".into(),
        digest: request_digest(&["main", text, ""]),
        job,
        attempt: 1,
        holder: lost_worker(),
        live: true,
    };
    let claim = world.store.effects().claim(&intent).await.expect("Postgres answers");
    assert!(matches!(claim, Claim::Granted(_)));
}

#[tokio::test]
async fn a_post_whose_answer_was_lost_is_found_and_not_made_again() {
    let world = World::start().await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::DropAfter).times(1));
    let job = world.done(&publication("It was accepted", None, Some(KEY))).await;
    let made = world.x.made();
    let [post] = made.as_slice() else { panic!("exactly one post: {made:?}") };
    assert_eq!(world.x.calls(Endpoint::CreatePost), 1);
    let effect = world.effect(KEY).await;
    assert_eq!((effect.state, effect.external_id.as_deref()), (EffectState::Confirmed, Some(post.id.as_str())));
    assert_eq!(job.attempts, 2);
    assert_eq!(world.action(KEY).await.external_id.as_deref(), Some(post.id.as_str()));
}

#[tokio::test]
async fn a_post_that_never_arrived_is_made_by_the_next_attempt() {
    let world = World::start().await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::DropBefore).times(1));
    world.done(&publication("It was not accepted", None, Some(KEY))).await;
    assert_eq!((world.x.made().len(), world.x.calls(Endpoint::CreatePost)), (1, 2));
    assert_eq!(world.effect(KEY).await.state, EffectState::Confirmed);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_no_reason_to_post_again() {
    let world = World::start().await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::Malformed).times(1));
    world.done(&publication("It was accepted", None, Some(KEY))).await;
    assert_eq!((world.x.made().len(), world.x.calls(Endpoint::CreatePost)), (1, 1));
}

#[tokio::test]
async fn a_post_that_x_is_slow_about_is_looked_for_before_it_is_made_again() {
    let world = World::with(&[("PERCH__X__TIMEOUT", "1s"), ("PERCH__X__SETTLE", "2s")]).await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::Slow).times(1).delay_ms(1_500));
    world.x.add_fault(Fault::new(Endpoint::UserPosts, FaultKind::Slow).times(1).delay_ms(900));
    world.done(&publication("Slowly", None, Some(KEY))).await;
    assert_eq!(world.x.made().len(), 1);
    assert_eq!(world.effect(KEY).await.state, EffectState::Confirmed);
}

#[tokio::test]
async fn an_attempt_that_died_after_posting_is_made_good_by_the_next() {
    let world = World::without_workers(&[]).await;
    let job = JobId::at(Utc::now());
    claim_and_die(&world, job, "From beyond").await;
    let post = CreatePost { text: "From beyond".into(), reply_to: None, ..CreatePost::default() };
    let made = world.other_x().create_post(TestPermit, &main_account(), &post).await.expect("the sandbox takes it");

    let options = EnqueueOptions { id: Some(job), ..EnqueueOptions::default() };
    world.enqueue_with(&publication("From beyond", None, Some(KEY)), options).await;
    let world = world.work();
    world.ended(job).await;

    assert_eq!(world.x.calls(Endpoint::CreatePost), 1);
    assert_eq!(world.effect(KEY).await.external_id.as_deref(), Some(made.id.as_str()));
    let published = world.store.performance().post(&made.id).await.expect("Postgres answers");
    assert_eq!(published.map(|post| post.text).as_deref(), Some("From beyond"));
}

#[tokio::test]
async fn an_attempt_that_died_before_posting_is_made_good_by_the_next() {
    let world = World::without_workers(&[]).await;
    let job = JobId::at(Utc::now());
    claim_and_die(&world, job, "Not yet").await;
    world.age_effect(KEY).await;
    let options = EnqueueOptions { id: Some(job), ..EnqueueOptions::default() };
    world.enqueue_with(&publication("Not yet", None, Some(KEY)), options).await;
    let world = world.work();
    world.ended(job).await;
    let ids: Vec<String> = world.x.made().into_iter().map(|post| post.id).collect();
    let [id] = ids.as_slice() else { panic!("exactly one post: {ids:?}") };
    assert_eq!(world.effect(KEY).await.external_id.as_ref(), Some(id));
}

#[tokio::test]
async fn an_attempt_that_died_after_confirming_leaves_its_records_to_the_next() {
    let world = World::without_workers(&[]).await;
    let job = JobId::at(Utc::now());
    claim_and_die(&world, job, "Half done").await;
    let id: PostId = "1849".parse().expect("an id");
    let again = EffectIntent {
        key: KEY.into(),
        kind: "post".into(),
        account: "main".into(),
        digest: request_digest(&["main", "Half done", ""]),
        job,
        attempt: 1,
        holder: lost_worker(),
        live: true,
    };
    let effects = world.store.effects();
    let Ok(Claim::Unresolved { takeover, .. }) = effects.claim(&again).await else { panic!("it is open") };
    let evidence = Evidence::Found { id: id.to_string(), looked_at: 1, since: Utc::now() };
    effects
        .resolve_confirmed(takeover, &evidence, Some(id.as_str()), &serde_json::json!({}))
        .await
        .expect("Postgres answers");

    let options = EnqueueOptions { id: Some(job), ..EnqueueOptions::default() };
    world.enqueue_with(&publication("Half done", None, Some(KEY)), options).await;
    let world = world.work();
    world.ended(job).await;

    assert_eq!(world.x.calls(Endpoint::CreatePost) + world.x.calls(Endpoint::Me), 0);
    assert_eq!(world.action(KEY).await.external_id.as_deref(), Some("1849"));
    assert!(!world.jobs_of("collect_metrics").await.is_empty());
}
