//! Texts that others wrote, on their way to the screen of an operator.

use std::{fs, path::Path};

use perch_jobs::PollAccount;
use perch_queue::{
    Fail,
    worker::{HandlerResult, Handlers},
};
use serde_json::json;

use crate::world::{Ran, World};

/// Clears the screen, sets the title, turns the text around, starts a line of its own.
const HOSTILE: &str = "wrong\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}odds\r\nok    all is well\u{2028}ok";

fn is_clean(command: &[&str], ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        let acted_on =
            |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{2028}';
        assert!(!text.contains(acted_on), "{command:?}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("ok    all")), "a line of its own: {command:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_reaches_a_terminal_as_text_in_every_command() {
    let world = World::start().await;
    world.run(&["brake", "on", "--reason", HOSTILE]).went_well();
    world.run(&["keys", "create", "a key", "--scope", "read"]).went_well();
    world.run(&["pause", "extraction"]).went_well();
    let payload = json!({ "account": "main", "text": HOSTILE }).to_string();
    let id = world.json(&["enqueue", "publish_post", &payload])["id"].as_str().expect("an id").to_owned();
    world.run(&["jobs", "cancel", &id, "--reason", HOSTILE]).went_well();
    world.run(&["resume", "extraction"]).went_well();
    world.run(&["enqueue", "poll_account", r#"{"username":"alice"}"#]).went_well();
    let handlers = Handlers::new()
        .on::<PollAccount, _, _>(async |_: PollAccount| -> HandlerResult { Err(Fail::Dead(HOSTILE.to_owned())) });
    world.work_until(handlers, "the job is dead", |stats| stats.dead == 1).await;
    let letter = world.list(&["dead", "list"])[0]["id"].as_str().expect("an id").to_owned();
    let commands: [&[&str]; 18] = [
        &["brake", "status"],
        &["brake", "on", "--reason", HOSTILE],
        &["queues"],
        &["limits"],
        &["doctor"],
        &["audit", "list"],
        &["keys", "list"],
        &["jobs", "list"],
        &["jobs", "show", &letter],
        &["jobs", "show", HOSTILE],
        &["dead", "list"],
        &["dead", "show", &letter],
        &["dead", "stats"],
        &["dead", "export"],
        &["dead", "replay", "--dry-run"],
        &["pause", HOSTILE],
        &["tail", "--since", "5m", "--no-follow"],
        &["config", "show"],
    ];
    for command in commands {
        is_clean(command, &world.run(command));
        is_clean(command, &world.run(&[command, &["--json"]].concat()));
    }
}

#[test]
fn nothing_but_the_output_writes_to_a_terminal() {
    // The live views draw over what they drew, from listings and lines that the same door has cleaned; edits talk to their own process.
    const OTHERS: [&str; 3] =
        ["workers/bot/src/cli/output.rs", "ops/cli/src/live/view.rs", "ops/cli/src/commands/dead/edit_process.rs"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let crates =
        fs::read_dir(root.join("workers")).expect("it is there").map(|entry| entry.expect("it can be read").path());
    let mut folders: Vec<_> = crates.map(|path| path.join("src")).filter(|path| path.is_dir()).collect();
    folders.extend([root.join("workers/src"), root.join("ops/cli/src")]);
    let mut writers = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).expect("below it").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("text");
            let is_written = |line: &&str| {
                let is_asked_only = line.contains("is_terminal()");
                let words = ["println!", "print!(", "eprint!(", "stdout()", "stderr()", "dbg!"];
                !is_asked_only && words.iter().any(|word| line.contains(word))
            };
            writers.extend(text.lines().filter(is_written).map(|line| format!("{name}: {}", line.trim())));
        }
    }
    writers.retain(|line| !OTHERS.iter().any(|file| line.starts_with(file)));
    assert!(writers.is_empty(), "{writers:#?}");
}
