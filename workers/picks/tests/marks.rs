//! The guarantees of the marks that prevent work from being done twice.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::time::Duration;

use perch_base::Environment;
use perch_bot_picks::store::{Marks, PostReading};
use perch_jobs::PostId;
use perch_testkit::TestRedis;

const DAY: Duration = Duration::from_secs(86_400);

fn post(id: &str) -> PostId {
    id.parse().unwrap()
}

#[tokio::test]
async fn a_post_is_processed_by_the_first_that_comes_and_by_it_again_after_a_crash() {
    let redis = TestRedis::claim().await;
    let marks = Marks::new(redis.door(), Environment::Staging);
    assert!(!marks.is_processed(&post("7")).await.unwrap());
    assert!(marks.mark_processed(&post("7"), "job-a", DAY).await.unwrap());
    assert!(marks.mark_processed(&post("7"), "job-a", DAY).await.unwrap());
    assert!(!marks.mark_processed(&post("7"), "job-b", DAY).await.unwrap());
    assert!(marks.is_processed(&post("7")).await.unwrap());

    assert!(!marks.forget_processed(&post("7"), "job-b").await.unwrap());
    assert!(marks.forget_processed(&post("7"), "job-a").await.unwrap());
    assert!(marks.mark_processed(&post("7"), "job-b", DAY).await.unwrap());
}

#[tokio::test]
async fn of_the_versions_of_a_post_the_first_that_comes_is_acted_on() {
    let redis = TestRedis::claim().await;
    let marks = Marks::new(redis.door(), Environment::Staging);
    let reading = |version, pick: &str| PostReading { version: post(version), picks: vec![pick.to_owned()] };
    let (original, edit) = (reading("7", "spread|nba"), reading("8", "total|nba"));
    assert_eq!(marks.post_reading(&post("7")).await.unwrap(), None);
    for claim in [&original, &edit, &original] {
        assert_eq!(marks.claim_post(&post("7"), claim, DAY).await.unwrap(), original);
    }
    assert_eq!(marks.post_reading(&post("7")).await.unwrap(), Some(original));
}

#[tokio::test]
async fn a_pick_is_first_seen_once() {
    let redis = TestRedis::claim().await;
    let marks = Marks::new(redis.door(), Environment::Staging);
    assert!(marks.remember_pick("spread|nba", "post-1", DAY).await.unwrap());
    assert!(!marks.remember_pick("spread|nba", "post-2", DAY).await.unwrap());
    assert!(marks.forget_pick("spread|nba", "post-1").await.unwrap());
    assert!(marks.remember_pick("spread|nba", "post-2", DAY).await.unwrap());
}

#[tokio::test]
async fn the_last_post_read_of_an_account_only_moves_forward() {
    let redis = TestRedis::claim().await;
    let marks = Marks::new(redis.door(), Environment::Staging);
    assert_eq!(marks.since_id("Sharp").await.unwrap(), None);
    marks.set_since_id("Sharp", &post("999")).await.unwrap();
    marks.set_since_id("sharp", &post("1000")).await.unwrap();
    let held = marks.set_since_id("sharp", &post("0998")).await.unwrap();
    assert_eq!(held, post("1000"));
    let big = post("1850000000000000001");
    marks.set_since_id("sharp", &post("1850000000000000000")).await.unwrap();
    marks.set_since_id("sharp", &big).await.unwrap();
    assert_eq!(marks.since_id("SHARP").await.unwrap(), Some(big));
}

#[tokio::test]
async fn every_mark_starts_with_the_prefix_of_its_environment() {
    let redis = TestRedis::claim().await;
    for env in [Environment::Staging, Environment::Production] {
        let marks = Marks::new(redis.door(), env);
        assert!(marks.mark_processed(&post("1"), "a", DAY).await.unwrap());
        assert!(marks.remember_pick("k", "a", DAY).await.unwrap());
        marks.set_since_id("sharp", &post("1")).await.unwrap();
    }
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis.raw().await).await.unwrap();
    assert_eq!(keys.iter().filter(|key| key.starts_with("stg:")).count(), 3, "{keys:?}");
    assert_eq!(keys.iter().filter(|key| key.starts_with("prod:")).count(), 3, "{keys:?}");
}
