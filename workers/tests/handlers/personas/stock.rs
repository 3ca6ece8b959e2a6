//! Batches of posts, and what becomes of each.

use perch_bot_personas::{PostState, StockReviewError, StockStore as _};
use perch_core::personas::{PersonaLimits, PersonaSpec, PersonaStore as _, Topic};
use perch_jobs::ReplenishStock;
use serde_json::{Value, json};

use crate::{
    mentions::told,
    together::Together,
    world::{World, eventually},
};

use super::{IDLE, add, baker, batch, due_now, name, of, replenish, run, sql};

#[tokio::test]
async fn one_call_of_a_model_makes_a_batch_and_its_cost_is_divided_over_the_posts() {
    let answer = batch(&[
        "Rye wants a cold night and a hot stone.",
        "\"Salt goes in last, always.\"",
        "Flour remembers the weather.",
    ]);
    let together = Together::saying(&[&answer]).await;
    let world = told(&together, &[IDLE]).await;
    let topics = vec![Topic { name: "rye".into(), weight: 2.0 }, Topic { name: "salt".into(), weight: 1.0 }];
    add(&world, "baker", &PersonaSpec { topics, ..baker() }).await;
    let result = replenish(&world, "baker").await;
    assert_eq!(result, json!({ "written": 3, "ready": 3, "in_review": 0, "rejected": 0, "similar": 0 }));
    let ready = of(&world, "baker", PostState::Ready).await;
    assert_eq!(ready[1].text, "Salt goes in last, always.");
    assert_eq!(ready.iter().map(|post| post.tokens).collect::<Vec<_>>(), [Some(44); 3], "134 tokens over 3 posts");
    assert!(ready.iter().all(|post| post.usd.is_some_and(|usd| usd > 0.0) && post.model.is_some()));
    let asked = &together.asked()[0];
    assert!(asked["messages"][0]["content"].as_str().is_some_and(|system| system.starts_with("You are a baker")));
    let said = asked["messages"][1]["content"].as_str().expect("text");
    assert!(said.contains("1. rye\n2. salt\n3. rye"), "{said}");
}

#[tokio::test]
async fn the_next_batch_is_told_which_openings_are_taken_and_never_the_texts() {
    let first = batch(&["Rye wants a cold night and a hot stone."]);
    let together = Together::saying(&[&first, &batch(&["Flour remembers the weather."])]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    replenish(&world, "baker").await;
    let said = together.asked()[1]["messages"][1]["content"].as_str().expect("text").to_owned();
    assert!(said.contains("- rye wants a cold\n") && !said.contains("hot stone"), "{said}");
}

/// The model that the sandbox plays answers the same question alike.
#[tokio::test]
async fn each_persona_gets_posts_in_the_sandbox() {
    let world = World::with(&[IDLE]).await;
    for persona in ["one", "two", "three"] {
        add(&world, persona, &baker()).await;
        let result = replenish(&world, persona).await;
        assert!(result["ready"].as_u64().is_some_and(|ready| ready >= 5), "{persona}: {result}");
    }
}

#[tokio::test]
async fn what_the_guard_flags_waits_for_a_person_who_lets_it_pass_or_words_it_anew() {
    let flagged =
        ["What a dick move by the oven.", "Oh damn, the crust is burnt again.", "See evil.example.com, it is shit."];
    let together = Together::saying(&[&batch(&flagged)]).await;
    let world = told(&together, &[IDLE]).await;
    due_now(&world, "baker", baker()).await;
    let result = replenish(&world, "baker").await;
    assert_eq!((&result["in_review"], &result["ready"]), (&json!(2), &json!(0)), "{result}");
    let waiting = of(&world, "baker", PostState::InReview).await;
    let guard = perch_safety::Guard::new(&perch_safety::Rules::default()).expect("the lists can be read");
    let (own, limits) = (world.settings.sections.get().expect("the bot is there"), PersonaLimits::of(&world.settings));
    let approve =
        async |id, text| perch_bot_personas::approve_post(&world.store, &guard, (&own, &limits), id, text, "ann").await;
    let refused = approve(waiting[0].id, Some("What a shit oven.")).await.expect_err("it swears");
    assert!(matches!(refused, StockReviewError::Refused(_)), "{refused}");
    let (edited, flags) = approve(waiting[0].id, Some("The crust has character today.")).await.expect("it waits");
    assert_eq!((edited.state, edited.decided_by.as_deref(), flags.len()), (PostState::Ready, Some("ann"), 0));
    let (passed, flags) = approve(waiting[1].id, None).await.expect("it waits");
    assert_eq!((passed.text.as_str(), flags.len()), (flagged[0], 1));
    let closed = approve(waiting[1].id, None).await.expect_err("it is decided");
    assert!(matches!(closed, StockReviewError::Closed(_)), "{closed}");
    // What a person let pass is published, though the guard flags it.
    perch_bot_personas::reject_post(&world.store, edited.id, None, "ann").await.expect("it is ready");
    eventually("the post is published", || async {
        run(&world).await;
        (of(&world, "baker", PostState::Published).await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(world.x.made()[0].text, flagged[0]);
}

#[tokio::test]
async fn what_was_paid_for_before_a_crash_is_not_written_again() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[IDLE, ("PERCH__PERSONAS__LOW_WATER", "1")]).await;
    add(&world, "baker", &baker()).await;
    let draft = perch_bot_personas::Draft {
        text: "Rye wants a cold night and a hot stone.".into(),
        topic: None,
        usd: Some(0.01),
        tokens: Some(30),
        model: None,
        evergreen_of: None,
    };
    let store = async || world.store.stock().draft(&name("baker"), std::slice::from_ref(&draft)).await;
    assert_eq!(store().await.expect("Postgres answers"), 1);
    assert_eq!(store().await.expect("Postgres answers"), 0, "the same text again");
    let result = world.done(&ReplenishStock { persona: name("baker"), now: false }).await.result;
    assert_eq!(result, Some(json!({ "idle": "enough" })));
    assert!(together.asked().is_empty());
    assert_eq!(of(&world, "baker", PostState::Ready).await.len(), 1);
}

#[tokio::test]
async fn an_answer_without_posts_is_paid_once_and_then_the_persona_rests() {
    let together = Together::saying(&["I would rather not."]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    let again = world.done(&ReplenishStock { persona: name("baker"), now: false }).await.result;
    assert_eq!(again, Some(json!({ "idle": "rests" })));
    assert_eq!(run(&world).await["replenishing"], Value::Null);
    assert_eq!(together.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_without_posts_counts_towards_what_models_may_cost_in_a_day() {
    let together = Together::saying(&["I would rather bake."]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &PersonaSpec { usd_per_day: Some(0.000_001), ..baker() }).await;
    let first = replenish(&world, "baker").await;
    assert_eq!(first["written"], json!(0), "{first}");
    assert!(world.store.personas().spent_today(&name("baker")).await.expect("Postgres answers") > 0.0);
    assert_eq!(replenish(&world, "baker").await["idle"], json!("budget"));
    sql(&world, "update persona_costs set day = day - 1").await;
    assert!(world.store.personas().spent_today(&name("baker")).await.expect("Postgres answers").abs() < f64::EPSILON);
}
