//! A Redis and a Postgres of one's own, and the binary pointed at them.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use perch_base::{Environment, Settings};
use perch_jobs::{PollAccount, QueueName};
use perch_queue::{
    Client, Fail, Queue, QueueStats, Queues, Redis,
    worker::{Deps, HandlerResult, Handlers, Runtime},
};
use perch_store::Syncer;
use perch_testkit::{TestDatabase, TestRedis};
use perch_workers::bots;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub struct World {
    pub redis: TestRedis,
    pub database: TestDatabase,
}

/// What a run of the binary came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it was not killed"),
            stdout: String::from_utf8(output.stdout).expect("answers are UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("remarks are UTF-8"),
        }
    }

    /// The answer as JSON, after a check that it went well.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn went_well(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

pub fn config_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

/// The configuration as it is deployed in staging.
pub fn staging() -> Settings {
    let vars = [("APP_ENV", "staging")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::load_from(&config_dir(), perch_workers::bots().config_schema(), vars).expect("the configuration is valid")
}

/// The binary with nothing of this machine's environment but the way to programs.
pub fn perch() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perch"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("PERCH_CONFIG_DIR", config_dir()).env("PERCH_OPERATOR", "tester");
    command.stdin(Stdio::null());
    command
}

/// Runs a command with this on its standard input.
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary is built");
    let mut stdin = child.stdin.take().expect("it was asked for");
    let input = input.to_vec();
    // A command that reads nothing closes the pipe, which is no failure.
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let ran = Ran::of(child.wait_with_output().expect("it ends"));
    writer.join().expect("the writer ends");
    ran
}

impl World {
    pub async fn start() -> Self {
        Self { redis: TestRedis::claim().await, database: TestDatabase::of(|store| bots().store(store)).await }
    }

    pub fn perch(&self, arguments: &[&str]) -> Command {
        let mut command = perch();
        command.env("APP_ENV", "staging").env("REDIS_URL", self.redis.url()).env("DATABASE_URL", self.database.url());
        command.args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        run(&mut self.perch(arguments), b"")
    }

    pub fn run_with(&self, arguments: &[&str], input: &str) -> Ran {
        run(&mut self.perch(arguments), input.as_bytes())
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).json()
    }

    /// What is in a list, of which there is one page.
    pub fn list(&self, arguments: &[&str]) -> Value {
        let mut page = self.json(arguments);
        assert!(page["next"].is_null(), "{page}");
        page["items"].take()
    }

    /// The answer as JSON, however it went.
    pub fn run_json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    /// Brings into Postgres what has happened so far.
    pub async fn sync(&self) {
        let (queues, store) = (self.queues(), self.database.store(Environment::Staging));
        let syncer = Syncer::new(queues.redis().clone(), store, Environment::Staging, &queues.names(), 500);
        syncer.run_once().await.expect("Redis and Postgres answer");
    }

    pub fn queues(&self) -> Queues {
        let settings = staging();
        let redis = Redis::new(&SecretString::from(self.redis.url()), &settings.redis).expect("a Redis URL");
        Queues::new(redis, &settings, perch_jobs::types())
    }

    pub fn queue(&self, name: &'static str) -> Queue {
        self.queues().get(&QueueName::from_static(name)).expect("it is configured").clone()
    }

    /// Fills the dead letters of `extraction` with a job for each name: those of `a…` died of one cause, the others of
    /// another.
    pub async fn let_die(&self, usernames: &[&str]) {
        let lines: Vec<String> = usernames.iter().map(|name| json!({ "username": name }).to_string()).collect();
        self.run_with(&["enqueue", "poll_account", "--ndjson"], &lines.join("\n")).went_well();
        let all = usernames.len() as u64;
        self.work_until(Handlers::new().on::<PollAccount, _, _>(die), "all jobs are dead", |stats| stats.dead == all)
            .await;
    }

    /// Lets every job of `extraction` succeed that waits there.
    pub async fn let_succeed(&self) {
        let handlers = Handlers::new().on::<PollAccount, _, _>(succeed);
        self.work_until(handlers, "no job waits", |stats| stats.waiting() + stats.running == 0).await;
    }

    /// Runs a worker of `extraction` until something holds of it.
    pub async fn work_until(&self, handlers: Handlers, what: &str, holds: impl Fn(&QueueStats) -> bool) {
        let runtime = Runtime::new(Client::new(self.queues()), handlers, Deps::new()).expect("nothing is missing");
        let stop = CancellationToken::new();
        let worker = tokio::spawn(runtime.run_owned(stop.clone()));
        let queue = self.queue("extraction");
        until(what, || async { holds(&queue.stats().await.expect("Redis answers")) }).await;
        stop.cancel();
        worker.await.expect("the worker does not panic");
    }
}

async fn succeed(_: PollAccount) -> HandlerResult {
    Ok(())
}

pub async fn die(job: PollAccount) -> HandlerResult {
    let id = 1_849_212_345_678_901_234_u64 + job.username.len() as u64;
    Err(Fail::Dead(if job.username.starts_with('a') {
        format!("x answered 503 to the request for user {id}")
    } else {
        "no such user".to_owned()
    }))
}

trait RunOwned {
    fn run_owned(self, stop: CancellationToken) -> impl Future<Output = ()> + Send + 'static;
}

impl RunOwned for Runtime {
    async fn run_owned(self, stop: CancellationToken) {
        self.run(&[QueueName::from_static("extraction")], stop).await.expect("the worker ends well");
    }
}

/// Waits until something holds.
pub async fn until<Fut: Future<Output = bool>>(what: &str, holds: impl Fn() -> Fut) {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !holds().await {
            pace.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: it did not come to that in 60 seconds");
}
