//! A separate world for each test: Redis, Postgres, a sandbox, and workers that run every queue.

use std::{collections::BTreeMap, future::Future, path::Path, sync::Arc, time::Duration};

use chrono::Utc;
use perch_base::{Environment, Settings};
use perch_bot_mentions::MentionsSettings;
use perch_clients::{EffectPermit, LocalLimits, XClient};
use perch_jobs::{AccountId, ExtractPost, Job, JobId, Post, PostId, PublishPost, RetweetPost};
use perch_queue::{Client, EnqueueOptions, Queues, worker::WorkerName};
use perch_sandbox::{Sandbox, SandboxOptions, SandboxState};
use perch_store::{
    ActionRecord, AttemptOutcome, EffectEvent, EffectEventKind, JobRecord, JobState, Store, StoredEffect, Syncer,
};
use perch_testkit::{TestDatabase, TestRedis};
use perch_workers::bots;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const BOT: &str = "perch_bot";
/// The handle of the account of [`SECOND`].
pub const SECOND_BOT: &str = "perch_second";
/// Variables that add the account `second`.
pub const SECOND: [(&str, &str); 3] = [
    ("PERCH__X__ACCOUNTS__SECOND__USERNAME", SECOND_BOT),
    ("X_SECOND_ACCESS_TOKEN", "sandbox-perch_second-token"),
    ("X_SECOND_ACCESS_SECRET", "sandbox-perch_second-secret"),
];
pub const SALLY: &str = "sharp_sally";
pub const PETE: &str = "parlay_pete";
pub const LAKERS: &str = "Lakers -3.5 (-110) 2u";
pub const CELTICS: &str = "NBA: Celtics ML -145, 1.5 units. Tail or fade.";
pub const CHATTER: &str = "Good morning everyone, who are we on today?";

/// The timeout of waits.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub settings: Settings,
    /// What the settings were made of.
    pub vars: BTreeMap<String, String>,
    pub client: Client,
    pub store: Store,
    pub x: SandboxState,
    pub stop: CancellationToken,
    syncer: Syncer,
    workers: Vec<JoinHandle<()>>,
    _sandbox: Sandbox,
    redis: TestRedis,
    // Dropped last, after everything that is connected to it.
    database: TestDatabase,
}

impl World {
    /// A world whose workers talk to the sandbox.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A world with further variables, which come after the usual ones.
    pub async fn with(vars: &[(&str, &str)]) -> Self {
        let world = Self::without_workers(vars).await;
        world.work()
    }

    /// The same before its workers start.
    pub async fn without_workers(vars: &[(&str, &str)]) -> Self {
        Self::without_workers_at(TestRedis::claim().await, vars).await
    }

    /// The same on a Redis of the caller's.
    pub async fn without_workers_at(redis: TestRedis, vars: &[(&str, &str)]) -> Self {
        let (sandbox, database) = (sandbox().await, TestDatabase::of(|store| bots().store(store)).await);
        let vars = variables(&sandbox.base_url(), &redis, &database, vars);
        let settings = settings(&vars);
        let door = redis.door();
        let store = database.store(Environment::Staging);
        let queues = Queues::new(door.clone(), &settings, perch_jobs::types());
        let client = Client::new(queues.with_ledger(Arc::new(store.clone())));
        let names = client.queues().names();
        Self {
            syncer: Syncer::new(door, store.clone(), settings.env, &names, 500),
            x: sandbox.state(),
            settings,
            vars,
            client,
            store,
            stop: CancellationToken::new(),
            workers: Vec::new(),
            _sandbox: sandbox,
            redis,
            database,
        }
    }

    /// The same with further variables that depend on addresses, which are known by now.
    pub fn configured(mut self, vars: &[(&str, &str)]) -> Self {
        self.vars.extend(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.settings = settings(&self.vars);
        self
    }

    /// The settings of the bot that answers mentions.
    pub fn own(&self) -> Arc<MentionsSettings> {
        self.settings.sections.get().expect("the bot is there")
    }

    /// Starts workers of every queue; called again, more of them that share nothing with the others.
    pub fn work(mut self) -> Self {
        let runtime = bots().worker(&self.settings, &self.store, &self.client).expect("valid settings");
        let stop = self.stop.clone();
        let work = async move { runtime.run(&[], stop).await.expect("workers end without error") };
        self.workers.push(tokio::spawn(work));
        self
    }

    pub async fn enqueue<J: Job>(&self, job: &J) -> JobId {
        self.client.enqueue(job).await.expect("Redis accepts it").id
    }

    pub async fn enqueue_with<J: Job>(&self, job: &J, options: EnqueueOptions) -> JobId {
        self.client.enqueue_with(job, options).await.expect("Redis accepts it").id
    }

    /// Waits until Postgres has the end of the job.
    pub async fn ended(&self, id: JobId) -> JobRecord {
        eventually(&format!("job {id} ends"), || async {
            self.sync().await;
            let job = self.store.history().job(id).await.expect("Postgres answers")?;
            job.state.is_final().then_some(job)
        })
        .await
    }

    /// Enqueues a job, waits for its end, and asserts that it succeeded.
    pub async fn done<J: Job>(&self, job: &J) -> JobRecord {
        let ended = self.ended(self.enqueue(job).await).await;
        assert_eq!(ended.state, JobState::Done, "{:?}", ended.last_error);
        ended
    }

    /// Syncs everything into Postgres.
    pub async fn sync(&self) {
        self.syncer.run_once().await.expect("Redis and Postgres answer");
    }

    pub async fn effect(&self, key: &str) -> StoredEffect {
        self.store.effects().get(key).await.expect("Postgres answers").expect("the ledger has it")
    }

    /// The history of an effect, oldest first.
    pub async fn effect_history(&self, key: &str) -> Vec<EffectEvent> {
        self.store.effects().history(key, 100).await.expect("Postgres answers")
    }

    pub async fn effect_events(&self, key: &str) -> Vec<EffectEventKind> {
        self.effect_history(key).await.into_iter().map(|event| event.event).collect()
    }

    /// Sets the time of the last permit of an effect to two minutes ago.
    pub async fn age_effect(&self, key: &str) {
        sqlx::query("update effects set intended_at = intended_at - interval '2 minutes' where key = $1")
            .bind(key)
            .execute(&self.database.raw())
            .await
            .expect("Postgres answers");
    }

    /// How the attempts of a job ended.
    pub async fn outcomes(&self, id: JobId) -> Vec<AttemptOutcome> {
        let attempts = self.store.history().attempts(id).await.expect("Postgres answers");
        attempts.iter().map(|attempt| attempt.outcome).collect()
    }

    /// Waits for the record of an action.
    pub async fn action(&self, key: &str) -> ActionRecord {
        eventually(&format!("the action {key} is recorded"), || async {
            self.sync().await;
            self.store.actions().get(key).await.expect("Postgres answers")
        })
        .await
    }

    /// How many jobs of a kind are known to Postgres.
    pub async fn jobs_of(&self, kind: &str) -> Vec<JobRecord> {
        self.sync().await;
        let filter =
            perch_store::JobFilter { kind: Some(kind.parse().expect("a kind")), ..perch_store::JobFilter::default() };
        self.store.history().search(&filter).await.expect("Postgres answers")
    }

    /// A post of an account, as a poll would hand it on.
    pub fn written(&self, author: &str, text: &str) -> ExtractPost {
        let id = self.x.publish(author, text);
        let post = Post {
            id: id.parse().expect("the sandbox gives ids"),
            author_id: self.x.add_account(author),
            author: author.to_owned(),
            text: text.to_owned(),
            created_at: Utc::now(),
            media: Vec::new(),
        };
        ExtractPost { post, account: main_account(), earlier: Vec::new() }
    }

    pub fn redis(&self) -> &TestRedis {
        &self.redis
    }

    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// A client of the sandbox beside that of the workers.
    pub fn other_x(&self) -> XClient {
        XClient::from_settings(&self.settings, Arc::new(LocalLimits::new())).expect("valid settings")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        self.workers.iter().for_each(JoinHandle::abort);
    }
}

async fn sandbox() -> Sandbox {
    let options = SandboxOptions {
        bot_accounts: vec![BOT.into(), SECOND_BOT.into()],
        actors: perch_actors::actors(),
        ..SandboxOptions::default()
    };
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), options).await.expect("a free port");
    sandbox.state().add_account(SALLY);
    sandbox.state().add_account(PETE);
    sandbox
}

fn variables(
    sandbox: &str,
    redis: &TestRedis,
    database: &TestDatabase,
    vars: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let models = format!("{sandbox}/v1");
    let usual = [
        ("APP_ENV", "staging"),
        ("REDIS_URL", redis.url()),
        ("DATABASE_URL", database.url()),
        ("X_API_BEARER_TOKEN", "sandbox-bearer"),
        ("X_API_KEY", "sandbox-key"),
        ("X_API_SECRET", perch_sandbox::CONSUMER_SECRET),
        ("X_MAIN_ACCESS_TOKEN", "sandbox-perch_bot-token"),
        ("X_MAIN_ACCESS_SECRET", "sandbox-perch_bot-secret"),
        ("GROK_API_KEY", "sandbox"),
        ("TOGETHER_API_KEY", "sandbox"),
        ("PERCH__X__BASE_URL", sandbox),
        ("PERCH__X__SETTLE", "0s"),
        ("PERCH__X__PLAN", "enterprise"),
        ("PERCH__PICKS__PROVIDERS", "grok"),
        ("PERCH__MENTIONS__PROVIDERS", "together"),
        ("PERCH__PERSONAS__PROVIDERS", "together"),
        ("PERCH__PICKS__RETWEET", "false"),
        ("PERCH__MODELS__PROVIDERS__GROK__BASE_URL", models.as_str()),
        ("PERCH__MODELS__PROVIDERS__TOGETHER__BASE_URL", models.as_str()),
        ("PERCH__PICKS__WATCH", r#"["sharp_sally", "parlay_pete"]"#),
        ("PERCH__ANALYTICS__COLLECT_AFTER", r#"["1s", "2s"]"#),
        ("PERCH__CRON__SYNC_HOT_STATE__SCHEDULE", "* * * * * *"),
        ("PERCH__CRON__POLL_ACCOUNTS__SCHEDULE", "*/2 * * * * *"),
    ];
    let mut all: BTreeMap<String, String> =
        usual.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.extend(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    all
}

pub fn settings(vars: &BTreeMap<String, String>) -> Settings {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    Settings::load_from(&config, bots().config_schema(), vars.clone()).expect("valid settings")
}

pub fn main_account() -> AccountId {
    AccountId::from_static("main")
}

/// A post of the bot, or a reply.
pub fn publication(text: &str, reply_to: Option<PostId>, effect_key: Option<&str>) -> PublishPost {
    PublishPost { reply_to, effect_key: effect_key.map(str::to_owned), ..PublishPost::new(main_account(), text) }
}

/// A post of the account `second`.
pub fn of_second(text: &str) -> PublishPost {
    PublishPost { account: AccountId::from_static("second"), ..publication(text, None, None) }
}

/// A retweet by the bot.
pub fn retweet(post_id: &str) -> RetweetPost {
    RetweetPost { account: main_account(), post_id: post_id.parse().expect("an id"), effect_key: None, source: None }
}

/// A permit for calls that tests make to X themselves.
pub struct TestPermit;

impl EffectPermit for TestPermit {
    fn effect_key(&self) -> &'static str {
        "test"
    }

    fn holds(&self) -> bool {
        true
    }
}

/// The name of a worker that has ended.
pub fn lost_worker() -> String {
    WorkerName::of_this_process().to_string()
}

/// Waits for a value, at most a minute.
pub async fn eventually<T, F, Fut>(what: &str, look: F) -> T
where
    F: Fn() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut pace = tokio::time::interval(Duration::from_millis(25));
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        pace.tick().await;
    }
}
