//! Posts that are said again in other words.

use std::time::Duration;

use perch_bot_personas::{PostState, StockPost};
use perch_core::personas::{Evergreen, PersonaSpec, PersonaStore as _};
use perch_safety::similar::{Fingerprint, is_near_duplicate};
use serde_json::json;

use crate::{
    mentions::told,
    together::Together,
    world::{World, eventually},
};

use super::{IDLE, add, baker, batch, due_now, name, of, replenish, run, sql};

const ORIGINAL: &str = "Rye dough wants 14 hours in the cold before it meets a stone of 250 degrees.";
const ANEW: &str = "A stone at 250 degrees is worth nothing to rye that has not slept 14 hours in the fridge.";
const FRESH: [&str; 3] =
    ["Flour remembers the weather.", "Steam is a guest with loud shoes.", "Salt keeps its promises."];

fn evergreen() -> PersonaSpec {
    PersonaSpec { evergreen: Some(Evergreen { after: Duration::from_secs(60 * 86_400) }), ..baker() }
}

/// A persona that has published a post 90 days ago. The first answer of the model was that post.
async fn after_a_season(answers: &[&str], spec: &PersonaSpec) -> (Together, World) {
    let all: Vec<String> = [batch(&[ORIGINAL])].into_iter().chain(answers.iter().map(|text| batch(&[text]))).collect();
    let together = Together::saying(&all.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", spec).await;
    replenish(&world, "baker").await;
    sql(&world, "update personas.posts set state = 'published', published_at = now() - interval '90 days'").await;
    sql(&world, "update personas.posts set created_at = now() - interval '91 days'").await;
    (together, world)
}

async fn original(world: &World) -> StockPost {
    of(world, "baker", PostState::Published).await.into_iter().find(|post| post.text == ORIGINAL).expect("it is there")
}

#[tokio::test]
async fn a_post_of_long_ago_is_said_again_in_other_words_once_in_its_time() {
    let (together, world) = after_a_season(&[FRESH[0], ANEW, FRESH[1], FRESH[2]], &evergreen()).await;
    let result = replenish(&world, "baker").await;
    assert_eq!(
        (&result["written"], &result["ready"], &result["reworded"]),
        (&json!(2), &json!(2), &json!(1)),
        "{result}"
    );
    let asked = together.asked();
    let said = asked[2]["messages"][1]["content"].as_str().expect("text");
    assert!(said.starts_with("Say 1 post of baker in other words") && said.contains(ORIGINAL), "{said}");
    assert!(asked[1]["messages"][1]["content"].as_str().is_some_and(|text| text.starts_with("Write 9 posts")));
    let ready = of(&world, "baker", PostState::Ready).await;
    let anew = ready.iter().find(|post| post.text == ANEW).expect("it is ready");
    assert_eq!(anew.evergreen_of, Some(original(&world).await.id));
    assert!(ready.iter().any(|post| post.evergreen_of.is_none()));

    replenish(&world, "baker").await;
    assert_eq!(together.asked().len(), 4, "the fresh batch alone: the post is on its way again");
    sql(&world, "update personas.posts set state = 'published', published_at = now() where evergreen_of is not null")
        .await;
    replenish(&world, "baker").await;
    assert_eq!(together.asked().len(), 5, "it was published lately");
    sql(
        &world,
        "update personas.posts set published_at = now() - interval '61 days', created_at = now() - interval '62 days'",
    )
    .await;
    replenish(&world, "baker").await;
    let last = together.asked()[6]["messages"][1]["content"].as_str().expect("text").to_owned();
    assert!(
        last.contains(ORIGINAL) && !last.contains(ANEW),
        "the original is said again, not what was said for it: {last}"
    );
}

#[tokio::test]
async fn what_repeats_its_original_is_rejected_and_what_adds_a_figure_goes_to_a_person() {
    for (answer, state) in [
        (ORIGINAL.to_uppercase().as_str(), PostState::Rejected),
        ("Honestly: rye dough wants 14 hours in the cold before you touch it.", PostState::Rejected),
        ("Give rye 15 hours in the fridge, then a stone at 250 degrees.", PostState::InReview),
    ] {
        let (_together, world) = after_a_season(&[FRESH[0], answer], &evergreen()).await;
        replenish(&world, "baker").await;
        let found = of(&world, "baker", state).await;
        assert!(found.len() == 1 && found[0].evergreen_of.is_some(), "{answer}: {found:?}");
    }
}

#[tokio::test]
async fn other_words_are_compared_with_every_post_but_their_original() {
    let (_together, world) = after_a_season(&[ANEW, &ANEW.replace("fridge", "cellar")], &evergreen()).await;
    let result = replenish(&world, "baker").await;
    assert_eq!((&result["ready"], &result["similar"]), (&json!(1), &json!(1)), "{result}");
    // Near the original, but without eight of its words in a row.
    let near = "Rye dough wants 14 hours in a fridge before it meets one stone of 250 degrees.";
    let (_together, world) = after_a_season(&[FRESH[0], near], &evergreen()).await;
    assert!(is_near_duplicate(&Fingerprint::of(near), &Fingerprint::of(ORIGINAL)));
    assert_eq!(replenish(&world, "baker").await["ready"], json!(2));
}

#[tokio::test]
async fn posts_of_lately_and_posts_of_personas_that_have_no_evergreen_ones_are_left_alone() {
    let (together, world) = after_a_season(&[FRESH[0], FRESH[1]], &baker()).await;
    replenish(&world, "baker").await;
    assert_eq!(together.asked().len(), 2, "it has none");
    world.store.personas().put(&name("baker"), &evergreen(), None, "ann").await.expect("Postgres answers");
    sql(&world, "update personas.posts set published_at = now() - interval '59 days' where state = 'published'").await;
    replenish(&world, "baker").await;
    assert_eq!(together.asked().len(), 3, "59 days are not 60");
}

#[tokio::test]
async fn other_words_are_published_in_a_slot_like_any_post() {
    let together = Together::saying(&[&batch(&[ORIGINAL]), "I would rather not.", &batch(&[ANEW])]).await;
    let world = told(&together, &[IDLE]).await;
    due_now(&world, "baker", evergreen()).await;
    replenish(&world, "baker").await;
    sql(&world, "update personas.posts set state = 'published', published_at = now() - interval '90 days'").await;
    sql(&world, "update personas.posts set created_at = now() - interval '91 days'").await;
    let result = replenish(&world, "baker").await;
    assert_eq!((&result["written"], &result["reworded"]), (&json!(1), &json!(1)), "without fresh posts: {result}");
    eventually("the post is published", || async {
        run(&world).await;
        world.x.made().iter().any(|post| post.text == ANEW).then_some(())
    })
    .await;
    let published = eventually("it is settled", || async {
        run(&world).await;
        of(&world, "baker", PostState::Published).await.into_iter().find(|post| post.text == ANEW)
    })
    .await;
    assert_eq!(published.evergreen_of, Some(original(&world).await.id));
}
