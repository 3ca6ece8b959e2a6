//! Payloads of dead letters through an edit or an editor.

use std::process::Command;

use perch_jobs::PollAccount;
use perch_queue::{Client, Intake, worker::Handlers};

use crate::world::{Ran, World, die, perch, run};

async fn with_one_letter() -> World {
    let world = World::start().await;
    world.let_die(&["alice"]).await;
    world
}

fn is_left(world: &World) -> bool {
    world.list(&["dead", "list"]).as_array().map(Vec::len) == Some(1)
}

fn in_editor(world: &World, variables: &[(&str, &str)]) -> Ran {
    let mut command: Command = world.perch(&["dead", "replay", "--editor"]);
    run(command.envs(variables.iter().copied()), b"")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_that_is_left_without_a_yes_brings_nothing_back() {
    let world = with_one_letter().await;
    // `:cq` in vim ends it like `false`; `true` saves nothing new.
    for (editor, said) in [("false", "ended with exit status: 1"), ("true", "nothing was changed in the editor")] {
        let ran = in_editor(&world, &[("EDITOR", editor)]);
        assert!(ran.code == 1 && ran.stderr.contains(said) && is_left(&world), "{editor}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_variable_that_is_empty_counts_as_not_set_and_one_that_is_no_command_is_named() {
    let world = with_one_letter().await;
    let nowhere = tempfile::tempdir().expect("a folder");
    let path = nowhere.path().to_str().expect("UTF-8");
    for (variables, said) in [
        (&[("EDITOR", ""), ("PATH", path)][..], "\"vi\" cannot be used"),
        (&[("EDITOR", "  "), ("VISUAL", ""), ("PATH", path)], "\"vi\" cannot be used"),
        (&[("EDITOR", "'unfinished")], "EDITOR is \"'unfinished\", which is no command"),
        (&[("EDITOR", "no-such-editor -w")], "\"no-such-editor -w\" cannot be used"),
        (&[("EDITOR", "true"), ("VISUAL", "false")], "ended with exit status: 1"),
    ] {
        let ran = in_editor(&world, variables);
        assert!(ran.code == 1 && ran.stderr.contains(said) && is_left(&world), "{variables:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_everything_needs_a_yes() {
    let world = with_one_letter().await;
    let asked = world.run(&["dead", "replay"]);
    assert!(asked.code == 1 && asked.stderr.contains("--yes") && is_left(&world), "{asked:?}");
    assert_eq!(world.json(&["dead", "replay", "--yes"])["outcomes"]["replayed"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_never_ends_or_takes_all_memory_is_broken_off_and_nothing_is_brought_back() {
    let world = with_one_letter().await;
    for (edit, said) in [
        ("def f: f; f", "comes to no end"),
        ("last(repeat(.))", "comes to no end"),
        ("[range(1e12)]", "memory"),
        ("reduce range(60) as $i (\"x\"; . + .)", "memory"),
        (".username = env.PATH", "env"),
        (".username = $ENV.PATH", "ENV"),
    ] {
        let ran = world.run(&["dead", "replay", "--yes", "--edit", edit]);
        let is_said = ran.stderr.contains(said) || (said == "memory" && ran.stderr.contains("comes to no end"));
        assert!(ran.code == 1 && is_said && is_left(&world), "{edit}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stock_producer_asked_for_and_cannot_be_a_job_is_dead_with_its_reason_and_repaired_by_an_edit() {
    let world = World::start().await;
    let payload = r#"{"username": "alice"#;
    let mut pipe = redis::pipe();
    pipe.cmd("RPUSH").arg("stg:intake:extraction:active").arg("task-1").ignore();
    pipe.cmd("HSET").arg("stg:intake:extraction:data").arg("task-1").arg(payload).ignore();
    pipe.cmd("HSET").arg("stg:intake:extraction:meta:task-1").arg("kind").arg("poll_account").ignore();
    pipe.query_async::<()>(&mut world.redis.raw().await).await.expect("Redis answers");
    let intake = Intake::new(&world.queue("extraction"), &Client::new(world.queues()));
    assert_eq!(intake.run_once().await.expect("Redis answers"), 1);
    let handlers = Handlers::new().on::<PollAccount, _, _>(die);
    world.work_until(handlers, "it is dead", |stats| stats.dead == 1).await;

    let letter = &world.list(&["dead", "list", "--kind", "poll_account"])[0];
    let error = letter["last_error"].as_str().expect("an error");
    assert!(error.contains("the payload is not JSON") && !error.contains("release"), "{letter}");
    let id = letter["id"].as_str().expect("an id");
    let shown = world.run(&["dead", "show", id]).went_well().stdout;
    assert!(shown.contains("poll_account  in extraction") && shown.contains("--editor"), "{shown}");
    let left = world.run(&["dead", "replay", "--id", id]);
    assert!(left.stdout.contains("repair") && is_left(&world), "{left:?}");

    let edited = world.json(&["dead", "replay", "--id", id, "--edit", r#"(. + "\"}") | fromjson"#]);
    assert_eq!(edited["outcomes"], serde_json::json!({ "replayed": 1 }), "{edited}");
    let repaired = world.json(&["jobs", "show", id]);
    assert_eq!((&repaired["state"], &repaired["kind"]), (&"waiting".into(), &"poll_account".into()), "{repaired}");
    assert_eq!(repaired["envelope"]["payload"]["username"], "alice");
    assert!(repaired["envelope"]["refused"].is_null(), "{repaired}");
}

#[test]
fn the_process_that_runs_edits_is_no_command_for_people() {
    let help = run(perch().arg("--help"), b"").went_well().stdout;
    assert!(!help.contains("apply-edit"), "{help}");
    let ran = run(perch().arg("apply-edit").env_clear(), b"");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "without a question it ends");
}
