use chrono::Utc;
use perch_base::Environment;
use perch_bot_mentions::{MentionStore as _, SeenMention};
use perch_jobs::{AccountId, JobId, Mention};
use serde_json::json;

use super::{
    sample::{Sample, is_id, root, text_of},
    screen::Screen,
    stage::{Api, Stage, a_post_is_read, models_fail, sandbox},
};
use crate::world::{World, run, until};

played! { "README.md":
    the_screen_of_a_run_is_the_one_that_the_readme_shows("Building Perch");
    a_batch_is_answered_as_the_readme_prints_it("{\"place\":1");
    the_outage_of_the_readme_comes_out_as_printed("$ perch queues", "$ perch pause pending_posts");
    a_wrong_configuration_is_refused_as_the_readme_prints_it("perch: the configuration has");
}

async fn the_screen_of_a_run_is_the_one_that_the_readme_shows([shown]: [Sample; 1]) {
    let screen = Screen::of_run();
    let wrong = screen.becomes(&shown).await;
    screen.ends().await;
    assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
}

/// An answer without blanks and ids.
fn bare(answer: &str) -> String {
    let words = answer.split('"').map(|word| if is_id(word) { "ID" } else { word });
    words.collect::<Vec<_>>().join("\"").split_whitespace().collect()
}

async fn a_batch_is_answered_as_the_readme_prints_it([answer]: [Sample; 1]) {
    let world = World::start().await;
    let api = Api::start(&world).await;
    let readme = text_of("README.md");
    let (_, command) = readme.split_once("printf '%s\\n'").expect("the batch");
    let (jobs, rest) = command.split_once('|').expect("it goes to curl");
    assert!(rest.trim_start().starts_with("curl -sS http://127.0.0.1:8080/api/v1/jobs/batch"), "{rest}");
    let jobs = shell_words::split(&jobs.replace("\\\n", " ")).expect("words").join("\n");
    let printed = bare(&api.post("/api/v1/jobs/batch", "application/x-ndjson", &jobs).await);

    let shown = bare(&answer.text());
    let parts: Vec<&str> = shown.split('…').collect();
    let mut rest = printed.as_str();
    for part in &parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} is not in\n{rest}\nof\n{printed}"));
        rest = &rest[at + part.len()..];
    }
    assert!(printed.starts_with(parts[0]) && rest.is_empty(), "{shown}\n{printed}");
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
        lines.push(
            json!({ "kind": "reply_to_mention", "payload": payload, "id": job, "retry": { "max_attempts": 1 } })
                .to_string(),
        );
    }
    world.run_with(&["enqueue", "--ndjson"], &lines.join("\n")).went_well();
}

async fn the_outage_of_the_readme_comes_out_as_printed([outage, hold]: [Sample; 2]) {
    let world = World::start().await;
    let sandbox = sandbox().await;
    let stage =
        Stage::of(&world).with("PERCH__SANDBOX__URL", sandbox.base_url()).with("PERCH__BACKUP__POSTGRES", "provider");
    models_fail(&sandbox).await;
    let worker = stage.start(&["worker"]);
    world.run(&["enqueue", "publish_post", r#"{"account":"main","text":"Hello"}"#]).went_well();
    a_post_is_read(&world);
    mentions(&world, 3).await;
    let (generation, extraction) = (world.queue("generation"), world.queue("extraction"));
    until("the replies are dead and the post waits", || async {
        let stats = async |queue: &perch_queue::Queue| queue.stats().await.expect("Redis answers");
        stats(&generation).await.dead == 3 && stats(&extraction).await.delayed == 1
    })
    .await;
    world.run(&["enqueue", "sync_hot_state"]).went_well();
    let done = ["jobs", "list", "--state", "done", "--kind", "publish_post"];
    until("Postgres knows of the post", || async { world.list(&done) != json!([]) }).await;
    // It is seen for a minute more, and the post stays where it is.
    until("the post waits", || async { extraction.stats().await.expect("Redis answers").delayed == 1 }).await;
    drop(worker);

    let job = |words: &[String], word: &str| {
        let list: &[&str] = if words[0] == "dead" { &["dead", "list"] } else { &done };
        is_id(word).then(|| world.list(list)[0]["id"].as_str().expect("an id").to_owned())
    };
    stage.play_naming(&outage, job);
    stage.play_naming(&hold, job);
}

async fn a_wrong_configuration_is_refused_as_the_readme_prints_it([sample]: [Sample; 1]) {
    let mut command = crate::world::perch();
    command.env("APP_ENV", "staging").arg("queues");
    command.env("PERCH__QUEUES__EXTRACTOIN__CONCURRENCY", "1").env("PERCH__HTTP__MAX_BATCH", "0");
    let ran = run(&mut command, b"");
    assert_eq!((ran.code, ran.stderr.trim()), (1, sample.text().trim()));
}

#[test]
fn every_path_that_is_named_for_a_new_queue_exists() {
    let section = text_of("docs/queues.md");
    let is_path = |word: &&str| {
        let of_files = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        let ends = [".rs", ".toml", ".yml", "/"];
        word.chars().all(of_files) && ends.iter().any(|end| word.ends_with(end))
    };
    // Code in a block of its own names no files.
    let prose = section.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2));
    let paths: Vec<&str> = prose.filter(is_path).collect();
    assert!(paths.len() >= 10, "seven files of source, and where it is deployed: {paths:?}");
    for path in paths {
        // The queue of the example is to be written; its files lie where those of the queues are that there are.
        let existing = path.replace("src/lookups.rs", "src/picks_bot.rs").replace("lookups", "generation");
        assert!(root().join(&existing).exists(), "{path}: there is no {existing}");
    }
}
