//! The stage: a sandbox, a Redis, a Postgres, and processes of the binary that are pointed at them.

use std::{
    collections::BTreeMap,
    process::{Child, Stdio},
    time::Duration,
};

use perch_sandbox::{Plan, Sandbox, SandboxOptions, SandboxState};
use serde_json::Value;
use sqlx::PgPool;

use crate::world::World;

/// A day is long, and the machine may be slow.
const PATIENCE: Duration = Duration::from_secs(240);

/// The hours of the day by which a worker is killed, and which of them.
pub const KILLS: [(u32, usize); 3] = [(6, 0), (12, 1), (18, 0)];

pub struct Staged {
    world: World,
    sandbox: Sandbox,
    accounts: String,
}

/// A process that is killed when the test ends, however it ends.
pub struct Process(Child);

impl Process {
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Staged {
    /// With a database of this release, and a sandbox that keeps the rules of X's self-serve plan.
    pub async fn start(accounts: &[String]) -> Self {
        let options = SandboxOptions {
            bot_accounts: vec!["perch_bot".into()],
            plan: Plan::SelfServe,
            rate_limits: false,
            actors: perch_actors::actors(),
            ..SandboxOptions::default()
        };
        let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
        let accounts = serde_json::to_string(accounts).expect("names are JSON");
        Self { world: World::start().await, sandbox, accounts }
    }

    pub fn sandbox(&self) -> SandboxState {
        self.sandbox.state()
    }

    pub fn database(&self) -> PgPool {
        self.world.database.raw()
    }

    /// What a command answers.
    pub fn tell(&self, arguments: &[&str]) -> Value {
        self.world.json(arguments)
    }

    pub fn run(&self, arguments: &[&str]) -> Process {
        let mut command = self.world.perch(arguments);
        let url = self.sandbox.base_url();
        let free = "{ daily = 0.0, monthly = 0.0 }".to_owned();
        command.envs(BTreeMap::from([
            ("PERCH__HTTP__BIND", "127.0.0.1:0".to_owned()),
            ("PERCH__X__BASE_URL", url.clone()),
            ("PERCH__X__SETTLE", "200ms".to_owned()),
            ("PERCH__X__BUDGET", free.clone()),
            ("PERCH__MODELS__PROVIDERS__GROK__BASE_URL", format!("{url}/v1")),
            ("PERCH__MODELS__PROVIDERS__GROK__BUDGET", free.clone()),
            ("PERCH__MODELS__PROVIDERS__TOGETHER__BASE_URL", format!("{url}/v1")),
            ("PERCH__MODELS__PROVIDERS__TOGETHER__BUDGET", free),
            ("PERCH__PICKS__PROVIDERS", "grok".to_owned()),
            ("PERCH__MENTIONS__PROVIDERS", "together".to_owned()),
            ("PERCH__PICKS__WATCH", self.accounts.clone()),
            ("PERCH__PICKS__POSTS_PER_POLL", "20".to_owned()),
            ("PERCH__PICKS__PAGES", "5".to_owned()),
            ("PERCH__PICKS__PREFILTER_SAMPLE", "0.0".to_owned()),
            ("PERCH__PICKS__RESULTS__URL", format!("{url}/sandbox/results")),
            ("PERCH__MENTIONS__INTERVAL", "1s".to_owned()),
            // Who deserves an answer is to get one, however often they ask; the limits have tests of their own.
            ("PERCH__MENTIONS__REPLIES_PER_CONVERSATION", "1000".to_owned()),
            ("PERCH__MENTIONS__REPLIES_PER_USER_PER_DAY", "1000".to_owned()),
            ("PERCH__CRON__POLL_ACCOUNTS__SCHEDULE", "*/2 * * * * *".to_owned()),
            ("PERCH__CRON__POLL_MENTIONS__SCHEDULE", "* * * * * *".to_owned()),
            ("PERCH__CRON__FETCH_RESULTS__SCHEDULE", "*/3 * * * * *".to_owned()),
            ("PERCH__CRON__SYNC_HOT_STATE__SCHEDULE", "* * * * * *".to_owned()),
            ("PERCH__ANALYTICS__COLLECT_AFTER", r#"["1h"]"#.to_owned()),
            ("PERCH__QUEUES__PENDING_POSTS__CONCURRENCY", "4".to_owned()),
            ("PERCH__QUEUES__PENDING_POSTS__GROUP_CONCURRENCY", "4".to_owned()),
            ("PERCH__REDIS__COMMAND_TIMEOUT", "900ms".to_owned()),
            ("PERCH__ENGINE__LEASE", "3s".to_owned()),
            ("PERCH__ENGINE__HEARTBEAT", "1s".to_owned()),
            ("X_API_BEARER_TOKEN", "sandbox-bearer".to_owned()),
            ("X_API_KEY", "sandbox-consumer-key".to_owned()),
            ("X_API_SECRET", perch_sandbox::CONSUMER_SECRET.to_owned()),
            ("X_MAIN_ACCESS_TOKEN", "sandbox-perch_bot-token".to_owned()),
            ("X_MAIN_ACCESS_SECRET", "sandbox-perch_bot-secret".to_owned()),
            ("GROK_API_KEY", "sandbox-model-key".to_owned()),
            ("TOGETHER_API_KEY", "sandbox-model-key".to_owned()),
        ]));
        Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary is built"))
    }
}

/// Waits until nothing is wrong any more, and says what still is when that takes too long.
pub async fn patiently<Fut: Future<Output = Vec<String>>>(wrong: impl Fn() -> Fut) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut pace = tokio::time::interval(Duration::from_millis(500));
    loop {
        pace.tick().await;
        let wrong = wrong().await;
        if wrong.is_empty() {
            return;
        }
        let shown: Vec<&String> = wrong.iter().take(40).collect();
        assert!(tokio::time::Instant::now() < deadline, "after {PATIENCE:?}, of {} things: {shown:#?}", wrong.len());
    }
}
