//! Where the commands of samples are played.

use std::path::{Path, PathBuf};

use chrono::{TimeDelta, Utc};
use perch_sandbox::{Sandbox, SandboxOptions};
use serde_json::{Value, json};

use super::sample::{Sample, root};
use crate::{
    processes::{Running, address, is_ready},
    world::{World, run},
};

/// A world, and what the commands that are played in it are told.
pub struct Stage<'a> {
    world: &'a World,
    variables: Vec<(String, String)>,
    folder: PathBuf,
    columns: u16,
}

impl<'a> Stage<'a> {
    pub fn of(world: &'a World) -> Self {
        Self { world, variables: Vec::new(), folder: root(), columns: 80 }
    }

    #[must_use]
    pub fn with(mut self, variable: &str, value: impl Into<String>) -> Self {
        self.variables.push((variable.to_owned(), value.into()));
        self
    }

    /// Where the files lie that the commands name.
    #[must_use]
    pub fn within(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.folder);
        self
    }

    /// On a terminal of more columns than the usual 80.
    #[must_use]
    pub fn columns(mut self, columns: u16) -> Self {
        self.columns = columns;
        self
    }

    /// Plays the commands of a sample as they stand, in their order.
    pub fn play(&self, sample: &Sample) {
        self.play_naming(sample, |_, _| None);
    }

    /// The same, where `stands_for` may know what a word of a command stands for.
    pub fn play_naming(&self, sample: &Sample, stands_for: impl Fn(&[String], &str) -> Option<String>) {
        assert!(sample.first_line().starts_with("$ perch "), "{sample:?} begins with no command");
        let mut wrong = Vec::new();
        for shown in sample.commands() {
            let typed = shown.words.iter().map(|word| stands_for(&shown.words, word).unwrap_or_else(|| word.clone()));
            let typed: Vec<String> = typed.chain(["--width".to_owned(), self.columns.to_string()]).collect();
            let words: Vec<&str> = typed.iter().map(String::as_str).collect();
            let mut command = self.world.perch(&words);
            command.envs(self.variables.iter().map(|(name, value)| (name, value))).current_dir(&self.folder);
            let ran = run(&mut command, b"");
            wrong.extend(shown.difference(&ran.stdout, &ran.stderr));
        }
        assert!(wrong.is_empty(), "{}, line {}:\n{}", sample.document, sample.line, wrong.join("\n\n"));
    }

    /// A process of Perch beside the commands.
    pub fn start(&self, role: &[&str]) -> Running {
        let mut command = self.world.perch(role);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Running::start(command.env("PERCH__HTTP__BIND", address()))
    }
}

pub async fn sandbox() -> Sandbox {
    let options = SandboxOptions {
        bot_accounts: vec!["perch_bot".into()],
        actors: perch_actors::actors(),
        ..SandboxOptions::default()
    };
    Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.expect("a free port")
}

pub async fn models_fail(sandbox: &Sandbox) {
    let url = format!("{}/sandbox/faults", sandbox.base_url());
    post(url, None, "application/json", &json!({ "endpoint": "chat", "kind": "unavailable" }).to_string()).await;
}

/// Enqueues a post with a pick, to be read.
pub fn a_post_is_read(world: &World) {
    let post = json!({ "id": "2124317787697447000", "author_id": "5", "author": "sharp_sally",
        "text": "Lakers -3.5 (-110)", "created_at": Utc::now() - TimeDelta::minutes(1) });
    let job = json!({ "post": post, "account": "main" }).to_string();
    world.run(&["enqueue", "extract_post", &job]).went_well();
}

/// Posts a body; answers what comes back, after a check that it went well.
async fn post(url: String, key: Option<&str>, media: &str, body: &str) -> String {
    perch_base::tls::install();
    let mut request = reqwest::Client::new().post(url).header("Content-Type", media).body(body.to_owned());
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await.expect("it answers");
    assert!(answer.status().is_success(), "{answer:?}");
    answer.text().await.expect("a text")
}

/// The HTTP API of a world, and a key for all of it.
pub struct Api {
    url: String,
    key: String,
    _process: Running,
}

impl Api {
    pub async fn start(world: &World) -> Self {
        let made = world.json(&["keys", "create", "my-service", "--scope", "enqueue,read,operate"]);
        let key = made["token"].as_str().expect("a key").to_owned();
        let address = address();
        let process = Running::start(world.perch(&["api", "--bind", &address]).env("PERCH_OPERATOR", "tester"));
        is_ready(world, &address).await;
        Self { url: format!("http://{address}"), key, _process: process }
    }

    pub async fn post(&self, path: &str, media: &str, body: &str) -> String {
        post(format!("{}{path}", self.url), Some(&self.key), media, body).await
    }
}

/// The text of a field in each object of a list.
pub fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().expect("a list").iter().map(|one| one[field].as_str().expect("a text")).collect()
}
