//! Workers that die around a fetch, around what they give back after an answer was lost, and around their good-bye.

use chrono::{TimeDelta, Utc};
use perch_jobs::{JobId, JobKind};
use perch_queue::{Client, EnqueueOptions, EventKind, NewJob};
use perch_testkit::{OwnRedis, TestDatabase, TestRedis};
use perch_workers::bots;
use serde_json::value::RawValue;

use crate::{
    POST, at_each, posts_are_made_once,
    stage::{Stage, comes_true},
    the_post_is_made_once,
    world::World,
};

pub const OF_A_FETCH: [&str; 2] = ["fetch.before", "fetch.after"];
pub const OF_A_LOST_ANSWER: [&str; 2] = ["reclaim.before", "reclaim.after"];
pub const OF_A_GOODBYE: [&str; 2] = ["goodbye.before", "goodbye.after"];

const QUEUE: &str = "pending_posts";
const WORKER: [&str; 2] = ["worker", QUEUE];

async fn running(stage: &Stage) -> u64 {
    stage.world.queue(QUEUE).stats().await.expect("Redis answers").running
}

/// As if the worker that has the one lease there is had been silent for as long as it lasts.
async fn end_the_lease(stage: &Stage) {
    let key = stage.world.queue(QUEUE).keys().leases();
    let mut raw = stage.world.redis.raw().await;
    let members: Vec<String> =
        redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).query_async(&mut raw).await.expect("Redis answers");
    assert_eq!(members.len(), 1);
    redis::cmd("ZADD").arg(&key).arg(1).arg(&members[0]).exec_async(&mut raw).await.expect("Redis answers");
}

/// Jobs of one account, one at a time and one in half a second: the fetch takes over a lost one, promotes one that is due and
/// parks the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_takes_over_promotes_and_limits_is_whole_though_its_worker_died() {
    const LIMITS: [(&str, &str); 1] = [("PERCH__QUEUES__PENDING_POSTS__GROUP_RATE", r#"{ count = 1, per = "500ms" }"#)];
    at_each(&OF_A_FETCH, |point| async move {
        let stage = Stage::start().await;
        let lost = JobId::at(Utc::now());
        stage.world.run(&["enqueue", "publish_post", POST, "--id", &lost.to_string()]).went_well();
        stage.run_with(&WORKER, Some("worker.before_handler"), &LIMITS).dies("worker.before_handler").await;
        let queue = stage.world.queue(QUEUE);
        let post = |n: u32| format!(r#"{{"account":"main","text":"Pick {n}, two units"}}"#);
        stage.world.run(&["enqueue", "publish_post", &post(1)]).went_well();
        stage.world.run(&["enqueue", "publish_post", &post(2), "--in", "1s"]).went_well();
        comes_true("it is due", || async { queue.stats().await.expect("Redis answers").next_due <= Some(Utc::now()) })
            .await;
        end_the_lease(&stage).await;

        stage.run_with(&WORKER, Some(point), &LIMITS).dies(point).await;
        let stats = queue.stats().await.expect("Redis answers");
        let places = (stats.running, stats.normal, stats.parked + stats.delayed);
        // The one that was lost starts again, or waits for its turn in the rate like the others.
        let expected = if point == "fetch.before" { [(1, 1, 1); 2] } else { [(1, 0, 2), (0, 0, 3)] };
        assert!(expected.contains(&places), "{point}: the fetch is carried out whole or not at all: {places:?}");

        let _worker = stage.run_with(&WORKER, None, &LIMITS);
        posts_are_made_once(&stage, point, 3).await;
        let history = stage.history(QUEUE, lost).await;
        let count = |kind| history.iter().filter(|k| **k == kind).count();
        assert_eq!(count(EventKind::Succeeded), 1, "{point}: {history:?}");
        let started = count(EventKind::Started);
        assert_eq!(count(EventKind::Lost), started - 1, "{point}: an attempt is lost or succeeds: {history:?}");
    })
    .await;
}

/// Redis sleeps while a fetch is on its way: the worker gives up waiting, and Redis leases a job to it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_leased_by_an_answer_that_was_lost_runs_though_its_worker_died_while_it_gave_it_back() {
    at_each(&OF_A_LOST_ANSWER, |point| async move {
        let redis = OwnRedis::with(&["--enable-debug-command", "yes"]).await;
        let world =
            World { redis: TestRedis::at(&redis.url()), database: TestDatabase::of(|store| bots().store(store)).await };
        let stage = Stage::of(world).await;
        let queue = stage.world.queue(QUEUE);
        let worker = stage.run(&WORKER, Some(point));
        comes_true("it waits for work", || async { queue.stats().await.expect("Redis answers").workers == 1 }).await;
        let options =
            EnqueueOptions { run_at: Some(Utc::now() + TimeDelta::milliseconds(1_500)), ..EnqueueOptions::default() };
        let payload = RawValue::from_string(POST.to_owned()).expect("JSON");
        let job = NewJob { kind: JobKind::from_static("publish_post"), payload, options };
        let id = Client::new(stage.world.queues()).submit(job).await.expect("accepted").id;
        let mut raw = stage.world.redis.raw().await;
        redis::cmd("DEBUG").arg("SLEEP").arg(3).exec_async(&mut raw).await.expect("Redis wakes again");

        worker.dies(point).await;
        if point == "reclaim.before" {
            comes_true("Redis leases the job to the dead", || async { running(&stage).await == 1 }).await;
        }
        let _worker = stage.run(&WORKER, None);
        the_post_is_made_once(&stage, point).await;
        let history = stage.history(QUEUE, id).await;
        let lost = history.iter().filter(|kind| **kind == EventKind::Lost).count();
        assert!(lost <= 1, "{point}: {history:?}");
        assert_eq!(history.iter().filter(|kind| **kind == EventKind::Succeeded).count(), 1, "{point}: {history:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_hears_of_the_next_job_though_one_died_while_it_said_good_bye() {
    at_each(&OF_A_GOODBYE, |point| async move {
        let stage = Stage::start().await;
        let queue = stage.world.queue(QUEUE);
        let workers = async || queue.stats().await.expect("Redis answers").workers;
        let _worker = stage.run(&WORKER, None);
        let leaving = stage.run(&WORKER, Some(point));
        comes_true("both wait for work", async || workers().await == 2).await;
        leaving.terminate();
        leaving.dies(point).await;
        assert_eq!(workers().await, if point == "goodbye.before" { 2 } else { 1 }, "{point}");

        stage.world.run(&["enqueue", "publish_post", POST]).went_well();
        the_post_is_made_once(&stage, point).await;
    })
    .await;
}
