//! Deeds on many jobs, filters, and what the shell completes.

use perch_queue::testing;
use serde_json::json;

use crate::world::{World, perch, run};

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_are_cancelled_or_made_ready_by_a_filter_after_a_yes() {
    let world = World::start().await;
    let lines = r#"{"username":"a"}
{"username":"b"}
{"username":"c"}"#;
    world.run_with(&["enqueue", "poll_account", "--ndjson", "--in", "2h"], lines).went_well();
    world.run(&["enqueue", "collect_metrics", r#"{"post_ids":["1"]}"#, "--in", "2h"]).went_well();
    let by_kind = ["--kind", "poll_account"];
    let dry = world.json(&[&["jobs", "run-now", "--dry-run"], &by_kind[..]].concat());
    assert_eq!((&dry["matched"], &dry["changed"]), (&json!(3), &json!(0)), "{dry}");
    let asked = world.run(&[&["jobs", "run-now"], &by_kind[..]].concat());
    assert!(asked.code == 1 && asked.stderr.contains("makes 3 delayed jobs ready in staging"), "{asked:?}");
    let moved = world.json(&[&["jobs", "run-now", "--yes"], &by_kind[..]].concat());
    assert_eq!((&moved["changed"], &moved["queues"]), (&json!(3), &json!({ "extraction": 3 })));
    assert_eq!(world.list(&["jobs", "list", "--state", "delayed"]).as_array().map(Vec::len), Some(1));

    let bare = world.run(&["jobs", "cancel"]);
    assert!(bare.code == 2 && bare.stderr.contains("--all"), "nothing is chosen by leaving all out: {bare:?}");
    let cancelled = world.run(&["jobs", "cancel", "--queue", "extraction", "--state", "waiting", "--yes"]).went_well();
    assert!(cancelled.stdout.contains("3 jobs cancelled"), "{cancelled:?}");
    let last = world.json(&["jobs", "cancel", "--all", "--yes"]);
    assert_eq!(last["changed"], 1, "{last}");
    let audited = world.list(&["audit", "list", "--object", "extraction"]);
    let actions: Vec<_> = audited.as_array().expect("a list").iter().map(|line| line["action"].clone()).collect();
    assert_eq!(actions, ["job.cancel", "job.run_now"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_jobs_that_are_cancelled_by_a_filter_those_that_run_are_counted_apart() {
    let world = World::start().await;
    let lines = ["a", "b", "c"].map(|name| json!({ "username": name }).to_string()).join("\n");
    world.run_with(&["enqueue", "poll_account", "--ndjson"], &lines).went_well();
    let queue = world.queue("extraction");
    let running = testing::fetch(&queue, "a worker", 1, 60_000).await.expect("Redis answers");
    assert_eq!(running.jobs.len(), 1);
    let cancelled = world.json(&["jobs", "cancel", "--kind", "poll_account", "--yes"]);
    assert_eq!((&cancelled["matched"], &cancelled["changed"], &cancelled["asked"]), (&json!(3), &json!(2), &json!(1)));
    let again = world.run(&["jobs", "cancel", "--kind", "poll_account", "--yes"]).went_well();
    assert!(again.stdout.contains("0 jobs cancelled; 1 job running, told to stop"), "{again:?}");
    let audited = world.list(&["audit", "list", "--object", "extraction"]);
    let told = |at: usize| (audited[at]["details"]["jobs"].clone(), audited[at]["details"]["asked"].clone());
    assert_eq!((told(1), told(0)), ((json!(2), json!(1)), (json!(0), json!(1))), "{audited}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_nobody_knows_is_refused_as_a_filter() {
    let world = World::start().await;
    for command in [
        &["jobs", "list", "--kind", "nope"][..],
        &["jobs", "cancel", "--kind", "nope", "--yes"],
        &["dead", "list", "--kind", "nope"],
        &["dead", "stats", "--kind", "nope"],
        &["dead", "replay", "--kind", "nope"],
        &["dead", "discard", "--kind", "nope", "--yes"],
    ] {
        let ran = world.run(command);
        assert!(ran.code == 1 && ran.stderr.contains("there is no kind nope; known are"), "{command:?}: {ran:?}");
    }
}

#[test]
fn completions_know_the_queues_kinds_and_cron_entries_of_the_configuration() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(perch().args(["completions", shell]), b"").went_well().stdout;
        for word in ["analytics_processing", "publish_post", "poll_accounts"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
