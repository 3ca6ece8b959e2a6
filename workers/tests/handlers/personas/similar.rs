//! No two posts are alike.

use perch_bot_personas::{PostState, StockFilter, StockReviewError};
use perch_core::personas::PersonaLimits;
use perch_safety::similar::{Fingerprint, is_near_duplicate};
use serde_json::json;

use crate::{mentions::told, together::Together, world::World};

use super::{IDLE, add, baker, batch, of, posts, replenish};

#[tokio::test]
async fn a_text_that_another_persona_has_word_for_word_counts_as_similar() {
    let same = batch(&["The kettle agrees with the oven today."]);
    let together = Together::saying(&[&same, &same]).await;
    let world = told(&together, &[IDLE]).await;
    for persona in ["one", "two"] {
        add(&world, persona, &baker()).await;
    }
    replenish(&world, "one").await;
    let result = replenish(&world, "two").await;
    assert_eq!((&result["written"], &result["similar"]), (&json!(1), &json!(1)), "{result}");
}

#[tokio::test]
async fn no_two_accounts_get_nearly_the_same_text_even_when_they_write_at_once() {
    let same = "The quiet part of baking is the part worth keeping, says my old oven.";
    let nearly = "The quiet part of baking is the part worth keeping, says my OLD oven! 🍞 #7";
    let together = Together::saying_at_once(&[&batch(&[same]), &batch(&[nearly])], 2).await;
    let world = told(&together, &[IDLE]).await.work();
    for persona in ["one", "two"] {
        add(&world, persona, &baker()).await;
    }
    let (first, second) = tokio::join!(replenish(&world, "one"), replenish(&world, "two"));
    let sum = |field: &str| first[field].as_u64().unwrap_or(0) + second[field].as_u64().unwrap_or(0);
    assert_eq!((sum("ready"), sum("similar")), (1, 1), "{first} {second}");
    let rejected = posts(&world, &StockFilter { state: Some(PostState::Rejected), ..StockFilter::default() }).await;
    assert!(rejected[0].reason.as_deref().is_some_and(|reason| reason.contains("too similar to post")), "{rejected:?}");
}

/// The model that the sandbox plays writes for three personas at once; whatever it writes, no two posts are alike.
#[tokio::test]
async fn the_stock_of_all_personas_has_no_two_posts_alike() {
    let world = World::with(&[IDLE]).await;
    for persona in ["one", "two", "three"] {
        add(&world, persona, &baker()).await;
    }
    for _ in 0..4 {
        tokio::join!(replenish(&world, "one"), replenish(&world, "two"), replenish(&world, "three"));
    }
    let ready = posts(&world, &StockFilter { state: Some(PostState::Ready), ..StockFilter::default() }).await;
    assert!(ready.len() > 30, "{}", ready.len());
    let prints: Vec<Fingerprint> = ready.iter().map(|post| Fingerprint::of(&post.text)).collect();
    for (at, one) in prints.iter().enumerate() {
        for (other_at, other) in prints.iter().enumerate().skip(at + 1) {
            assert!(!is_near_duplicate(one, other), "{:?} and {:?}", ready[at].text, ready[other_at].text);
        }
    }
}

#[tokio::test]
async fn words_of_a_person_that_another_post_has_are_refused_and_the_post_waits_on() {
    let together =
        Together::saying(&[&batch(&["Rye wants a cold night and a hot stone.", "Oh damn, the crust is burnt."])]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    let waiting = of(&world, "baker", PostState::InReview).await[0].id;
    let guard = perch_safety::Guard::new(&perch_safety::Rules::default()).expect("the lists can be read");
    let (own, limits) = (world.settings.sections.get().expect("the bot is there"), PersonaLimits::of(&world.settings));
    let same = Some("Rye wants a cold night and a hot stone!");
    let refused = perch_bot_personas::approve_post(&world.store, &guard, (&own, &limits), waiting, same, "ann").await;
    assert!(matches!(refused, Err(StockReviewError::Similar(id, _)) if id != waiting), "{refused:?}");
    assert_eq!(of(&world, "baker", PostState::InReview).await.len(), 1, "it is neither lost nor published");
}
