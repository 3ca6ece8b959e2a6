//! What the hot state in Redis promises.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use perch_base::{Classified, Disposition, Environment};
use perch_jobs::PostId;
use perch_store::{HotRecord, HotStore, RateWindow, RateWindows, Recorded, StoreError, move_forward};
use perch_testkit::TestRedis;
use serde_json::json;

const DAY: Duration = Duration::from_secs(86_400);

fn post(id: &str) -> PostId {
    id.parse().unwrap()
}

/// A record of a bot; these tests write none to Postgres.
macro_rules! family {
    ($name:ident, $family:literal) => {
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
        struct $name {}

        impl Recorded for $name {
            const FAMILY: &'static str = $family;
            const SQL: &'static str = "";
            const DOING: &'static str = "";

            fn key(&self) -> String {
                String::new()
            }
        }
    };
}

family!(Note, "notes");
family!(Other, "others");

fn record(key: &str, n: u32) -> HotRecord {
    HotRecord { family: "notes".into(), key: key.into(), value: json!({ "n": n }), ttl: Some(DAY) }
}

#[tokio::test]
async fn a_record_can_be_read_at_once_and_a_newer_one_has_the_greater_version() {
    let redis = TestRedis::claim().await;
    let hot = HotStore::new(redis.door(), Environment::Staging);
    let versions = hot.put(&[record("1", 1), record("1", 2), record("2", 3)]).await.unwrap();
    assert!(versions.is_sorted() && versions.len() == 3);
    let copy = hot.get::<Note>("1").await.unwrap().unwrap();
    assert_eq!((copy.version, copy.value), (versions[1], json!({ "n": 2 })));
    assert_eq!(hot.get::<Other>("1").await.unwrap(), None);
}

#[tokio::test]
async fn a_full_hot_state_refuses_and_throws_nothing_away() {
    let redis = TestRedis::claim().await;
    let hot = HotStore::new(redis.door(), Environment::Staging).with_bound(3);
    hot.put(&[record("1", 1), record("2", 2)]).await.unwrap();
    let refusal = hot.put(&[record("3", 3), record("4", 4)]).await.unwrap_err();
    assert!(matches!(refusal, StoreError::HotFull { waiting: 2, bound: 3 }), "{refusal}");
    assert!(matches!(refusal.disposition(), Disposition::Wait(_)));
    assert_eq!(hot.get::<Note>("3").await.unwrap(), None);
    hot.put(&[record("3", 3)]).await.unwrap();
}

#[tokio::test]
async fn more_records_than_one_script_takes_are_all_accepted_in_order() {
    let redis = TestRedis::claim().await;
    let hot = HotStore::new(redis.door(), Environment::Staging);
    let records: Vec<_> = (0..250).map(|n| record(&n.to_string(), n)).collect();
    let versions = hot.put(&records).await.unwrap();
    assert_eq!(versions.len(), 250);
    assert!(versions.is_sorted());
}

#[tokio::test]
async fn answers_that_arrive_out_of_order_leave_the_smallest_remainder_of_the_latest_window() {
    let redis = TestRedis::claim().await;
    let windows = RateWindows::new(redis.door(), Environment::Staging);
    let soon = Utc::now() + TimeDelta::minutes(10);
    let set = async |key: &str, remaining, reset| {
        windows.set(key, RateWindow { limit: 100, remaining, reset }).await.unwrap();
        let known = windows.get(key).await.unwrap().unwrap();
        assert_eq!(known.limit, 100);
        (known.remaining, (known.reset - soon + TimeDelta::seconds(30)).num_minutes())
    };
    for (remaining, reset) in [(7, soon), (9, soon)] {
        assert_eq!(set("x:main", remaining, reset).await.0, 7);
    }
    // The same end, as stated by answers at different fractions of a second.
    for (remaining, millis, least) in [(6, -900, 6), (8, 900, 6), (0, -2_000, 0), (5, 0, 0)] {
        assert_eq!(set("x:main", remaining, soon + TimeDelta::milliseconds(millis)).await.0, least);
    }
    assert_eq!(set("x:main", 99, soon + TimeDelta::minutes(15)).await, (99, 15));
    assert_eq!(set("x:main", 3, soon).await, (99, 15), "an earlier window");
    assert_eq!(set("x:main", 0, soon).await.0, 0, "one that is used up is news");

    let tomorrow = soon + TimeDelta::hours(20);
    assert_eq!(set("x:day", 0, tomorrow).await.0, 0);
    assert_eq!(set("x:day", 0, soon).await.1, 20 * 60, "a day that is used up is not over before its end");

    windows.set("x:other", RateWindow { limit: 1, remaining: 1, reset: Utc::now() }).await.unwrap();
    assert_eq!(windows.get("x:other").await.unwrap(), None);
}

#[tokio::test]
async fn everything_in_redis_starts_with_the_prefix_of_the_environment() {
    let redis = TestRedis::claim().await;
    for env in [Environment::Staging, Environment::Production] {
        HotStore::new(redis.door(), env).put(&[record("1", 1)]).await.unwrap();
        let reset = Utc::now() + TimeDelta::minutes(1);
        RateWindows::new(redis.door(), env).set("x", RateWindow { limit: 1, remaining: 1, reset }).await.unwrap();
    }
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis.raw().await).await.unwrap();
    assert_eq!(keys.iter().filter(|key| key.starts_with("stg:")).count(), 4, "{keys:?}");
    assert_eq!(keys.iter().filter(|key| key.starts_with("prod:")).count(), 4, "{keys:?}");
    assert_eq!(keys.len(), 8);
}

#[tokio::test]
async fn no_version_is_given_twice_though_a_replica_takes_over_that_lacks_the_last_ones_while_the_clock_is_behind() {
    let redis = TestRedis::claim().await;
    let hot = HotStore::new(redis.door(), Environment::Staging);
    let mut conn = redis.raw().await;
    let first = hot.put(&[record("0", 0)]).await.unwrap();
    // The clock was an hour ahead when this was written.
    let stream = "stg:{sync_to_store}:hot";
    let ahead = format!("{}-0", first[0].ms + 3_600_000);
    redis::cmd("XADD").arg(stream).arg(&ahead).arg("posts 1").arg("{}").exec_async(&mut conn).await.unwrap();
    let before = hot.put(&[record("2", 2)]).await.unwrap();
    assert!(before[0].ms > first[0].ms + 3_600_000, "{before:?}");
    let keys = [stream, "stg:{sync_to_store}:hot_ahead"];
    let mut copies: Vec<Vec<u8>> = Vec::new();
    for key in keys {
        copies.push(redis::cmd("DUMP").arg(key).query_async(&mut conn).await.unwrap());
    }
    let lost = hot.put(&[record("3", 3), record("4", 4), record("5", 5)]).await.unwrap();
    for (key, copy) in keys.into_iter().zip(&copies) {
        redis::cmd("RESTORE").arg(key).arg(0).arg(copy).arg("REPLACE").exec_async(&mut conn).await.unwrap();
    }
    let time = async |conn: &mut redis::aio::MultiplexedConnection| -> (u64, u64) {
        redis::cmd("TIME").query_async(conn).await.unwrap()
    };
    // A promotion takes longer than this.
    let (seconds, micros) = time(&mut conn).await;
    while time(&mut conn).await <= (seconds, micros + 5_000) {}
    let since = hot.put(&[record("6", 6)]).await.unwrap();
    assert!(since[0] > lost[2], "{since:?} after {lost:?}");
}

#[tokio::test]
async fn an_id_that_a_key_holds_only_moves_forward() {
    let redis = TestRedis::claim().await;
    let door = redis.door();
    let to = async |id: &str| move_forward(&door, "stg:since", &post(id)).await.unwrap();
    assert_eq!(to("999").await, post("999"));
    assert_eq!(to("1000").await, post("1000"));
    assert_eq!(to("0998").await, post("1000"));
    assert_eq!(to("1850000000000000000").await, post("1850000000000000000"));
    assert_eq!(to("1850000000000000001").await, post("1850000000000000001"));
}
