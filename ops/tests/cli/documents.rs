//! What the documents print is what the binary prints: every sample of a terminal is played here, command by command.
//!
//! Ids, numbers and times differ from run to run and are left out of the comparison; `...` stands for lines that are left out of a
//! document.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use chrono::{TimeDelta, Utc};
use perch_base::Environment;
use perch_jobs::{AccountId, JobId, Mention};
use perch_sandbox::{Sandbox, SandboxOptions};
use perch_store::SeenMention;
use serde_json::{Value, json};

use crate::world::{Ran, World, run, until};

/// Samples that need data of weeks; their tables are held by the tests of the commands.
const NOT_PLAYED: [&str; 4] = ["perch spend", "perch picks settle", "perch picks record", "perch limits"];

/// A command of a sample, and what the document says that it prints.
#[derive(Debug)]
struct Shown {
    words: Vec<String>,
    lines: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn samples(document: &str) -> Vec<Shown> {
    let text = fs::read_to_string(root().join(document)).expect("the document is there");
    let (mut samples, mut is_sample, mut has_begun) = (Vec::<Shown>::new(), false, false);
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            (is_sample, has_begun) = (["text", "console"].contains(&language), false);
        } else if let Some(command) = line.strip_prefix("$ perch ").filter(|_| is_sample) {
            has_begun = true;
            samples.push(Shown { words: shell_words::split(command).expect("a command"), lines: Vec::new() });
        } else if let Some(shown) = samples.last_mut().filter(|_| has_begun) {
            shown.lines.push(line.to_owned());
        }
    }
    samples
}

/// A line without what differs from run to run.
fn shape(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in line.replace('(', "( ").replace(')', " )").split_whitespace() {
        // Which of them is asked first differs too.
        let word = if ["grok:", "openai:", "together:"].contains(&word) { "PROVIDER:" } else { word };
        let is_id = word.len() == 26 && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        let mut digits = String::new();
        for c in word.chars() {
            match c {
                c if c.is_ascii_digit() && digits.ends_with('0') => {}
                c if c.is_ascii_digit() => digits.push('0'),
                c => digits.push(c),
            }
        }
        let bare = digits.trim_end_matches([';', ',', '.']);
        let is_time = ["now", "0ms", "0s", "0m", "0h", "0d"].contains(&bare);
        match (word, words.last().map(String::as_str)) {
            _ if is_id => words.push("ID".into()),
            ("ago", Some("TIME")) => {}
            _ if is_time => {
                if words.last().is_some_and(|last| last == "in") {
                    words.pop();
                }
                words.push("TIME".into());
            }
            _ => words.push(digits),
        }
    }
    words
}

fn is_alike(shown: &str, printed: &str) -> bool {
    let (shown_shape, printed) = (shape(shown), shape(printed));
    match shown_shape.iter().position(|word| word.contains('…') || word == "...") {
        // Where a text is cut depends on what stands before it.
        Some(cut) => printed.starts_with(&shown_shape[..cut]),
        None => shown_shape == printed,
    }
}

/// What is wrong with a sample, if anything.
fn difference(shown: &Shown, ran: &Ran) -> Option<String> {
    // What is said beside an answer may come before it or after it.
    let orders = [[&ran.stdout, &ran.stderr], [&ran.stderr, &ran.stdout]];
    let wrong = orders.map(|[first, then]| difference_in(shown, &format!("{first}{then}")));
    wrong.into_iter().reduce(|one, other| if one.is_none() { one } else { other.and(one) }).flatten()
}

fn difference_in(shown: &Shown, printed: &str) -> Option<String> {
    let mut lines = printed.lines().filter(|line| !line.trim().is_empty()).peekable();
    let mut skips = false;
    for line in shown.lines.iter().filter(|line| !line.trim().is_empty()) {
        if line == "..." {
            skips = true;
            continue;
        }
        let found = if std::mem::take(&mut skips) {
            lines.any(|printed| is_alike(line, printed))
        } else {
            lines.next().is_some_and(|printed| is_alike(line, printed))
        };
        if !found {
            return Some(format!("$ perch {}\nnot printed: {line}\n{printed}", shown.words.join(" ")));
        }
    }
    let more = lines.next().filter(|_| !skips);
    more.map(|line| format!("$ perch {}\nprinted too: {line}\n{printed}", shown.words.join(" ")))
}

/// Plays the samples of a document in their order. `id` names a job for a command that is shown with one.
fn play(
    world: &World,
    document: &str,
    chosen: impl Fn(&[String]) -> bool,
    more: &[(&str, &str)],
    id: impl Fn(&[String]) -> String,
) {
    let mut wrong = Vec::new();
    for mut shown in samples(document) {
        if !chosen(&shown.words) {
            continue;
        }
        let is_id = |word: &String| word.len() == 26 && word.starts_with("01");
        if let Some(at) = shown.words.iter().position(is_id) {
            shown.words[at] = id(&shown.words);
        }
        // Five minutes would be a long test.
        if let Some(at) = shown.words.iter().position(|word| word == "--within") {
            "1s".clone_into(&mut shown.words[at + 1]);
        }
        let words: Vec<&str> = shown.words.iter().map(String::as_str).chain(["--width", "80"]).collect();
        let mut command = world.perch(&words);
        let ran = run(command.envs(more.iter().copied()).current_dir(root()), b"");
        wrong.extend(difference(&shown, &ran));
    }
    assert!(wrong.is_empty(), "{document}:\n{}", wrong.join("\n\n"));
}

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn post(url: String, body: Value) {
    perch_base::tls::install();
    let answer = reqwest::Client::new().post(url).json(&body).send().await.expect("the sandbox answers");
    assert!(answer.status().is_success(), "{answer:?}");
}

/// Mentions whose replies are written by a model, the last attempt of each being the next one.
async fn mentions(world: &World, count: u64) {
    let store = world.database.store(Environment::Staging);
    let account = AccountId::from_static("main");
    let mut lines = Vec::new();
    for n in 0..count {
        let (id, now) = ((2_124_317_787_697_446_000 + n).to_string(), Utc::now());
        let mention = Mention {
            id: id.parse().expect("an id"),
            text: "@perch_bot who do you like tonight?".into(),
            author_id: format!("{}", 70 + n),
            conversation_id: id.parse().expect("an id"),
            created_at: now,
            processed_at: now,
            referenced_tweet_id: None,
        };
        let job = JobId::at(now);
        let seen = SeenMention { mention: mention.clone(), author: Some(format!("fan_{n}")), left_out: None };
        store.mentions().begin(&account, &seen, job).await.expect("Postgres answers");
        let payload = json!({ "account": "main", "mention": mention });
        lines.push(json!({ "kind": "reply_to_mention", "payload": payload, "id": job, "max_attempts": 1 }).to_string());
    }
    world.run_with(&["enqueue", "--ndjson"], &lines.join("\n")).went_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outage_of_the_readme_comes_out_as_printed() {
    let world = World::start().await;
    let options = SandboxOptions { bot_accounts: vec!["perch_bot".into()], ..SandboxOptions::default() };
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
    let url = sandbox.base_url();
    let variables = [("PERCH__SANDBOX__URL", url.as_str()), ("PERCH__BACKUP__POSTGRES", "provider")];
    post(format!("{url}/sandbox/faults"), json!({ "endpoint": "chat", "kind": "unavailable" })).await;
    let mut worker = world.perch(&["worker"]);
    worker.envs(variables).env("PERCH__HTTP__BIND", "127.0.0.1:0").stdout(Stdio::null()).stderr(Stdio::null());
    let worker = Worker(worker.spawn().expect("the binary is built"));
    world.run(&["enqueue", "publish_post", r#"{"account":"main","text":"Hello"}"#]).went_well();
    let post = json!({ "id": "2124317787697447000", "author_id": "5", "author": "sharp_sally", "text": "Lakers -3.5 (-110)",
        "created_at": Utc::now() - TimeDelta::minutes(1) });
    world.run(&["enqueue", "extract_post", &json!({ "post": post, "account": "main" }).to_string()]).went_well();
    mentions(&world, 3).await;
    let (generation, extraction) = (world.queue("generation"), world.queue("extraction"));
    until("the replies are dead and the post waits", || async {
        let stats = async |queue: &perch_queue::Queue| queue.stats().await.expect("Redis answers");
        stats(&generation).await.dead == 3 && stats(&extraction).await.delayed == 1
    })
    .await;
    world.run(&["enqueue", "sync_hot_state"]).went_well();
    let done = ["jobs", "list", "--state", "done", "--kind", "publish_post"];
    until("Postgres knows of the post", || async { world.json(&done) != json!([]) }).await;
    // It is seen for a minute more, and the post stays where it is.
    until("the post waits", || async { extraction.stats().await.expect("Redis answers").delayed == 1 }).await;
    drop(worker);

    play(
        &world,
        "README.md",
        |_| true,
        &variables,
        |words| {
            let list: &[&str] = if words[0] == "dead" { &["dead", "list"] } else { &done };
            world.json(list)[0]["id"].as_str().expect("an id").to_owned()
        },
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_is_shown_as_the_page_on_publishing_prints_it() {
    let world = World::start().await;
    let operator = [("PERCH_OPERATOR", "ann")];
    play(&world, "docs/publishing.md", |words| words[0] != "limits", &operator, |_| unreachable!("no job is shown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_added_as_the_page_on_picks_prints_it() {
    let world = World::start().await;
    play(&world, "docs/picks.md", |words| words[0] == "accounts", &[], |_| unreachable!("no job is shown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_checked_as_the_page_on_the_ledger_prints_it() {
    let redis = perch_testkit::OwnRedis::start().await;
    let world = World {
        redis: perch_testkit::TestRedis::at(&redis.url()),
        database: perch_testkit::TestDatabase::create().await,
    };
    for n in 0..12 {
        let payload = json!({ "account": "main", "text": format!("Hello {n}") }).to_string();
        world.run(&["enqueue", "publish_post", &payload]).went_well();
    }
    world.sync().await;
    play(&world, "docs/ledger.md", |_| true, &[], |_| unreachable!("no job is shown"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_in_the_sandbox_is_staged_as_the_page_on_bots_prints_it() {
    let world = World::start().await;
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), SandboxOptions::default()).await.expect("a free port");
    let address = sandbox.base_url().replace("http://", "");
    let variables = [("PERCH__SANDBOX__BIND", address.as_str())];
    play(&world, "docs/bots.md", |words| words[0] == "sandbox", &variables, |_| unreachable!("no job is shown"));
}

#[test]
fn a_wrong_configuration_is_refused_as_the_readme_prints_it() {
    let text = fs::read_to_string(root().join("README.md")).expect("it is there");
    let from = text.find("perch: the configuration has").expect("the sample");
    let sample = text[from..].split("```").next().expect("its end");
    let mut command = crate::world::perch();
    command.env("APP_ENV", "staging").arg("queues");
    command.env("PERCH__QUEUES__EXTRACTOIN__CONCURRENCY", "1").env("PERCH__HTTP__MAX_BATCH", "0");
    let ran = run(&mut command, b"");
    assert_eq!((ran.code, ran.stderr.trim()), (1, sample.trim()));
}

#[test]
fn every_sample_of_a_document_is_played() {
    let played = ["README.md", "docs/publishing.md", "docs/picks.md", "docs/ledger.md", "docs/bots.md"];
    let pages = fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
    for page in pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let name = format!("docs/{}", page.file_name().expect("a name").to_string_lossy());
        assert!(played.contains(&name.as_str()) || samples(&name).is_empty(), "{name} has samples that no test plays");
    }
    let all: Vec<String> =
        played.iter().flat_map(|page| samples(page)).map(|shown| format!("perch {}", shown.words.join(" "))).collect();
    for left_out in NOT_PLAYED {
        assert!(all.iter().any(|command| command.starts_with(left_out)), "{left_out} is in no document any more");
    }
    let others = all.iter().filter(|command| !NOT_PLAYED.iter().any(|left_out| command.starts_with(left_out)));
    assert!(others.count() > 15);
}
