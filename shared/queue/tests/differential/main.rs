//! Enqueues the same random jobs in every way, and fetches from the same random queue in every way. All ways must give the same
//! results and leave the same contents in Redis. The tests name intended differences.

#[path = "../support/mod.rs"]
mod support;

mod contents;
mod enqueue;
mod fetch;
mod raw;
mod wish;

use std::fmt::Debug;

use chrono::{DateTime, Utc};
use perch_base::{Clock, settings::QueueSettings};
use perch_queue::Redis;
use perch_testkit::TestRedis;
use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestRunner},
};
use support::{World, engine};

/// When everything begins.
fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

/// A database that is emptied before each way is tried.
struct Ground {
    redis: TestRedis,
    door: Redis,
}

impl Ground {
    async fn claim() -> Self {
        let redis = TestRedis::claim().await;
        Self { door: redis.door(), redis }
    }

    /// An empty queue at the time [`start`].
    async fn empty(&self, settings: QueueSettings) -> World {
        self.redis.wipe().await;
        self.world(settings, start())
    }

    /// The queue as it is, at a time.
    fn world(&self, settings: QueueSettings, now: DateTime<Utc>) -> World {
        let redis = TestRedis::at(self.redis.url());
        World::on(redis, self.door.clone(), settings, &engine(), &Clock::manual(now))
    }
}

/// Draws cases and plays each; reports the smallest that fails.
fn for_all<C: Debug>(cases: u32, strategy: impl Strategy<Value = C>, play: &impl AsyncFn(&Ground, C)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ground = runtime.block_on(Ground::claim());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let played = runner.run(&strategy, |case| {
        runtime.block_on(play(&ground, case));
        Ok(())
    });
    runtime.block_on(ground.redis.wipe());
    assert!(played.is_ok(), "{}", played.expect_err("a case failed"));
}
