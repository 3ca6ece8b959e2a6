//! What only the rules have read is recorded, and not published before a person or a model confirms it.

use std::time::Duration;

use perch_base::Paging;
use perch_bot_picks::extraction::{ConfirmError, confirm};
use perch_bot_picks::store::{PickFilter, PicksStore as _, TrackedPick};
use perch_jobs::{ExtractPost, PollAccount, RetryPolicy};
use perch_queue::EnqueueOptions;
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{ActionState, JobState};
use serde_json::json;

use crate::world::{LAKERS, PETE, SALLY, World, eventually};

/// No provider answers before somebody mends it.
const NO_MODEL: [(&str, &str); 2] = [("GROK_API_KEY", "bad"), ("PERCH__PICKS__RETWEET", "true")];

async fn picks(world: &World, unconfirmed: bool) -> Vec<TrackedPick> {
    world.sync().await;
    let filter = PickFilter { unconfirmed, ..PickFilter::default() };
    world.store.tracking().list(&filter, &Paging::default()).await.expect("Postgres answers").items
}

async fn none_is_published(world: &World) {
    assert!(world.jobs_of("publish_post").await.is_empty() && world.jobs_of("retweet_post").await.is_empty());
}

/// A retweet counts for nothing here.
async fn published(world: &World, count: usize) {
    let posts = || world.x.made().iter().filter(|made| made.retweet_of.is_none()).count();
    eventually(&format!("{count} posts"), || async { (posts() == count).then_some(()) }).await;
}

fn attempts(most: u32) -> EnqueueOptions {
    let retry = RetryPolicy::new(most, Duration::from_millis(1), Duration::from_millis(20));
    EnqueueOptions { retry: Some(retry), ..EnqueueOptions::default() }
}

/// A post that only the rules have read, once the models are there again.
async fn read_by_rules(world: &World) -> ExtractPost {
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::Unavailable).times(1));
    let post = world.written(SALLY, LAKERS);
    let ended = world.ended(world.enqueue_with(&post, attempts(1)).await).await;
    assert_eq!(ended.result.map(|result| result["unconfirmed"].clone()), Some(json!(1)), "{:?}", ended.last_error);
    assert_eq!(picks(world, true).await.len(), 1);
    post
}

#[tokio::test]
async fn what_only_the_rules_have_read_is_published_once_a_person_confirms_it() {
    let world = World::with(&NO_MODEL).await;
    let result = world.done(&world.written(SALLY, LAKERS)).await.result.expect("a result");
    assert_eq!((&result["new"], &result["unconfirmed"], &result["model"]), (&json!(0), &json!(1), &json!("rules")));
    none_is_published(&world).await;
    let pick = picks(&world, true).await.remove(0);
    assert_eq!((pick.read_by.as_deref(), pick.unconfirmed), (Some("rules"), true));

    for _ in 0..2 {
        let confirmed = confirm(&world.client, &world.store, pick.clone(), "ann").await.expect("it waits");
        assert_eq!(confirmed.actions.len(), 2, "a comment and a retweet: {confirmed:?}");
    }
    eventually("both are done, once", || async {
        world.sync().await;
        let actions = world.store.picks().actions_of(&pick.key).await.expect("Postgres answers");
        (actions.len() == 2 && actions.iter().all(|action| action.state == ActionState::Published)).then_some(())
    })
    .await;
    assert_eq!((world.x.calls(Endpoint::CreatePost), world.x.calls(Endpoint::Retweet)), (1, 1));
    let pick = picks(&world, false).await.remove(0);
    assert_eq!((pick.confirmed_by.as_deref(), pick.unconfirmed), (Some("ann"), false));
    let again = confirm(&world.client, &world.store, pick, "bob").await.expect_err("nothing waits");
    assert!(matches!(&again, ConfirmError::NotWaiting(_)) && again.to_string().contains("ann"), "{again}");
}

#[tokio::test]
async fn a_model_that_reads_the_same_bet_in_another_post_confirms_it_there() {
    let world = World::with(&[("PERCH__PICKS__RULES_AFTER", "1")]).await;
    read_by_rules(&world).await;
    let result = world.done(&world.written(PETE, "Lakers -3.5 (-105) 1u")).await.result.expect("a result");
    assert_eq!((&result["new"], &result["model"]), (&json!(1), &json!("grok-4.3")));
    published(&world, 1).await;
    assert!(world.x.made()[0].text.contains(PETE), "{:?}", world.x.made());
    let pick = picks(&world, false).await.remove(0);
    assert_eq!((pick.unconfirmed, pick.confirmed_by.as_deref(), pick.accounts), (false, Some("grok"), 2));
    let third = world.done(&world.written("third_one", "Lakers -3.5 (-115)")).await.result.expect("a result");
    assert_eq!((&third["new"], &third["seen_before"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn a_model_that_reads_the_same_post_later_has_it_published() {
    let world = World::with(&[("PERCH__PICKS__RULES_AFTER", "1")]).await;
    let post = read_by_rules(&world).await;
    let result = world.done(&post).await.result.expect("a result");
    assert_eq!((&result["new"], &result["model"]), (&json!(1), &json!("grok-4.3")));
    published(&world, 1).await;
    let pick = picks(&world, false).await.remove(0);
    assert_eq!((pick.unconfirmed, pick.read_by.as_deref()), (false, Some("grok")));
}

#[tokio::test]
async fn a_model_that_comes_back_within_the_attempts_has_the_last_word() {
    let world = World::with(&[("PERCH__PICKS__RULES_AFTER", "1")]).await;
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::Unavailable).times(2));
    let ended = world.ended(world.enqueue_with(&world.written(SALLY, LAKERS), attempts(10)).await).await;
    assert_eq!((ended.state, ended.attempts), (JobState::Done, 3), "{:?}", ended.last_error);
    assert_eq!(ended.result.map(|result| result["new"].clone()), Some(json!(1)));
    published(&world, 1).await;
    assert_eq!(picks(&world, true).await.len(), 0);
}

#[tokio::test]
async fn a_bet_that_was_acted_on_meanwhile_is_confirmed_without_a_second_post() {
    let world = World::with(&[("PERCH__PICKS__RULES_AFTER", "1")]).await;
    read_by_rules(&world).await;
    let waiting = picks(&world, true).await.remove(0);
    world.done(&world.written(PETE, "Lakers -3.5 (-105) 1u")).await;
    published(&world, 1).await;
    world.sync().await;
    let confirmed = confirm(&world.client, &world.store, waiting, "ann").await.expect("it is as it was seen");
    assert_eq!((confirmed.actions.len(), world.x.made().len()), (0, 1));
}

/// A post that the rules read, and the one pick of it once an edit of the post is flagged there.
async fn edited(world: &World, text: &str) -> TrackedPick {
    let poll = PollAccount { username: SALLY.into() };
    let id = world.x.publish(SALLY, LAKERS);
    world.done(&poll).await;
    eventually("the pick waits", || async { picks(world, true).await.pop() }).await;
    world.x.edit(&id, text).expect("it is there");
    world.done(&poll).await;
    eventually("the edit is flagged", || async {
        let pick = picks(world, true).await.pop()?;
        let actions = world.store.picks().actions_of(&pick.key).await.expect("Postgres answers");
        actions.iter().any(|action| action.state == ActionState::Failed).then_some(pick)
    })
    .await
}

#[tokio::test]
async fn a_pick_that_an_edit_took_out_of_its_post_is_not_confirmed_and_says_why() {
    let world = World::with(&NO_MODEL).await;
    let pick = edited(&world, "Lakers -2.5 (-110) 2u").await;
    let refused = confirm(&world.client, &world.store, pick, "ann").await.expect_err("the author has another bet");
    let why = refused.to_string();
    assert!(matches!(refused, ConfirmError::Edited { .. }) && why.contains("edited") && why.contains("-2.5"), "{why}");
    assert_eq!(picks(&world, true).await.len(), 1, "nobody has confirmed it");
    none_is_published(&world).await;
}

#[tokio::test]
async fn a_pick_to_which_an_edit_adds_another_is_published_once_a_person_confirms_it() {
    let world = World::with(&NO_MODEL).await;
    let pick = edited(&world, "Lakers -3.5 (-110) 2u\nCeltics ML -145 1u").await;
    let confirmed = confirm(&world.client, &world.store, pick, "ann").await.expect("its post still has it");
    assert_eq!(confirmed.actions.len(), 2, "a comment and a retweet: {confirmed:?}");
    published(&world, 1).await;
}

#[tokio::test]
async fn a_pick_that_a_later_edit_put_back_is_published_once_a_person_confirms_it() {
    let world = World::with(&NO_MODEL).await;
    let pick = edited(&world, "Lakers -2.5 (-110) 2u").await;
    let flags = world.store.picks().actions_of(&pick.key).await.expect("Postgres answers");
    let version = flags[0].source_post.clone().expect("the version that has another bet").to_string();
    world.x.edit(&version, LAKERS).expect("it is there");
    world.done(&PollAccount { username: SALLY.into() }).await;
    eventually("that is flagged, too", || async {
        world.sync().await;
        let actions = world.store.picks().actions_of(&pick.key).await.expect("Postgres answers");
        actions
            .iter()
            .any(|action| action.error.as_deref().is_some_and(|why| why.contains("has this pick")))
            .then_some(())
    })
    .await;
    let confirmed = confirm(&world.client, &world.store, pick, "ann").await.expect("its post has it again");
    assert_eq!(confirmed.actions.len(), 2, "a comment and a retweet: {confirmed:?}");
}

/// An edit of a post, as a poll would hand it on.
fn edit_of(world: &World, before: &ExtractPost, text: &str) -> ExtractPost {
    let mut edit = before.clone();
    edit.earlier.push(before.post.id.clone());
    let id = world.x.edit(before.post.id.as_str(), text).expect("it is there");
    (edit.post.id, edit.post.text) = (id.parse().expect("the sandbox gives ids"), text.to_owned());
    edit
}

#[tokio::test]
async fn an_edit_that_leaves_no_bet_takes_the_pick_out() {
    for text in ["gm everyone", "Scratch that, sorry"] {
        let world = World::with(&NO_MODEL).await;
        let post = world.written(SALLY, LAKERS);
        world.done(&post).await;
        let result = world.done(&edit_of(&world, &post, text)).await.result.expect("a result");
        assert_eq!(result["edit"], "other_picks", "{text}: {result}");
        let refused = confirm(&world.client, &world.store, picks(&world, true).await.remove(0), "ann").await;
        assert!(matches!(refused, Err(ConfirmError::Edited { .. })), "{text}: {refused:?}");
        none_is_published(&world).await;
    }
}

#[tokio::test]
async fn of_several_edits_the_newest_counts_in_whatever_order_they_are_read() {
    const OUT: &str = "Lakers -2.5 (-110) 2u";
    for (texts, order, is_confirmed) in [
        ([OUT, LAKERS, LAKERS], vec![1, 0], true),
        ([OUT, LAKERS, LAKERS], vec![2, 1, 0, 1], true),
        ([OUT, LAKERS, OUT], vec![2, 1, 0], false),
        ([OUT, LAKERS, OUT], vec![0, 1, 2, 0], false),
        ([LAKERS, OUT, LAKERS], vec![2, 1, 0, 1], true),
    ] {
        let world = World::with(&NO_MODEL).await;
        let first = world.written(SALLY, LAKERS);
        world.done(&first).await;
        let pick = picks(&world, true).await.remove(0);
        let mut edits = vec![first];
        for text in texts {
            edits.push(edit_of(&world, edits.last().expect("the first"), text));
        }
        for at in &order {
            world.done(&edits[at + 1]).await;
        }
        let confirmed = confirm(&world.client, &world.store, pick, "ann").await;
        assert_eq!(confirmed.is_ok(), is_confirmed, "{texts:?} read as {order:?}: {confirmed:?}");
    }
}

#[tokio::test]
async fn an_edit_that_postgres_does_not_know_of_yet_refuses_a_confirmation() {
    let world = World::with(&NO_MODEL).await;
    let post = world.written(SALLY, LAKERS);
    world.done(&post).await;
    let pick = picks(&world, true).await.remove(0);
    let queue = |name: &str| world.client.queues().get(&name.parse().expect("a queue")).expect("it is there").clone();
    queue("sync_to_store").pause("test").await.expect("Redis answers");
    let edit = world.enqueue(&edit_of(&world, &post, "Lakers -2.5 (-110) 2u")).await;
    eventually("the edit is read", || async {
        queue("extraction").job(edit).await.expect("Redis answers").is_none().then_some(())
    })
    .await;
    let refused = confirm(&world.client, &world.store, pick, "ann").await;
    assert!(matches!(refused, Err(ConfirmError::Edited { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_pick_stands_though_another_author_edits_it_out_of_his_own_post() {
    let world = World::with(&NO_MODEL).await;
    let poll = |username: &str| PollAccount { username: username.into() };
    world.x.publish(SALLY, LAKERS);
    world.done(&poll(SALLY)).await;
    let pick = eventually("the pick waits", || async { picks(&world, true).await.pop() }).await;
    let other = world.x.publish(PETE, LAKERS);
    world.done(&poll(PETE)).await;
    eventually("it was seen twice", || async { picks(&world, true).await.into_iter().find(|pick| pick.accounts == 2) })
        .await;
    world.x.edit(&other, "Lakers -2.5 (-110) 2u").expect("it is there");
    world.done(&poll(PETE)).await;
    eventually("the edit is flagged", || async {
        world.sync().await;
        let actions = world.store.picks().actions_of(&pick.key).await.expect("Postgres answers");
        actions.into_iter().find(|action| action.state == ActionState::Failed)
    })
    .await;
    let confirmed = confirm(&world.client, &world.store, pick, "ann").await.expect("its own post still has it");
    assert_eq!(confirmed.actions.len(), 2, "a comment and a retweet: {confirmed:?}");
}

#[tokio::test]
async fn what_the_rules_read_is_published_at_once_where_the_settings_say_so() {
    let world = World::with(&[NO_MODEL[0], ("PERCH__PICKS__RULES_PUBLISH", "true")]).await;
    let result = world.done(&world.written(SALLY, LAKERS)).await.result.expect("a result");
    assert_eq!((&result["new"], &result["unconfirmed"]), (&json!(1), &json!(null)));
    published(&world, 1).await;
    assert!(picks(&world, true).await.is_empty());
}

#[tokio::test]
async fn a_post_that_the_rules_doubt_waits_for_a_model_and_is_no_pick_without_one() {
    let world = World::with(&[("PERCH__PICKS__RULES_AFTER", "1")]).await;
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::Unavailable));
    let warning = world.written(SALLY, "I would never bet Lakers ML -120 tonight");
    let ended = world.ended(world.enqueue_with(&warning, attempts(3)).await).await;
    assert_eq!((ended.state, ended.attempts), (JobState::Done, 3), "{:?}", ended.last_error);
    let attempts = world.store.history().attempts(ended.id).await.expect("Postgres answers");
    let why = attempts[0].error.as_deref().unwrap_or_default();
    assert!(why.contains("not sure of the post") && why.contains("would"), "{why}");
    assert!(picks(&world, false).await.is_empty());
    none_is_published(&world).await;
}
