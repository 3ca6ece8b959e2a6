//! Processes that die at a crash point, and those that come after them.

use std::{
    collections::BTreeMap,
    future::Future,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use perch_jobs::JobId;
use perch_queue::{EntryId, EventKind, JobEvent};
use perch_sandbox::{Sandbox, SandboxOptions};

use crate::world::{World, staging};

const SIGABRT: i32 = 6;

/// A process that is killed when the test ends, however it ends.
pub struct Process(Child);

impl Process {
    /// Waits until it has died at its crash point.
    pub async fn dies(mut self, point: &str) {
        let ended = std::sync::Mutex::new(None);
        let child = std::sync::Mutex::new(&mut self.0);
        comes_true(&format!("the process comes to {point}"), || async {
            let status = child.lock().expect("nobody panics with it").try_wait().expect("it is a child");
            *ended.lock().expect("nobody panics with it") = status;
            status.is_some()
        })
        .await;
        let status = ended.into_inner().expect("nobody panics with it").expect("it has ended");
        died_at(point, status);
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-s", "TERM", &self.0.id().to_string()]).status().expect("kill is there");
        assert!(sent.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn died_at(point: &str, status: ExitStatus) {
    assert_eq!(status.signal(), Some(SIGABRT), "{point}: it ended otherwise: {status}");
}

/// Waits until something holds, at most a minute.
pub async fn comes_true<Fut: Future<Output = bool>>(what: &str, holds: impl Fn() -> Fut) {
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while !holds().await {
            pace.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "{what}: it did not come to that in a minute");
}

/// A world with a sandbox that plays X and the model.
pub struct Stage {
    pub world: World,
    pub sandbox: Sandbox,
}

impl Stage {
    pub async fn start() -> Self {
        Self::of(World::start().await).await
    }

    pub async fn of(world: World) -> Self {
        let options = SandboxOptions {
            bot_accounts: vec!["perch_bot".into()],
            rate_limits: false,
            actors: perch_actors::actors(),
            ..SandboxOptions::default()
        };
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
        Self { world, sandbox }
    }

    /// A process of the binary that goes on until it is killed; it dies at `point` if there is one.
    pub fn run(&self, arguments: &[&str], point: Option<&str>) -> Process {
        self.run_with(arguments, point, &[])
    }

    pub fn run_with(&self, arguments: &[&str], point: Option<&str>, settings: &[(&str, &str)]) -> Process {
        let mut command = self.world.perch(arguments);
        command.envs(BTreeMap::from([
            ("PERCH__HTTP__BIND", "127.0.0.1:0".to_owned()),
            ("PERCH__X__BASE_URL", self.sandbox.base_url()),
            ("PERCH__MODELS__PROVIDERS__GROK__BASE_URL", format!("{}/v1", self.sandbox.base_url())),
            ("PERCH__X__TIMEOUT", "3s".to_owned()),
            ("PERCH__X__SETTLE", "200ms".to_owned()),
            ("PERCH__ANALYTICS__COLLECT_AFTER", r#"["1h", "6h"]"#.to_owned()),
            ("PERCH__REDIS__COMMAND_TIMEOUT", "900ms".to_owned()),
            ("PERCH__ENGINE__LEASE", "3s".to_owned()),
            ("PERCH__ENGINE__HEARTBEAT", "1s".to_owned()),
            ("X_API_BEARER_TOKEN", "sandbox-bearer".to_owned()),
            ("X_API_KEY", "sandbox-consumer-key".to_owned()),
            ("X_API_SECRET", "sandbox-consumer-secret".to_owned()),
            ("X_MAIN_ACCESS_TOKEN", "sandbox-perch_bot-token".to_owned()),
            ("X_MAIN_ACCESS_SECRET", "sandbox-perch_bot-secret".to_owned()),
            ("GROK_API_KEY", "sandbox-model-key".to_owned()),
        ]));
        // A crash point of cron is reached by what the story enables, not by what happens to be due.
        for entry in staging().cron.keys() {
            command.env(format!("PERCH__CRON__{}__ENABLED", entry.to_uppercase()), "false");
        }
        command.envs(settings.iter().copied());
        command.envs(point.map(|point| ("PERCH_CRASH_AT", point)));
        Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary is built"))
    }

    /// An enqueue whose process dies at `point`.
    pub fn enqueue_and_die(&self, point: &str, arguments: &[&str]) {
        let mut command = self.world.perch(&[&["enqueue"], arguments].concat());
        let output = command.env("PERCH_CRASH_AT", point).output().expect("the binary is built");
        died_at(point, output.status);
    }

    /// Jobs of a queue that are neither done nor dead.
    pub async fn left(&self, queue: &'static str) -> u64 {
        let stats = self.world.queue(queue).stats().await.expect("Redis answers");
        stats.waiting() + stats.delayed + stats.running
    }

    pub async fn events(&self, queue: &'static str) -> Vec<JobEvent> {
        let entries = self.world.queue(queue).events_after(EntryId::default(), 10_000).await.expect("Redis answers");
        entries.into_iter().flat_map(|(_, events)| events).collect()
    }

    /// What happened to a job, in order.
    pub async fn history(&self, queue: &'static str, job: JobId) -> Vec<EventKind> {
        self.events(queue).await.iter().filter(|event| event.job == job).map(|event| event.kind).collect()
    }

    /// The keys that a queue has in Redis, without what every queue keeps.
    pub async fn traces(&self, queue: &'static str) -> Vec<String> {
        const KEPT: [&str; 7] = ["state", "events", "events_synced", "workers", "worker_info", "wake", "intake"];
        let base = self.world.queue(queue).keys().base().to_owned();
        let mut raw = self.world.redis.raw().await;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut raw).await.expect("Redis answers");
        keys.iter()
            .filter_map(|key| key.strip_prefix(&base))
            .filter(|key| !KEPT.contains(key))
            .map(Into::into)
            .collect()
    }

    /// The one number that a query answers with.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.world.database.raw()).await.expect("Postgres answers")
    }
}
