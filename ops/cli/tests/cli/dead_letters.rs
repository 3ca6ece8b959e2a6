use std::collections::BTreeSet;

use chrono::TimeDelta;
use perch_jobs::PollAccount;
use perch_queue::worker::Handlers;
use perch_testkit::Machine;
use serde_json::{Value, json};

use crate::world::{World, die, run};

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_counted_by_cause_and_found_by_filter() {
    let world = World::start().await;
    world.let_die(&["alice", "anton", "bert"]).await;
    let causes = world.json(&["dead", "stats"])["causes"].clone();
    let counts: Vec<_> = causes.as_array().expect("a list").iter().map(|cause| cause["count"].as_u64()).collect();
    assert_eq!(counts, [Some(2), Some(1)], "{causes}");
    assert_eq!(causes[0]["kinds"], serde_json::json!(["poll_account"]));
    let found = world.list(&["dead", "list", "--error", "NO SUCH", "--since", "1h"]);
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    assert_eq!(found[0]["payload"]["username"], "bert");
    assert_eq!(world.list(&["dead", "list", "--until", "1h"]), serde_json::json!([]));
    let id = found[0]["id"].as_str().expect("an id");
    let letter = world.json(&["dead", "show", id]);
    assert_eq!(letter["last_error"], "no such user");
    let of_job = world.json(&["jobs", "show", id]);
    for at in [&letter["errors"][0]["finished_at"], &of_job["redis"]["errors"][0]["finished_at"]] {
        let at = at.as_str().and_then(|at| at.parse::<chrono::DateTime<chrono::Utc>>().ok());
        assert!(at.is_some(), "a time is a time, and not milliseconds: {letter}");
    }
    assert!(
        world.json(&["jobs", "show", id])["attempt_history"][0]["error"].as_str().is_some_and(|e| e == "no such user")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_moves_nothing_and_a_replay_moves_what_fits_the_filter() {
    let world = World::start().await;
    world.let_die(&["alice", "anton", "bert"]).await;
    let dry = world.json(&["dead", "replay", "--error", "503", "--dry-run"]);
    assert_eq!((&dry["matched"], &dry["dry_run"]), (&2.into(), &true.into()));
    assert_eq!(world.list(&["dead", "list"]).as_array().map(Vec::len), Some(3));

    let replayed = world.json(&["dead", "replay", "--error", "503", "--rate", "1000/s"]);
    assert_eq!(replayed["outcomes"], serde_json::json!({ "replayed": 2 }));
    assert_eq!(world.list(&["dead", "list"]).as_array().map(Vec::len), Some(1));
    let waiting = world.list(&["jobs", "list", "--state", "waiting"]);
    assert_eq!(waiting.as_array().map(Vec::len), Some(2));
    let shown = world.json(&["jobs", "show", waiting[0]["id"].as_str().expect("an id")]);
    assert_eq!((&shown["envelope"]["replays"], &shown["envelope"]["by"]), (&1.into(), &"tester".into()));
    let audit = world.list(&["audit", "list"]);
    assert_eq!((&audit[0]["action"], &audit[0]["actor"]), (&"dead.replay".into(), &"tester".into()));
    assert_eq!(audit[0]["details"]["filter"]["error"], "503");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_checked_for_every_letter_before_one_is_moved() {
    let world = World::start().await;
    world.let_die(&["alice", "bert"]).await;
    let bad = r#"if .username == "bert" then .username = 7 else . end"#;
    let refused = world.run(&["dead", "replay", "--edit", bad]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("$.username") && refused.stderr.contains("nothing was brought back"),
        "{refused:?}"
    );
    assert_eq!(world.list(&["dead", "list"]).as_array().map(Vec::len), Some(2));

    let replayed = world.json(&["dead", "replay", "--edit", r#".username += "_2""#, "--limit", "1", "--yes"]);
    assert_eq!(replayed["outcomes"]["replayed"], 1);
    let waiting = world.list(&["jobs", "list", "--state", "waiting"]);
    let shown = world.json(&["jobs", "show", waiting[0]["id"].as_str().expect("an id")]);
    assert!(shown["envelope"]["payload"]["username"].as_str().is_some_and(|name| name.ends_with("_2")), "{shown}");
    let unreadable = world.run(&["dead", "replay", "--edit", ".username = "]);
    assert!(unreadable.code == 1 && unreadable.stderr.contains("cannot be used"), "{unreadable:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_exported_and_then_discarded_only_with_a_yes() {
    let world = World::start().await;
    world.let_die(&["alice", "bert"]).await;
    let exported = world.run(&["dead", "export"]).went_well().stdout;
    let users: Vec<serde_json::Value> =
        exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(users.len(), 2);
    assert!(users.iter().all(|letter| letter["payload"]["username"].is_string()), "{exported}");
    assert!(
        users.iter().all(|letter| letter["died"]["id"].is_string() && letter["died"]["last_error"].is_string()),
        "{exported}"
    );

    let asked = world.run(&["dead", "discard", "--error", "no such user"]);
    assert!(asked.code == 1 && asked.stderr.contains("--yes"), "{asked:?}");
    assert_eq!(world.json(&["dead", "discard", "--error", "no such user", "--yes"])["discarded"], 1);
    assert_eq!(world.list(&["dead", "list"]).as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_can_be_enqueued_again_as_it_is() {
    let world = World::start().await;
    let over_lines = "{\r\n\t\"username\": \"carl\"\r\n}";
    world.run(&["enqueue", "poll_account", over_lines, "--priority", "low", "--unique-key", "own"]).went_well();
    world.run_with(&["enqueue", "poll_account", "--ndjson"], r#"{"username":"alice"}"#).went_well();
    let handlers = Handlers::new().on::<PollAccount, _, _>(die);
    world.work_until(handlers, "both are dead", |stats| stats.dead == 2).await;

    let exported = world.run(&["dead", "export"]).went_well().stdout;
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |user: &str| lines.iter().find(|line| line["payload"]["username"] == user).expect("it is exported");
    assert_eq!((&of("carl")["priority"], &of("carl")["unique"]["key"]), (&json!("low"), &json!("own")), "{exported}");
    assert!(of("alice").get("unique").is_none(), "its key follows from its payload: {exported}");

    let with_one_more = format!("{exported}{{\"died\":{{}}}}\n");
    let enqueued = world.run_with(&["enqueue", "--ndjson", "--json"], &with_one_more);
    let told: Value = serde_json::from_str(&enqueued.stdout).expect("JSON");
    assert_eq!((&told["accepted"], &told["refused"]), (&json!(2), &json!(1)), "{told}");
    assert!(told["errors"][0]["error"].as_str().is_some_and(|error| error.contains("dead replay --edit")), "{told}");
    let ids = |list: &Value| -> BTreeSet<String> {
        let rows = list.as_array().expect("a list").iter();
        rows.map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
    };
    let (waiting, dead) = (world.list(&["jobs", "list", "--state", "waiting"]), world.list(&["dead", "list"]));
    assert!(ids(&waiting).len() == 2 && ids(&waiting).is_disjoint(&ids(&dead)), "{waiting} {dead}");
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_can_be_changed_in_an_editor() {
    let world = World::start().await;
    world.let_die(&["alice"]).await;
    let mut command = world.perch(&["dead", "replay", "--editor", "--json"]);
    command.env("EDITOR", "sed -i s/alice/alicia/");
    let replayed = crate::world::run(&mut command, b"").json();
    assert_eq!(replayed["outcomes"]["replayed"], 1);
    let id = world.list(&["jobs", "list"])[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(world.json(&["jobs", "show", &id])["envelope"]["payload"]["username"], "alicia");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_clock_of_this_machine_shows_the_ages_of_letters_and_jobs_go_by_that_of_redis() {
    let world = World::start().await;
    world.let_die(&["alice", "bert"]).await;
    world.run(&["enqueue", "collect_metrics", r#"{"post_ids":["1"]}"#]).went_well();
    let gone = world.run(&["enqueue", "collect_metrics", r#"{"post_ids":["2"]}"#, "--json"]).json();
    world.run(&["jobs", "cancel", gone["id"].as_str().expect("an id")]).went_well();
    world.sync().await;
    let machine = Machine::new();
    let listed = || run(world.perch(&["jobs", "list", "--state", "cancelled"]).envs(machine.variables()), b"").stdout;
    let told = |arguments: &[&str]| {
        let ran = run(world.perch(&[arguments, &["--json"]].concat()).envs(machine.variables()), b"");
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout
    };
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&told(arguments)).expect("JSON") };
    for hours in [-2, 2] {
        machine.set_clock(TimeDelta::hours(hours));
        assert_eq!(json(&["dead", "list"])["items"].as_array().map(Vec::len), Some(2), "{hours} hours");
        assert_eq!(
            json(&["dead", "stats", "--since", "1h"])["causes"].as_array().map(Vec::len),
            Some(2),
            "{hours} hours"
        );
        assert_eq!(told(&["dead", "export", "--since", "1h"]).lines().count(), 2, "{hours} hours");
        assert_eq!(json(&["dead", "replay", "--since", "1h", "--dry-run"])["matched"], 2, "{hours} hours");
        for command in [["dead", "replay"], ["dead", "discard"], ["jobs", "cancel"]] {
            let old = json(&[&command[..], &["--until", "1h", "--dry-run"]].concat());
            assert_eq!(old["matched"], 0, "{command:?} {hours} hours");
        }
        assert_eq!(json(&["jobs", "cancel", "--since", "1h", "--dry-run"])["matched"], 1, "{hours} hours");
        let ages = listed();
        assert!(!ages.contains("h ago") && !ages.contains("in "), "{hours} hours:\n{ages}");
    }
}
