use std::process::Stdio;

use perch_testkit::free_port;

use crate::world::{World, perch, run};

#[test]
fn without_arguments_the_help_is_shown() {
    let ran = run(&mut perch(), b"");
    assert!(ran.code == 2 && ran.stderr.contains("Usage: perch"), "{ran:?}");
    let help = run(perch().arg("--help"), b"").went_well();
    assert!(help.stdout.contains("doctor") && help.stdout.contains("--json"), "{help:?}");
}

#[test]
fn the_environment_has_to_be_one_of_the_two() {
    let missing = run(perch().arg("queues"), b"");
    assert!(missing.code == 1 && missing.stderr.contains("APP_ENV is not set"), "{missing:?}");
    let unknown = run(perch().args(["queues", "--env", "test"]), b"");
    assert!(unknown.code == 2 && unknown.stderr.contains("staging"), "{unknown:?}");
    let unknown = run(perch().arg("queues").env("APP_ENV", "test"), b"");
    assert!(unknown.code == 1 && unknown.stderr.contains("\"test\""), "{unknown:?}");
    let overridden = run(perch().args(["config", "check", "--env", "staging"]).env("APP_ENV", "test"), b"");
    assert_eq!(overridden.code, 0, "{overridden:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_enqueued_is_refused_with_its_reason() {
    let world = World::start().await;
    let large = format!(r#"{{"username":"{}"}}"#, "x".repeat(300_000));
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), &large).expect("it can be written");
    let path = file.path().to_str().expect("a path of UTF-8");
    let cases: [(&[&str], i32, &str); 11] = [
        (&["enqueue", "no_such_kind", "{}"], 1, "known kinds: "),
        (&["enqueue", "poll_account", r#"{"username":7}"#], 1, "$.username"),
        (&["enqueue", "poll_account", "{oops"], 1, "not JSON"),
        (&["enqueue", "poll_account", "-f", path], 1, "engine.max_payload_bytes"),
        (&["enqueue", "poll_account", "-f", "/no/such/file"], 1, "/no/such/file"),
        (&["enqueue", "poll_account", r#"{"username":"a"}"#, "--at", "tomorrow"], 2, "with its zone"),
        (&["enqueue", "poll_account", r#"{"username":"a"}"#, "--in", "90"], 2, "with its unit"),
        (&["enqueue", "poll_account", r#"{"username":"a"}"#, "--in", "9000d"], 1, "max_schedule_ahead"),
        (&["enqueue", "poll_account", r#"{"username":"a"}"#, "--max-attempts", "0"], 1, "max_attempts"),
        (&["enqueue", "poll_account", r#"{"username":"a"}"#, "--id", "7"], 2, "ULID"),
        (&["enqueue"], 2, "KIND"),
    ];
    for (arguments, code, said) in cases {
        let ran = world.run(arguments);
        assert!(ran.code == code && ran.stderr.contains(said), "{arguments:?}: {ran:?}");
        assert!(ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    assert_eq!(world.run(&["enqueue", "poll_account", &deep]).code, 1);
    let bytes = run(&mut world.perch(&["enqueue", "poll_account", "--ndjson"]), b"\xff\xfe\n");
    assert!(bytes.code == 1 && bytes.stderr.contains("line 1: not UTF-8"), "{bytes:?}");
    assert_eq!(world.list(&["jobs", "list"]), serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_queue_is_refused_with_those_there_are() {
    let world = World::start().await;
    let commands: [&[&str]; 6] = [
        &["queues", "nothing"],
        &["pause", "nothing"],
        &["purge", "nothing", "--yes"],
        &["dead", "list", "--queue", "nothing"],
        &["tail", "--queue", "nothing"],
        &["worker", "nothing"],
    ];
    for command in commands {
        let ran = world.run(command);
        assert!(ran.code == 1 && ran.stderr.contains("pending_posts"), "{command:?}: {ran:?}");
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{ran:?}");
    }
    let ran = world.run(&["pause", "Not A Name"]);
    assert!(ran.code == 2 && ran.stderr.contains("a-z"), "{ran:?}");
}

#[test]
fn a_redis_that_is_away_is_one_clear_line_and_as_json_an_object() {
    let url = format!("redis://me:hunter2@127.0.0.1:{}", free_port());
    let ran = run(perch().args(["queues", "--env", "staging"]).env("REDIS_URL", &url), b"");
    assert!(ran.code == 1 && ran.stderr.contains("check REDIS_URL"), "{ran:?}");
    assert!(ran.stderr.lines().count() == 1 && !ran.stderr.contains("hunter2"), "{ran:?}");
    let ran = run(perch().args(["queues", "--env", "staging", "--json"]).env("REDIS_URL", &url), b"");
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("JSON");
    assert!(error["error"].is_string() && ran.stdout.is_empty(), "{ran:?}");
    let missing = run(perch().args(["queues", "--env", "staging"]), b"");
    assert!(missing.code == 1 && missing.stderr.contains("REDIS_URL is not set"), "{missing:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child =
        perch().args(["completions", "zsh"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // More than a pipe holds is never read.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_live_screen_needs_a_terminal() {
    let ran = run(perch().args(["top", "--env", "staging"]).env("REDIS_URL", "redis://127.0.0.1:1"), b"");
    assert!(ran.code == 1 && ran.stderr.contains("terminal"), "{ran:?}");
}
