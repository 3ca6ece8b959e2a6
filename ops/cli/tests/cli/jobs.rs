use crate::world::World;

const POLL: &str = r#"{"username":"someone"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_enqueued_seen_shown_and_cancelled() {
    let world = World::start().await;
    let enqueued = world.json(&["enqueue", "poll_account", POLL, "--priority", "high"]);
    assert_eq!((&enqueued["queue"], &enqueued["outcome"]), (&"extraction".into(), &"accepted".into()));
    let id = enqueued["id"].as_str().expect("an id");

    let queues = world.list(&["queues"]);
    let extraction =
        queues.as_array().expect("a list").iter().find(|q| q["queue"] == "extraction").expect("it is there");
    assert_eq!((&extraction["waiting"], &extraction["high"]), (&1.into(), &1.into()));

    let shown = world.json(&["jobs", "show", id]);
    assert_eq!((&shown["state"], &shown["kind"]), (&"waiting".into(), &"poll_account".into()));
    assert_eq!(shown["envelope"]["payload"]["username"], "someone");
    assert!(world.run(&["jobs", "show", &id.to_lowercase()]).went_well().stdout.contains("someone"));

    let listed = world.list(&["jobs", "list", "--kind", "poll_account", "--state", "waiting"]);
    assert_eq!(listed[0]["id"], id);

    let cancelled = world.json(&["jobs", "cancel", id, "--reason", "a test"]);
    assert_eq!(cancelled[0]["outcome"], "cancelled");
    assert_eq!(world.list(&["jobs", "list"]), serde_json::json!([]));
    assert_eq!(world.run(&["jobs", "cancel", id]).code, 1);
    assert_eq!(world.list(&["audit", "list", "--object", id])[0]["action"], "job.cancel");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_job_runs_at_once_when_it_is_told_to() {
    let world = World::start().await;
    let id = world.json(&["enqueue", "poll_account", POLL, "--in", "2h"])["id"].as_str().expect("an id").to_owned();
    assert_eq!(world.json(&["jobs", "show", &id])["state"], "delayed");
    assert_eq!(world.json(&["jobs", "run-now", &id])[0]["moved"], true);
    assert_eq!(world.json(&["jobs", "show", &id])["state"], "waiting");
    assert_eq!(world.run(&["jobs", "run-now", &id]).code, 1);
    let lines = world.list(&["audit", "list", "--object", &id]);
    assert_eq!((&lines[0]["action"], lines.as_array().map(Vec::len)), (&"job.run_now".into(), Some(1)), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_are_enqueued_and_bad_lines_are_named_with_their_place() {
    let world = World::start().await;
    let lines = "{\"username\":\"a\"}\n\n{\"username\":7}\n{oops\n{\"username\":\"b\"}\n";
    let ran = world.run_with(&["enqueue", "poll_account", "--ndjson", "--json"], lines);
    assert_eq!(ran.code, 1, "{ran:?}");
    let summary: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((&summary["lines"], &summary["accepted"], &summary["refused"]), (&4.into(), &2.into(), &2.into()));
    let errors = summary["errors"].as_array().expect("a list");
    let mut places: Vec<_> = errors.iter().map(|error| (error["line"].as_u64(), error["path"].as_str())).collect();
    places.sort_unstable();
    assert_eq!(places, [(Some(3), Some("$.username")), (Some(4), None)]);

    let text = world.run_with(&["enqueue", "poll_account", "--ndjson", "--from-line", "3"], lines);
    assert!(text.stderr.contains("line 3: payload of poll_account at $.username"), "{text:?}");
    assert!(text.stdout.contains("kept out by a unique key"), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_jobs_come_line_by_line_and_an_id_given_twice_adds_nothing() {
    let world = World::start().await;
    let line =
        r#"{"kind":"collect_metrics","payload":{"post_ids":["1"]},"id":"01JD0000000000000000000000","priority":"low"}"#;
    let first = world.run_with(&["enqueue", "--ndjson", "--json"], line).json();
    let again = world.run_with(&["enqueue", "--ndjson", "--json"], line).json();
    assert_eq!((&first["accepted"], &again["duplicate"]), (&1.into(), &1.into()));
    let shown = world.json(&["jobs", "show", "01JD0000000000000000000000"]);
    assert_eq!(shown["envelope"]["priority"], "low");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_says_who_paused_it_and_does_not_pretend_to_drain() {
    let world = World::start().await;
    world.run(&["enqueue", "poll_account", POLL]).went_well();
    world.run(&["pause", "extraction"]).went_well();
    let extraction = world.list(&["queues", "extraction"]);
    assert_eq!((&extraction[0]["paused"], &extraction[0]["paused_by"]), (&true.into(), &"tester".into()));
    let drained = world.run(&["drain", "extraction"]);
    assert!(drained.code == 1 && drained.stderr.contains("perch resume extraction"), "{drained:?}");
    world.run(&["resume", "--all"]).went_well();
    let late = world.run(&["drain", "extraction", "--timeout", "10ms"]);
    assert!(late.code == 1 && late.stderr.contains("1 job left"), "{late:?}");
    assert_eq!(world.json(&["drain", "pending_posts"])["drained"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_without_a_terminal_needs_to_be_told_yes() {
    let world = World::start().await;
    world.run(&["enqueue", "poll_account", POLL]).went_well();
    let asked = world.run(&["purge", "extraction"]);
    assert!(asked.code == 1 && asked.stderr.contains("--yes"), "{asked:?}");
    assert_eq!(world.list(&["queues", "extraction"])[0]["waiting"], 1);
    assert_eq!(world.json(&["purge", "extraction", "--yes"])["purged"], 1);
    assert_eq!(world.list(&["audit", "list"])[0]["action"], "queue.purge");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_job_can_be_read_back() {
    let world = World::start().await;
    world.run(&["enqueue", "poll_account", POLL]).went_well();
    let ran = world.run(&["tail", "--since", "1m", "--limit", "1", "--kind", "poll_account", "--json"]).went_well();
    let event: serde_json::Value = serde_json::from_str(ran.stdout.trim()).expect("one line of JSON");
    assert_eq!((&event["event"], &event["kind"]), (&"enqueued".into(), &"poll_account".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn cron_entries_are_listed_and_run_by_hand() {
    let world = World::start().await;
    let entries = world.list(&["cron", "list"]);
    assert!(entries.as_array().is_some_and(|list| list.iter().any(|e| e["entry"] == "poll_accounts")), "{entries}");
    let id = world.json(&["cron", "run", "poll_accounts"])["id"].as_str().expect("an id").to_owned();
    assert_eq!(world.json(&["jobs", "show", &id])["kind"], "poll_accounts");
    let unknown = world.run(&["cron", "run", "nothing"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("poll_accounts"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_a_job_is_shown_as_redis_knows_it() {
    let world = World::start().await;
    let id = world.json(&["enqueue", "poll_account", POLL])["id"].as_str().expect("an id").to_owned();
    let nobody = format!("postgres://nobody@127.0.0.1:{}/none", perch_testkit::free_port());
    let mut command = world.perch(&["jobs", "show", &id]);
    command.env("DATABASE_URL", nobody).env("PERCH__POSTGRES__ACQUIRE_TIMEOUT", "200ms");
    let ran = crate::world::run(&mut command, b"").went_well();
    assert!(ran.stdout.contains("Postgres is away") && ran.stdout.contains("someone"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_fits_80_columns_and_in_a_pipe_is_whole_and_without_colour() {
    let world = World::start().await;
    world.let_die(&["a_very_long_name", "b"]).await;
    world.run(&["enqueue", "collect_metrics", r#"{"post_ids":["1"]}"#, "--in", "1h"]).went_well();
    world.run(&["keys", "create", "a key with a long name", "--scope", "enqueue,read,operate"]).went_well();
    let commands: [&[&str]; 9] = [
        &["queues"],
        &["jobs", "list"],
        &["dead", "list"],
        &["dead", "stats"],
        &["dead", "replay", "--dry-run"],
        &["workers", "--seen-within", "1h"],
        &["cron", "list"],
        &["keys", "list"],
        &["audit", "list"],
    ];
    for command in commands {
        let ran = world.run(&[command, &["--width", "80"]].concat()).went_well();
        let is_fit = ran.stdout.lines().all(|line| line.chars().count() <= 80);
        assert!(is_fit && !ran.stdout.contains('\u{1b}') && !ran.stdout.is_empty(), "{command:?}\n{}", ran.stdout);
        let piped = world.run(command).went_well().stdout;
        assert!(!piped.contains('…') && !piped.contains('\u{1b}'), "{command:?}\n{piped}");
    }
}
