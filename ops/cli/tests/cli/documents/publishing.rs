use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use perch_base::Environment;
use perch_jobs::AccountId;
use perch_store::{KnownAct, PlaceKind, Places, RateWindow, RateWindows};
use serde_json::json;

use super::{
    sample::Sample,
    stage::{Stage, sandbox, texts},
};
use crate::world::{World, until};

played! { "docs/publishing.md":
    the_brake_is_shown_as_the_page_on_publishing_prints_it("$ perch brake on");
    the_guard_says_why_a_post_stays_as_the_page_on_publishing_prints_it("the guard refuses");
    what_is_left_is_shown_as_the_page_on_publishing_prints_it("$ perch limits");
}

async fn the_brake_is_shown_as_the_page_on_publishing_prints_it([brake]: [Sample; 1]) {
    let world = World::start().await;
    Stage::of(&world).with("PERCH_OPERATOR", "ann").play(&brake);
}

async fn the_guard_says_why_a_post_stays_as_the_page_on_publishing_prints_it([reasons]: [Sample; 1]) {
    let world = World::start().await;
    let sandbox = sandbox().await;
    let worker = Stage::of(&world).with("PERCH__SANDBOX__URL", sandbox.base_url()).start(&["worker", "pending_posts"]);
    for text in ["Tonight is a guaranteed win", "That was a damn good game"] {
        let payload = json!({ "account": "main", "text": text }).to_string();
        world.run(&["enqueue", "publish_post", &payload]).went_well();
    }
    let posts = world.queue("pending_posts");
    until("both are stopped", || async { posts.stats().await.expect("Redis answers").dead == 2 }).await;
    drop(worker);
    let (dead, shown) = (world.list(&["dead", "list"]), reasons.text());
    assert_eq!(texts(&dead, "last_error").into_iter().collect::<BTreeSet<_>>(), shown.lines().collect());
}

async fn what_is_left_is_shown_as_the_page_on_publishing_prints_it([limits]: [Sample; 1]) {
    let world = World::start().await;
    let (account, now) = (AccountId::from_static("main"), Utc::now());
    let windows = RateWindows::new(world.redis.door(), Environment::Staging);
    for (key, limit, remaining) in [("x:user_posts:app", 10_000, 9_988), ("x:posts_create:main", 100, 3)] {
        let window = RateWindow { limit, remaining, reset: now + TimeDelta::minutes(12) };
        windows.set(key, window).await.expect("Redis answers");
    }
    let acts = [(PlaceKind::Post, 4), (PlaceKind::Reply, 7), (PlaceKind::Retweet, 1)];
    let acts = acts
        .into_iter()
        .flat_map(|(kind, count)| (0..count).map(move |n| KnownAct { key: format!("{kind:?} {n}"), kind, at: now }));
    let places = Places::new(world.redis.door(), Environment::Staging);
    places.count(&account, &acts.collect::<Vec<_>>(), std::time::Duration::ZERO).await.expect("Redis answers");

    let hour = |hours| (now + TimeDelta::hours(hours)).format("%H:00");
    // Not now, whenever this runs.
    let quiet = format!(r#"{{ from = "{}", to = "{}", timezone = "Etc/UTC" }}"#, hour(3), hour(11));
    Stage::of(&world)
        .with("PERCH__POSTING__MIN_INTERVAL", "90s")
        .with("PERCH__POSTING__PER_DAY", "20")
        .with("PERCH__POSTING__PER_THREE_HOURS", "300")
        .with("PERCH__POSTING__REPLIES_PER_DAY", "8")
        .with("PERCH__POSTING__QUIET", quiet)
        .with("PERCH__QUEUES__PENDING_POSTS__GROUP_RATE", r#"{ count = 90, per = "15m" }"#)
        .play(&limits);
}
