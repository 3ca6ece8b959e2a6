//! The emergency brake over real processes: two workers, and the command line that stops them.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use perch_sandbox::Endpoint;

use crate::stage::{Stage, comes_true};

const WIDE: [(&str, &str); 2] =
    [("PERCH__QUEUES__PENDING_POSTS__CONCURRENCY", "4"), ("PERCH__QUEUES__PENDING_POSTS__GROUP_CONCURRENCY", "0")];
const POSTS: usize = 200;
/// Within this time of the command nothing is published any more, and the command has said so.
const PROMISED: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_brake_from_the_command_line_stops_all_workers_and_a_worker_that_dies_meanwhile_loses_nothing() {
    let stage = Stage::start().await;
    let x = stage.sandbox.state();
    x.set_limit(Endpoint::CreatePost, 100_000);
    let lines: Vec<String> = (0..POSTS).map(|n| format!(r#"{{"account":"main","text":"Number {n}"}}"#)).collect();
    stage.world.run_with(&["enqueue", "publish_post", "--ndjson"], &lines.join("\n")).went_well();
    let workers = [(); 2].map(|()| stage.run_with(&["worker", "pending_posts"], None, &WIDE));
    comes_true("posts flow", || async { x.made().len() > 5 }).await;

    // What a process takes to start and to connect is no part of the promise, and under load it may be long.
    let started = Instant::now();
    stage.world.run(&["brake", "status"]).went_well();
    let start = started.elapsed();
    let (asked, at) = (Instant::now(), Utc::now());
    stage.world.run(&["brake", "on", "--reason", "wrong odds"]).went_well();
    let (answered, took) = (Utc::now(), asked.elapsed());
    assert!(took < PROMISED + start, "the command took {took:?}, and a process {start:?} to start");
    let made = x.made().len();
    assert!(made < POSTS, "something is left to stop");
    comes_true("both hold jobs and go no further", || async {
        stage.world.queue("pending_posts").stats().await.is_ok_and(|stats| stats.running == 8)
    })
    .await;
    let [dies, _lives] = workers;
    drop(dies);
    comes_true("the jobs of the dead one are another's", || async {
        stage.world.queue("pending_posts").stats().await.is_ok_and(|stats| stats.running == 4)
    })
    .await;
    assert_eq!(x.made().len(), made, "nothing goes out");
    let last = x.made().iter().map(|post| post.created_at).max().expect("posts flowed");
    let bound = at + TimeDelta::from_std(PROMISED + start).expect("a few seconds");
    assert!(last < bound, "asked at {at}, the last post went out at {last}; a process took {start:?} to start");

    let lifting = Utc::now();
    stage.world.run(&["brake", "off", "--reason", "mended"]).went_well();
    comes_true("all is published", || async { stage.left("pending_posts").await == 0 }).await;
    let mut texts: Vec<String> = x.made().iter().map(|post| post.text.clone()).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!((texts.len(), x.made().len()), (POSTS, POSTS), "each once");
    let between = x.made().into_iter().find(|post| post.created_at > answered && post.created_at < lifting);
    assert!(between.is_none(), "answered at {answered}, lifted at {lifting}: {between:?}");
    assert_eq!(stage.world.queue("pending_posts").stats().await.expect("Redis answers").dead, 0);
}
