//! The emergency brake over real processes: two workers, and the command line that stops them.

use std::time::Instant;

use chrono::Utc;
use perch_sandbox::Endpoint;

use crate::stage::{Stage, comes_true};

const WIDE: [(&str, &str); 2] =
    [("PERCH__QUEUES__PENDING_POSTS__CONCURRENCY", "4"), ("PERCH__QUEUES__PENDING_POSTS__GROUP_CONCURRENCY", "0")];
const POSTS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_brake_from_the_command_line_stops_all_workers_and_a_worker_that_dies_meanwhile_loses_nothing() {
    let stage = Stage::start().await;
    let x = stage.sandbox.state();
    x.set_limit(Endpoint::CreatePost, 100_000);
    let lines: Vec<String> = (0..POSTS).map(|n| format!(r#"{{"account":"main","text":"Number {n}"}}"#)).collect();
    stage.world.run_with(&["enqueue", "publish_post", "--ndjson"], &lines.join("\n")).went_well();
    let workers = [(); 2].map(|()| stage.run_with(&["worker", "pending_posts"], None, &WIDE));
    comes_true("posts flow", || async { x.made().len() > 5 }).await;

    let asked = Instant::now();
    stage.world.run(&["brake", "on", "--reason", "wrong odds"]).went_well();
    let (answered, took) = (Utc::now(), asked.elapsed());
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
    assert_eq!(x.made().len(), made, "nothing goes out; the command took {took:?}");

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
