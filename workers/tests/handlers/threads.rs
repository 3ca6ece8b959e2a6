//! Threads and deletions, with real workers, servers and the sandbox.

use chrono::TimeDelta;
use perch_jobs::{DeletePost, HalfThread, Media, PublishPost, PublishThread};
use perch_queue::EnqueueOptions;
use perch_sandbox::{Endpoint, Fault, FaultKind, MadePost, NewPost};
use perch_store::{EffectState, JobState};
use serde_json::json;

use crate::world::{World, eventually, main_account};

const SOON: [(&str, &str); 2] = [("PERCH__X__SETTLE", "600ms"), ("PERCH__X__TIMEOUT", "2s")];
const KEY: &str = "story:1";

fn thread(parts: &[&str]) -> PublishThread {
    PublishThread {
        account: main_account(),
        parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        effect_key: Some(KEY.into()),
        source: None,
        half: HalfThread::Keep,
        made_with_ai: true,
    }
}

/// Longer together than one post may be.
const THREE: [&str; 3] = [
    "Rye wants a cold night.",
    "The stone wants an hour, and nobody who opened the door before that has ever been glad of it, whatever they told their neighbours \
     about the colour of the crust and the sound of the bread when it is knocked on from below, as one does.",
    "That is all there is to it.",
];

/// Asserts that the posts are these texts, each under the one before it.
fn hang_together(made: &[MadePost], texts: &[&str]) {
    assert_eq!(made.iter().map(|post| post.text.as_str()).collect::<Vec<_>>(), texts);
    for two in made.windows(2) {
        assert_eq!(two[1].reply_to.as_deref(), Some(two[0].id.as_str()), "{made:?}");
    }
}

fn standing(world: &World) -> Vec<MadePost> {
    world.x.made().into_iter().filter(|post| !post.deleted).collect()
}

#[tokio::test]
async fn a_thread_goes_out_part_by_part_each_under_the_one_before_it() {
    let world = World::with(&SOON).await;
    let job = world.done(&thread(&THREE)).await;
    let made = world.x.made();
    hang_together(&made, &THREE);
    assert_eq!(
        job.result,
        Some(json!({ "outcome": "published", "post_ids": made.iter().map(|post| &post.id).collect::<Vec<_>>() }))
    );
    for number in 1..=3 {
        assert_eq!(world.effect(&format!("{KEY}:part:{number}")).await.state, EffectState::Confirmed);
    }
}

#[tokio::test]
async fn a_part_waits_until_x_shows_the_one_before_it() {
    let world = World::with(&SOON).await;
    world.x.show_parents_after(TimeDelta::milliseconds(400));
    let job = world.done(&thread(&THREE)).await;
    hang_together(&world.x.made(), &THREE);
    assert!(job.attempts > 1, "it had to wait: {job:?}");
}

#[tokio::test]
async fn a_retry_goes_on_at_the_first_part_that_is_not_confirmed() {
    let world = World::with(&SOON).await;
    // One call fails in a way that says that nothing was made, and one in a way that says nothing although it was.
    for kind in [FaultKind::Unavailable, FaultKind::DropAfter] {
        world.x.add_fault(Fault::new(Endpoint::CreatePost, kind).times(1));
    }
    let id = world.enqueue(&thread(&THREE)).await;
    assert_eq!(world.ended(id).await.state, JobState::Done);
    hang_together(&world.x.made(), &THREE);
}

#[tokio::test]
async fn another_refusal_stops_the_thread_and_the_dead_letter_names_what_is_out() {
    let world = World::with(&SOON).await;
    // X takes no text twice, so the third part is refused for good.
    let job = world.ended(world.enqueue(&thread(&["One thing.", "Another thing.", "One thing."])).await).await;
    assert_eq!(job.state, JobState::Dead);
    let made = world.x.made();
    hang_together(&made, &["One thing.", "Another thing."]);
    let error = job.last_error.expect("an error");
    assert!(error.contains("part 3 of 3") && error.contains(&made[0].id) && error.contains(&made[1].id), "{error}");
    assert_eq!(standing(&world).len(), 2);
}

#[tokio::test]
async fn a_half_thread_is_deleted_where_it_is_to_be_and_a_replay_deletes_nothing_twice() {
    let world = World::with(&SOON).await;
    let half = PublishThread { half: HalfThread::Delete, ..thread(&["One thing.", "Another thing.", "One thing."]) };
    let job = world.ended(world.enqueue(&half).await).await;
    assert_eq!(job.state, JobState::Dead);
    assert!(job.last_error.is_some_and(|error| error.contains("are deleted")));
    assert!(standing(&world).is_empty());
    assert_eq!(world.x.calls(Endpoint::DeletePost), 2);
    for number in [1, 2] {
        assert_eq!(world.effect(&format!("{KEY}:part:{number}:deleted")).await.state, EffectState::Confirmed);
    }
}

#[tokio::test]
async fn what_the_guard_refuses_in_any_part_keeps_the_first_from_going_out() {
    let world = World::with(&SOON).await;
    let job = world.ended(world.enqueue(&thread(&["Rye wants a cold night.", "See bet.com for more."])).await).await;
    assert_eq!(job.state, JobState::Dead);
    assert!(job.last_error.is_some_and(|error| error.contains("part 2")));
    assert!(world.x.made().is_empty());
}

#[tokio::test]
async fn where_nothing_is_sent_every_part_is_rendered_and_recorded() {
    let world = World::with(&[("PERCH__X__BASE_URL", "http://192.0.2.1:9")]).await;
    let job = world.done(&thread(&THREE)).await;
    assert_eq!(job.result, Some(json!({ "outcome": "simulated" })));
    for number in 1..=3 {
        let action = world.action(&format!("{KEY}:part:{number}")).await;
        assert_eq!(action.state, perch_store::ActionState::Simulated);
    }
}

#[tokio::test]
async fn a_post_is_deleted_once_and_one_that_is_gone_counts_as_deleted() {
    let world = World::with(&SOON).await;
    world.done(&thread(&THREE)).await;
    let post_id = world.x.made()[2].id.parse().expect("an id");
    let delete = DeletePost { account: main_account(), post_id, effect_key: None };
    world.done(&delete).await;
    assert_eq!(standing(&world).len(), 2);
    // Another key: X says that it is gone.
    let again = DeletePost { effect_key: Some("again".into()), ..delete };
    world.done(&again).await;
    assert_eq!(world.effect("again").await.state, EffectState::Confirmed);
    let unknown = DeletePost { post_id: "1234567".parse().expect("an id"), effect_key: None, ..again };
    let id = world.enqueue_with(&unknown, EnqueueOptions::default()).await;
    assert_eq!(world.ended(id).await.state, JobState::Done);
    eventually("each deletion is recorded", || async {
        world.sync().await;
        let count: i64 = sqlx::query_scalar("select count(*) from actions where kind = 'deletion'")
            .fetch_one(&world.database().raw())
            .await
            .expect("Postgres answers");
        (count == 3).then_some(())
    })
    .await;
}

/// A picture that the sandbox draws and serves, as a file of a post.
fn picture(world: &World, alt_text: &str) -> Media {
    let drawn = world.x.publish("capper", NewPost { picture: Some("Suns +4.5".into()), ..NewPost::from("The slip") });
    let url = format!("{}/sandbox/media/{drawn}.png", world.vars["PERCH__X__BASE_URL"]);
    Media { url, alt_text: Some(alt_text.to_owned()) }
}

#[tokio::test]
async fn a_post_carries_its_pictures_with_their_descriptions_and_goes_out_once_though_an_upload_is_lost() {
    let world = World::with(&SOON).await;
    let media = vec![picture(&world, "A slip"), picture(&world, "Another slip")];
    world.x.add_fault(Fault::new(Endpoint::UploadMedia, FaultKind::DropAfter).times(1));
    world.x.add_fault(Fault::new(Endpoint::MediaMetadata, FaultKind::Unavailable).times(1));
    let post = PublishPost { media, effect_key: Some(KEY.into()), ..PublishPost::new(main_account(), "The slips") };
    world.done(&post).await;
    let made = world.x.made();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0].alt_texts, ["A slip", "Another slip"]);
    assert_eq!(world.effect(KEY).await.state, EffectState::Confirmed);
}
