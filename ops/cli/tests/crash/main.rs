//! The real binary, killed at every crash point: what is found when another process goes on.
#![cfg(debug_assertions)]

#[path = "../cli/world.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod world;

mod books;
mod braking;
mod fetching;
mod learning;
mod operations;
mod personas;
mod stage;
mod threads;
mod without_redis;

use std::{collections::BTreeSet, future::Future, pin::pin};

use chrono::Utc;
use futures::{StreamExt, stream};
use operations::OPERATIONS;
use perch_base::crash::POINTS;
use perch_jobs::{JobId, JobKind, Unique, UniqueScope};
use perch_queue::{Acceptance, Client, EnqueueOptions, EventKind, NewJob};
use perch_sandbox::{Endpoint, Fault, FaultKind};
use serde_json::value::RawValue;
use stage::{Stage, comes_true};

/// Worlds at once.
const AT_ONCE: usize = 6;

const OF_AN_ENQUEUE: [&str; 2] = ["enqueue.before", "enqueue.after"];
const OF_A_WORKER: [&str; 7] = [
    "worker.fetched",
    "worker.before_handler",
    "worker.after_handler",
    "worker.before_ack",
    "worker.after_ack",
    "heartbeat.before",
    "heartbeat.after",
];
const OF_A_START: [&str; 2] = ["begin.before", "begin.after"];
const OF_PUBLISHING: [&str; 6] = [
    "publish.admitted",
    "publish.claimed",
    "publish.before_call",
    "publish.after_call",
    "publish.confirmed",
    "publish.recorded",
];
const OF_THE_LEDGER: [&str; 3] = ["ledger.kept", "ledger.pushed", "ledger.settled"];
const OF_THE_RELAY: [&str; 3] = ["relay.taken", "relay.pushed", "relay.settled"];
const OF_THE_INTAKE: [&str; 3] = ["intake.read", "intake.enqueued", "intake.removed"];
const OF_CRON: [&str; 2] = ["cron.before", "cron.after"];
const OF_THE_SYNC: [&str; 3] = ["sync.read", "sync.committed", "sync.trimmed"];

const POST: &str = r#"{"account":"main","text":"Hornets at +7.5, one unit"}"#;
const METRICS: &str = r#"{"post_ids":["1849212345678901234"]}"#;

/// Plays the stories of some points, each a task of its own: the end of one blocks its thread until its database is gone,
/// and must not keep another from going on.
async fn at_each<Point, Fut>(points: &[Point], play: impl Fn(Point) -> Fut)
where
    Point: Copy,
    Fut: Future<Output = ()> + Send + 'static,
{
    let play = &play;
    let played = stream::iter(points.iter().copied()).map(|point| async move { tokio::spawn(play(point)).await });
    let mut played = pin!(played.buffer_unordered(AT_ONCE));
    while let Some(story) = played.next().await {
        story.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    }
}

#[test]
fn every_crash_point_has_its_story() {
    let told: Vec<&str> = [
        &OF_AN_ENQUEUE[..],
        &OF_A_WORKER,
        &OF_A_START,
        &OF_PUBLISHING,
        &OF_THE_LEDGER,
        &OF_THE_RELAY,
        &OF_THE_INTAKE,
        &OF_CRON,
        &OF_THE_SYNC,
        &fetching::OF_A_FETCH,
        &fetching::OF_A_LOST_ANSWER,
        &fetching::OF_A_GOODBYE,
        &learning::OF_CANDIDATES,
        &threads::OF_A_THREAD,
        &personas::OF_A_STOCK,
        &personas::OF_A_SLOT,
        &learning::OF_A_DECISION,
        &learning::OF_A_REWARD,
    ]
    .concat();
    let of_operations = OPERATIONS.iter().flat_map(|operation| operation.deaths).map(|(point, _)| *point);
    let told: BTreeSet<&str> =
        told.into_iter().chain(of_operations.map(|point| point.split(':').next().unwrap_or_default())).collect();
    let of_bots = perch_workers::bots().iter().flat_map(|bot| bot.crash_points().to_vec()).collect::<Vec<_>>();
    assert_eq!(told, POINTS.iter().copied().chain(of_bots).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_died_is_given_again_and_does_to_each_job_once_what_it_does() {
    at_each(&OPERATIONS.each_ref(), books::dies_and_is_repeated).await;
}

async fn the_post_is_made_once(stage: &Stage, point: &str) {
    posts_are_made_once(stage, point, 1).await;
}

/// So many posts are there, each once, their jobs are done, and nothing is left of either in Redis.
async fn posts_are_made_once(stage: &Stage, point: &str, posts: u32) {
    comes_true(&format!("{point}: the job is done"), || async { stage.left("pending_posts").await == 0 }).await;
    assert_eq!(stage.world.queue("pending_posts").stats().await.expect("Redis answers").dead, 0, "{point}");
    let texts: Vec<String> = stage.sandbox.state().made().into_iter().map(|post| post.text).collect();
    let different = texts.iter().collect::<BTreeSet<_>>().len();
    assert_eq!(
        (texts.len(), different),
        (posts as usize, posts as usize),
        "{point}: each post is made once: {texts:?}"
    );
    let confirmed = "select count(*) from effects where state = 'confirmed'";
    assert_eq!(stage.count(confirmed).await, i64::from(posts), "{point}: the ledger knows of each");
    assert_eq!(stage.count("select count(*) from effects").await, i64::from(posts), "{point}");
    let readings: BTreeSet<JobId> = stage.events("analytics_processing").await.iter().map(|event| event.job).collect();
    let planned = stage.world.queue("analytics_processing").stats().await.expect("Redis answers").delayed;
    assert!(planned > 0 && planned == readings.len() as u64, "{point}: its metrics are to be read, each once");
    // Limiters of rates end by themselves.
    comes_true(&format!("{point}: nothing is left of the jobs"), || async {
        stage.traces("pending_posts").await.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_its_worker_dies_a_post_is_made_once_and_the_attempt_counts_as_lost() {
    let points = [&OF_A_WORKER[..], &OF_PUBLISHING].concat();
    at_each(&points, |point| async move {
        let stage = Stage::start().await;
        // Longer than the pause between two heartbeats.
        let slow = Fault::new(Endpoint::CreatePost, FaultKind::Slow).times(1).delay_ms(1_500);
        stage.sandbox.state().add_fault(slow);
        let id = JobId::at(Utc::now());
        stage.world.run(&["enqueue", "publish_post", POST, "--id", &id.to_string()]).went_well();
        stage.run(&["worker"], Some(point)).dies(point).await;
        let acknowledged = point == "worker.after_ack";
        let running = stage.world.queue("pending_posts").stats().await.expect("Redis answers").running;
        assert_eq!(running, u64::from(!acknowledged), "{point}: its lease outlives the worker");

        let _worker = stage.run(&["worker"], None);
        the_post_is_made_once(&stage, point).await;
        let history = stage.history("pending_posts", id).await;
        let count = |kind| history.iter().filter(|k| **k == kind).count();
        assert_eq!(count(EventKind::Lost), usize::from(!acknowledged), "{point}: {history:?}");
        assert_eq!(count(EventKind::Succeeded), 1, "{point}: {history:?}");
        assert_eq!(history.first(), Some(&EventKind::Enqueued), "{point}: {history:?}");
        assert_eq!(history.last(), Some(&EventKind::Succeeded), "{point}: {history:?}");
        let lost = stage.events("pending_posts").await.into_iter().find(|event| event.kind == EventKind::Lost);
        assert_eq!(lost.and_then(|event| event.data().attempt), (!acknowledged).then_some(1), "{point}");
    })
    .await;
}

/// The key of a job that holds it until it starts, where its worker dies as it starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_held_until_the_job_starts_is_free_once_it_has_and_the_post_is_made_once() {
    at_each(&OF_A_START, |point| async move {
        let stage = Stage::start().await;
        let client = Client::new(stage.world.queues());
        let unique = Some(Unique { key: "of-today".into(), scope: UniqueScope::Queued });
        let job = || {
            let payload = RawValue::from_string(POST.to_owned()).expect("it is JSON");
            let options = EnqueueOptions { unique: unique.clone(), ..EnqueueOptions::default() };
            NewJob { kind: JobKind::from_static("publish_post"), payload, options }
        };
        let first = client.submit(job()).await.expect("accepted").id;
        stage.run(&["worker"], Some(point)).dies(point).await;
        let next = client.submit(job()).await.expect("answered");
        let expected = if point == "begin.before" { Acceptance::Kept } else { Acceptance::Accepted };
        assert_eq!(next.acceptance, expected, "{point}");
        if next.id != first {
            stage.world.run(&["jobs", "cancel", &next.id.to_string()]).went_well();
        }
        let _worker = stage.run(&["worker"], None);
        the_post_is_made_once(&stage, point).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enqueue_that_died_is_repeated_with_its_id_and_the_job_is_there_once() {
    at_each(&OF_AN_ENQUEUE, |point| async move {
        let stage = Stage::start().await;
        let id = JobId::at(Utc::now()).to_string();
        let enqueue = ["collect_metrics", METRICS, "--id", &id];
        stage.enqueue_and_die(point, &enqueue);
        let there = stage.left("analytics_processing").await;
        assert_eq!(there, u64::from(point == "enqueue.after"), "{point}");
        stage.world.run(&[&["enqueue"], &enqueue[..]].concat()).went_well();
        assert_eq!(stage.left("analytics_processing").await, 1, "{point}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_ledger_keeps_runs_once_though_whoever_enqueued_it_died() {
    at_each(&OF_THE_LEDGER, |point| async move {
        let stage = Stage::start().await;
        stage.enqueue_and_die(point, &["publish_post", POST]);
        let there = stage.left("pending_posts").await;
        assert_eq!(there, u64::from(point != "ledger.kept"), "{point}");
        let _scheduler = stage.run(&["scheduler"], None);
        let _worker = stage.run(&["worker"], None);
        comes_true(&format!("{point}: it is published"), || async { !stage.sandbox.state().made().is_empty() }).await;
        nothing_waits_in_the_outbox(&stage, point).await;
        the_post_is_made_once(&stage, point).await;
    })
    .await;
}

async fn nothing_waits_in_the_outbox(stage: &Stage, point: &str) {
    comes_true(&format!("{point}: the outbox is empty"), || async {
        stage.count("select count(*) from outbox where handed_over_at is null").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_died_is_followed_by_another_and_the_job_runs_once() {
    at_each(&OF_THE_RELAY, |point| async move {
        let stage = Stage::start().await;
        stage.enqueue_and_die("ledger.kept", &["publish_post", POST]);
        stage.run(&["scheduler"], Some(point)).dies(point).await;
        let there = stage.left("pending_posts").await;
        assert_eq!(there, u64::from(point != "relay.taken"), "{point}");
        let _scheduler = stage.run(&["scheduler"], None);
        let _worker = stage.run(&["worker"], None);
        comes_true(&format!("{point}: it is published"), || async { !stage.sandbox.state().made().is_empty() }).await;
        nothing_waits_in_the_outbox(&stage, point).await;
        the_post_is_made_once(&stage, point).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_a_stock_producer_are_taken_over_once_though_the_intake_died() {
    const INTAKE: &str = "stg:intake:analytics_processing";
    at_each(&OF_THE_INTAKE, |point| async move {
        let stage = Stage::start().await;
        let mut raw = stage.world.redis.raw().await;
        let mut push = redis::pipe();
        for _ in 0..5 {
            let task = JobId::at(Utc::now()).to_string();
            push.rpush(format!("{INTAKE}:active"), &task).ignore();
            push.hset(format!("{INTAKE}:data"), &task, METRICS).ignore();
            push.hset(format!("{INTAKE}:meta:{task}"), "kind", "collect_metrics").ignore();
        }
        push.exec_async(&mut raw).await.expect("Redis answers");
        stage.run(&["scheduler"], Some(point)).dies(point).await;
        let there = stage.left("analytics_processing").await;
        assert_eq!(there, if point == "intake.read" { 0 } else { 5 }, "{point}");

        let _scheduler = stage.run(&["scheduler"], None);
        comes_true(&format!("{point}: the intake is empty"), || async {
            let mut raw = stage.world.redis.raw().await;
            let keys: Vec<String> =
                redis::cmd("KEYS").arg(format!("{INTAKE}:*")).query_async(&mut raw).await.expect("Redis answers");
            keys.is_empty()
        })
        .await;
        assert_eq!(stage.left("analytics_processing").await, 5, "{point}: each is there once");
        let accepted = stage.events("analytics_processing").await;
        assert_eq!(accepted.len(), 5, "{point}: each was accepted once: {accepted:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tick_fires_once_though_the_scheduler_died_at_one() {
    const EVERY_SECOND: [(&str, &str); 6] = [
        ("PERCH__CRON__SYNC_HOT_STATE__ENABLED", "true"),
        ("PERCH__CRON__SYNC_HOT_STATE__SCHEDULE", "* * * * * *"),
        ("PERCH__CRON__SYNC_HOT_STATE__KIND", "collect_metrics"),
        ("PERCH__CRON__SYNC_HOT_STATE__PAYLOAD", r#"{ post_ids = ["1849212345678901234"] }"#),
        ("PERCH__CRON__SYNC_HOT_STATE__OVERLAP", "allow"),
        ("PERCH__CRON__SYNC_HOT_STATE__CATCH_UP", "all"),
    ];
    const QUEUE: &str = "analytics_processing";
    at_each(&OF_CRON, |point| async move {
        let stage = Stage::start().await;
        let second = format!("{point}:2");
        stage.run_with(&["scheduler"], Some(&second), &EVERY_SECOND).dies(point).await;
        let fired = stage.left(QUEUE).await;
        assert_eq!(fired, if point == "cron.before" { 1 } else { 2 }, "{point}");

        let _scheduler = stage.run_with(&["scheduler"], None, &EVERY_SECOND);
        comes_true(&format!("{point}: ticks go on"), || async { stage.left(QUEUE).await >= fired + 3 }).await;
        let ticks: Vec<i64> =
            stage.events(QUEUE).await.iter().map(|event| event.job.created_at().timestamp()).collect();
        assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{point}: each second once: {ticks:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_in_postgres_once_though_the_sync_died() {
    at_each(&OF_THE_SYNC, |point| async move {
        let stage = Stage::start().await;
        let jobs = [METRICS; 20].join("\n");
        stage.world.run_with(&["enqueue", "collect_metrics", "--ndjson", "--in", "1h"], &jobs).went_well();
        stage.world.run(&["enqueue", "sync_hot_state"]).went_well();
        stage.run(&["worker"], Some(point)).dies(point).await;
        let _worker = stage.run(&["worker"], None);
        comes_true(&format!("{point}: the sync is done"), || async { stage.left("sync_to_store").await == 0 }).await;
        let dead = stage.world.queue("sync_to_store").stats().await.expect("Redis answers").dead;
        assert_eq!(dead, 0, "{point}");
        let events = "select count(*) from job_events where queue = 'analytics_processing'";
        assert_eq!(stage.count(events).await, 20, "{point}: each event once");
        let jobs = "select count(*) from jobs where queue = 'analytics_processing' and state = 'delayed'";
        assert_eq!(stage.count(jobs).await, 20, "{point}");
    })
    .await;
}
