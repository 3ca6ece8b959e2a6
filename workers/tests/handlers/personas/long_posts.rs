//! Posts over 280 units, for accounts that X lets write them.

use perch_bot_personas::PostState;
use perch_core::personas::{PersonaLimits, PersonaSpec};
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{EffectState, JobState};
use serde_json::json;

use crate::{
    mentions::told,
    together::Together,
    world::{BOT, World, eventually, main_account, publication},
};

use super::{IDLE, baker, batch, due_now, of, replenish, run};

const LONG_POSTS: (&str, &str) = ("PERCH__X__ACCOUNTS__MAIN__LONG_POSTS", "true");

/// About 1,500 units.
fn essay() -> String {
    let day = |day| format!("On day {day} the dough was left alone and rose by itself.");
    (1..=25).map(day).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_long_post_is_published_once_though_the_answer_is_lost_and_only_where_its_account_has_long_posts() {
    let world = World::with(&[LONG_POSTS]).await;
    world.x.allow_long_posts(BOT);
    world.x.add_fault(Fault::new(Endpoint::CreatePost, FaultKind::DropAfter).times(1));
    world.done(&publication(&essay(), None, Some("test:long"))).await;
    assert_eq!(world.x.made().iter().map(|post| post.text.clone()).collect::<Vec<_>>(), [essay()]);
    assert_eq!(world.effect("test:long").await.state, EffectState::Confirmed);
    let too_long = world.ended(world.enqueue(&publication(&"x".repeat(25_001), None, None)).await).await;
    assert!(too_long.last_error.is_some_and(|error| error.contains("shorten it to 25000")));

    let without = World::start().await;
    let job = without.ended(without.enqueue(&publication(&essay(), None, None)).await).await;
    assert_eq!(job.state, JobState::Dead);
    assert!(job.last_error.is_some_and(|error| error.contains("shorten it to 280")));
}

#[tokio::test]
async fn a_persona_of_such_an_account_writes_long_posts_few_in_a_batch_and_publishes_them() {
    let together = Together::saying(&[&batch(&[&essay()])]).await;
    let world = told(&together, &[IDLE, LONG_POSTS]).await;
    world.x.allow_long_posts(BOT);
    due_now(&world, "baker", PersonaSpec { max_length: 8_000, ..baker() }).await;
    assert_eq!(replenish(&world, "baker").await["ready"], json!(1));
    let said = together.asked()[0]["messages"][1]["content"].as_str().expect("text").to_owned();
    assert!(said.starts_with("Write 1 post for baker, each of at most 7200 characters."), "{said}");
    eventually("the post is published", || async {
        run(&world).await;
        (of(&world, "baker", PostState::Published).await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(world.x.made()[0].text, essay());
}

#[tokio::test]
async fn a_length_that_the_account_does_not_allow_is_refused_and_the_setting_named() {
    let world = World::without_workers(&[]).await;
    let limits = PersonaLimits::of(&world.settings);
    let problems = |max_length| {
        let problems = limits.problems(&PersonaSpec { max_length, ..baker() });
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert!(problems(1_000).contains("x.accounts.main.long_posts"), "{}", problems(1_000));
    assert!(!problems(30_000).contains("long_posts") && problems(280).is_empty());
    let world = World::without_workers(&[LONG_POSTS]).await;
    let limits = PersonaLimits::of(&world.settings);
    assert_eq!(limits.longest_post(&main_account()), 25_000);
    assert!(limits.problems(&PersonaSpec { max_length: 25_000, ..baker() }).is_empty());
}
