//! Perch with a credential in every variable that takes one, everything it writes kept in files.

use std::{
    cell::Cell,
    fs::File,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use perch_base::{Environment, Settings};
use perch_jobs::QueueName;
use perch_queue::{Queue, Queues, Redis};
use perch_testkit::{OwnRedis, TestDatabase, free_port};
use perch_workers::bots;
use secrecy::SecretString;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};
use tempfile::TempDir;
use url::Url;

use crate::{
    marks::{Marks, Written},
    outside::{Collector, Hostile},
    program::{config_dir, perch, until},
};

/// A role of Postgres that only this test knows. It is dropped with the value.
struct Role {
    name: String,
    url: String,
}

impl Role {
    async fn create(database: &TestDatabase, password: &str) -> Self {
        let name = format!("perch_role_{}", database.url().rsplit('_').next().unwrap_or_default());
        let pool = database.raw();
        run(&pool, format!("create role {name} superuser login password '{password}'")).await;
        let server = std::env::var("PERCH_TEST_DATABASE_URL").expect("the tests have a Postgres");
        Self { name, url: server }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let drop_role = AssertSqlSafe(format!("drop role if exists {}", self.name));
        let url = self.url.clone();
        // The runtime of the test may be on its way out, so this brings its own.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async { sqlx::raw_sql(drop_role).execute(&PgPool::connect(&url).await.ok()?).await.ok() })
        });
        let _ = dropped.join();
    }
}

async fn run(pool: &PgPool, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.expect("Postgres does it");
}

pub struct World {
    pub marks: Marks,
    pub redis: OwnRedis,
    pub redis_url: String,
    pub database: TestDatabase,
    pub database_url: String,
    pub outside: Hostile,
    pub collector: Collector,
    _role: Role,
    folder: TempDir,
    runs: Cell<usize>,
}

impl World {
    pub async fn start() -> Self {
        let mut marks = Marks::default();
        let redis =
            OwnRedis::with(&["--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--rdbcompression", "no"]).await;
        let redis_url = format!("redis://perch:{}@127.0.0.1:{}", marks.plant("password of Redis"), redis.port());
        add_user(&redis, marks.get("password of Redis")).await;
        let database = TestDatabase::of(|store| bots().store(store)).await;
        let role = Role::create(&database, &marks.plant("password of Postgres")).await;
        let mut url: Url = database.url().parse().expect("a URL");
        url.set_username(&role.name).expect("it takes a user");
        url.set_password(Some(marks.get("password of Postgres"))).expect("it takes a password");
        for name in SINGLE_VARIABLES {
            marks.plant(name);
        }
        marks.plant("header for the collector");
        Self {
            redis,
            redis_url,
            database_url: url.to_string(),
            database,
            outside: Hostile::start().await,
            collector: Collector::start().await,
            _role: role,
            folder: TempDir::new().expect("a temporary folder"),
            runs: Cell::new(0),
            marks,
        }
    }

    /// The binary with everything set, logging all there is.
    pub fn perch(&self, arguments: &[&str]) -> Command {
        let mut command = perch();
        command
            .args(arguments)
            .env("APP_ENV", "production")
            .env("X_MAIN_USERNAME", "perch_bot")
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "1")
            .env("REDIS_URL", &self.redis_url)
            .env("DATABASE_URL", &self.database_url)
            .env("PERCH__X__BASE_URL", &self.outside.url)
            .env("PERCH__MODELS__PROVIDERS__GROK__BASE_URL", format!("{}/v1", self.outside.url))
            .env("PERCH__TELEMETRY__OTLP_ENDPOINT", &self.collector.url)
            // One after the other, so that one job gets several answers in a row.
            .env("PERCH__QUEUES__EXTRACTION__CONCURRENCY", "1")
            .env("PERCH__POSTGRES__ACQUIRE_TIMEOUT", "3s")
            .env("PERCH__ENGINE__SHUTDOWN_GRACE", "2s")
            .env(
                "OTEL_EXPORTER_OTLP_HEADERS",
                format!("authorization=Bearer%20{}", self.marks.get("header for the collector")),
            );
        for name in SINGLE_VARIABLES {
            command.env(name, self.marks.get(name));
        }
        command
    }

    /// Runs a command to its end and keeps what it wrote.
    pub fn run(&self, arguments: &[&str]) -> i32 {
        self.run_command(self.perch(arguments), &arguments.join(" "))
    }

    pub fn run_command(&self, mut command: Command, name: &str) -> i32 {
        self.keep(&mut command, name).status().expect("the binary is built").code().expect("it was not killed")
    }

    /// Starts a long-running process and keeps what it writes.
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        self.spawn_command(self.perch(arguments), &arguments.join(" "))
    }

    pub fn spawn_command(&self, mut command: Command, name: &str) -> Running {
        Running(self.keep(&mut command, name).spawn().expect("the binary is built"))
    }

    fn keep<'c>(&self, command: &'c mut Command, name: &str) -> &'c mut Command {
        let run = self.runs.replace(self.runs.get() + 1);
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
        let file =
            |kind: &str| File::create(self.folder.path().join(format!("{run:03}_{name}.{kind}"))).expect("a file");
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"))
    }

    /// What the latest run of a command with that name wrote to its standard output.
    pub fn output_of(&self, name: &str) -> String {
        std::fs::read_to_string(self.file_of(name, "out")).expect("it is text")
    }

    /// What it wrote to its standard error.
    pub fn errors_of(&self, name: &str) -> String {
        std::fs::read_to_string(self.file_of(name, "err")).expect("it is text")
    }

    /// Takes a credential that was shown on purpose out of what a command wrote to its standard output.
    pub fn blot_out(&self, name: &str, credential: &str) {
        let path = self.file_of(name, "out");
        std::fs::write(&path, self.output_of(name).replacen(credential, "", 1)).expect("it can be written");
    }

    fn file_of(&self, name: &str, kind: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder is there");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        let end = format!("_{name}.{kind}");
        paths.into_iter().rfind(|path| path.to_string_lossy().ends_with(&end)).expect("it ran")
    }

    /// All that was written by now.
    pub async fn written(&self) -> Written {
        let mut written = Written::default();
        written.add_folder("output", self.folder.path());
        written.add("traces", self.collector.bodies());
        crate::dump::redis(&self.redis.url(), &mut written).await;
        crate::dump::postgres(&self.database, &mut written).await;
        written
    }

    pub fn settings(&self) -> Settings {
        let text = [
            ("APP_ENV", "production"),
            ("X_MAIN_USERNAME", "perch_bot"),
            ("REDIS_URL", &self.redis_url),
            ("DATABASE_URL", &self.database_url),
        ];
        let single = SINGLE_VARIABLES.map(|name| (name, self.marks.get(name)));
        let vars = text.into_iter().chain(single).map(|(name, value)| (name.to_owned(), value.to_owned()));
        Settings::load_from(&config_dir(), perch_workers::bots().config_schema(), vars)
            .expect("the configuration is valid")
    }

    pub fn queues(&self) -> Queues {
        let settings = self.settings();
        let redis = Redis::new(&SecretString::from(self.redis_url.as_str()), &settings.redis).expect("a Redis URL");
        Queues::new(redis, &settings, perch_jobs::types())
    }

    pub fn queue(&self, name: &'static str) -> Queue {
        self.queues().get(&QueueName::from_static(name)).expect("it is configured").clone()
    }

    /// The ids of all dead letters.
    pub fn dead(&self) -> Vec<String> {
        self.listed("dead", "id")
    }

    /// The keys of the latest effects.
    pub fn effects(&self) -> Vec<String> {
        self.listed("effects", "key")
    }

    fn listed(&self, things: &str, name: &str) -> Vec<String> {
        assert_eq!(self.run(&[things, "list", "--limit", "1000", "--json"]), 0);
        let list = self.output_of(&format!("{things}_list___limit_1000___json"));
        let list: Value = serde_json::from_str(&list).expect("JSON");
        list["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one[name].as_str().expect("text").to_owned())
            .collect()
    }
}

pub const SINGLE_VARIABLES: [&str; 8] = [
    "X_API_BEARER_TOKEN",
    "X_API_KEY",
    "X_API_SECRET",
    "X_MAIN_ACCESS_TOKEN",
    "X_MAIN_ACCESS_SECRET",
    "GROK_API_KEY",
    "TOGETHER_API_KEY",
    "OPENAI_API_KEY",
];

async fn add_user(redis: &OwnRedis, password: &str) {
    let mut conn = perch_testkit::TestRedis::at(&redis.url()).raw().await;
    let mut add = redis::cmd("ACL");
    add.arg(&["SETUSER", "perch", "on", &format!(">{password}"), "~*", "&*", "+@all"]);
    add.exec_async(&mut conn).await.expect("ACL SETUSER");
}

/// A process that is killed when the test ends, however it ends.
pub struct Running(Child);

impl Running {
    /// Asks it to end, and waits until it has.
    pub async fn end(mut self) {
        let sent = Command::new("kill").args(["-s", "TERM", &self.0.id().to_string()]).status().expect("kill is there");
        assert!(sent.success(), "the process is there");
        let child = std::cell::RefCell::new(&mut self.0);
        until("the process ends", || async { child.borrow_mut().try_wait().expect("it is a child").is_some() }).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A free address on this machine.
pub fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// Keeps Debug output of what a process builds from its settings.
pub fn printed(world: &World) -> Vec<(&'static str, String)> {
    let settings = world.settings();
    let queues = world.queues();
    let url = SecretString::from(world.database_url.as_str());
    let store = perch_store::Store::connect_lazy(&url, Environment::Production, &settings.postgres).expect("a URL");
    let client = perch_queue::Client::new(queues.clone());
    vec![
        ("Settings", format!("{settings:?} {settings:#?}")),
        ("Redis", format!("{:?}", queues.redis())),
        ("Queue", format!("{:?}", world.queue("extraction"))),
        ("Store", format!("{store:?} {:?}", store.api_keys())),
        ("Client", format!("{client:?}")),
    ]
}

/// How long a process may take to do what it should.
pub const PATIENCE: Duration = Duration::from_secs(60);
