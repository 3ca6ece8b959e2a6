use std::time::Duration;

use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{ActionKind, ActionState, AttemptOutcome, EffectState, JobState};
use serde_json::json;

use crate::world::{SALLY, World, publication};

#[tokio::test]
async fn a_post_goes_out_is_confirmed_and_is_recorded() {
    let world = World::start().await;
    let job = world.done(&publication("Good luck tonight", None, None)).await;
    let made = world.x.made();
    let [post] = made.as_slice() else { panic!("one post: {made:?}") };
    assert_eq!((post.text.as_str(), post.reply_to.as_deref()), ("Good luck tonight", None));
    let key = format!("publish:{}", job.id);
    let effect = world.effect(&key).await;
    assert_eq!((effect.state, effect.external_id.as_deref()), (EffectState::Confirmed, Some(post.id.as_str())));
    let action = world.action(&key).await;
    assert_eq!((action.kind, action.state), (ActionKind::Post, ActionState::Published));
    assert_eq!(action.job_id, Some(job.id));
}

#[tokio::test]
async fn two_jobs_of_one_effect_post_once() {
    let world = World::start().await;
    let reply_to = world.x.publish(SALLY, "Lakers tonight").parse().expect("an id");
    let comment = publication("Tailing", Some(reply_to), Some("comment:main:1:abc"));
    let first = world.done(&comment).await;
    let second = world.done(&comment).await;
    assert_ne!(first.id, second.id);
    assert_eq!(world.x.calls(Endpoint::CreatePost), 1);
    let told = |job: &perch_store::JobRecord| job.result.as_ref().map(|result| result["post_id"].clone());
    assert_eq!(told(&first), told(&second));
    assert_eq!(world.action("comment:main:1:abc").await.kind, ActionKind::Comment);
    assert_eq!(world.jobs_of("collect_metrics").await.len(), 2, "the readings are not doubled");
}

#[tokio::test]
async fn an_effect_key_that_belongs_to_another_post_is_refused_and_explained() {
    let world = World::start().await;
    world.done(&publication("One thing", None, Some("promise:1"))).await;
    let other = world.ended(world.enqueue(&publication("Another thing", None, Some("promise:1"))).await).await;
    assert_eq!(other.state, JobState::Dead);
    assert!(other.last_error.is_some_and(|error| error.contains("promise:1")));
    assert_eq!(world.x.made().len(), 1);
    assert_eq!(world.action("promise:1").await.state, ActionState::Published);
}

#[tokio::test]
async fn a_failing_x_costs_an_attempt_and_not_the_post() {
    let world = World::start().await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::Unavailable).times(1));
    let job = world.done(&publication("Here we go", None, None)).await;
    let attempts = world.store.history().attempts(job.id).await.expect("Postgres answers");
    let outcomes: Vec<AttemptOutcome> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [AttemptOutcome::Retried, AttemptOutcome::Succeeded]);
    assert!(attempts[0].error.as_deref().is_some_and(|error| error.contains("503")));
    assert_eq!(world.x.made().len(), 1);
    assert_eq!(world.x.calls(Endpoint::Me), 0, "X said that it did nothing, so there is nothing to look for");
}

#[tokio::test]
async fn a_used_up_rate_limit_is_waited_for_and_costs_no_attempt() {
    let world = World::start().await;
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::RateLimited).times(1).delay_ms(1_500));
    let began = std::time::Instant::now();
    let job = world.done(&publication("After the break", None, None)).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((job.attempts, world.x.calls(Endpoint::CreatePost)), (1, 2));
    let attempts = world.store.history().attempts(job.id).await.expect("Postgres answers");
    assert_eq!(attempts.first().map(|attempt| attempt.outcome), Some(AttemptOutcome::Snoozed));
}

#[tokio::test]
async fn a_text_that_cannot_be_a_post_is_dead_before_anything_is_called() {
    let world = World::start().await;
    for (text, says) in [(" \n ".to_owned(), "empty"), ("x".repeat(281), "281")] {
        let job = world.ended(world.enqueue(&publication(&text, None, None)).await).await;
        assert_eq!(job.state, JobState::Dead);
        assert!(job.last_error.as_deref().is_some_and(|error| error.contains(says)), "{:?}", job.last_error);
    }
    assert_eq!(world.x.calls(Endpoint::CreatePost), 0);
}

#[tokio::test]
async fn a_post_that_x_refuses_for_good_is_dead_and_recorded_as_failed() {
    let world = World::start().await;
    let gone = publication("Tailing", Some("1234".parse().expect("an id")), Some("comment:main:1234:abc"));
    let job = world.ended(world.enqueue(&gone).await).await;
    assert_eq!((job.state, job.attempts), (JobState::Dead, 1));
    let action = world.action("comment:main:1234:abc").await;
    assert_eq!((action.state, action.error), (ActionState::Failed, job.last_error));
    assert_eq!(world.effect("comment:main:1234:abc").await.state, EffectState::Failed);
}

#[tokio::test]
async fn the_text_of_another_post_is_refused_with_an_explanation() {
    let world = World::start().await;
    let reply_to = world.x.publish(SALLY, "Lakers tonight").parse().expect("an id");
    world.done(&publication("Tailing", Some(reply_to), None)).await;
    let again = world.ended(world.enqueue(&publication("Tailing", None, None)).await).await;
    assert_eq!((again.state, again.attempts), (JobState::Dead, 1));
    assert!(again.last_error.is_some_and(|error| error.contains("another post's")));
    assert_eq!(world.x.made().len(), 1);
}

#[tokio::test]
async fn staging_without_a_sandbox_renders_and_records_and_sends_nothing() {
    let nothing = [("X_MAIN_ACCESS_TOKEN", ""), ("X_MAIN_ACCESS_SECRET", ""), ("X_API_KEY", ""), ("X_API_SECRET", "")];
    let mut vars = vec![("PERCH__X__BASE_URL", "https://api.x.com")];
    vars.extend(nothing);
    let world = World::with(&vars).await;
    let job = world.done(&publication("Nobody sees this", None, Some("promise:2"))).await;
    assert_eq!(job.result, Some(json!({ "outcome": "simulated" })));
    let effect = world.effect("promise:2").await;
    assert_eq!((effect.state, effect.response), (EffectState::Confirmed, Some(json!({ "simulated": true }))));
    let action = world.action("promise:2").await;
    assert_eq!((action.state, action.text.as_str()), (ActionState::Simulated, "Nobody sees this"));
    assert!(world.jobs_of("collect_metrics").await.is_empty());
    assert!(world.x.made().is_empty());
}

#[tokio::test]
async fn what_the_guard_stops_is_dead_with_the_reason_and_recorded() {
    let world = World::start().await;
    for (text, why) in [
        ("A guaranteed win, tail me", "it promises winnings (\"guaranteed win\")"),
        ("tips to 0x52908400098527886E0F7030069857D2E4169EE7", "the address of a wallet"),
        ("all plays at bet\u{3002}com", "it links to a host that is not allowed"),
        ("Good\u{e0041} luck", "characters that nobody sees"),
        ("\u{200b}", "it is empty"),
        ("damn, what a game", "posting.guard = \"refused\""),
    ] {
        let id = world.enqueue(&publication(text, None, None)).await;
        let job = world.ended(id).await;
        assert_eq!((job.state, job.attempts), (JobState::Dead, 1), "{text:?}");
        let error = job.last_error.expect("a reason");
        assert!(error.contains("the guard") && error.contains(why), "{text:?}: {error}");
        let action = world.action(&format!("publish:{id}")).await;
        assert_eq!((action.state, action.error), (ActionState::Failed, Some(error)));
    }
    assert_eq!(world.x.calls(Endpoint::CreatePost), 0);
    world.done(&publication("#Lakers with @sally and $DKNG", None, None)).await;
    assert_eq!(world.x.made().len(), 1, "tags and handles are for those who hand it over to say");
}

#[tokio::test]
async fn the_settings_of_an_account_say_what_the_guard_stops() {
    let flagged = "damn, what a game";
    let world = World::with(&[("PERCH__POSTING__GUARD", "refused")]).await;
    world.done(&publication(flagged, None, None)).await;
    let refused = world.ended(world.enqueue(&publication("see bet.com", None, None)).await).await;
    assert_eq!(refused.state, JobState::Dead);
    let world = World::with(&[("PERCH__X__ACCOUNTS__MAIN__POSTING__GUARD", "off")]).await;
    world.done(&publication("see bet.com", None, None)).await;
    assert_eq!(world.x.made().len(), 1);
}
