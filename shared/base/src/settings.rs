//! Every setting of Perch. `config/base.toml` states each with its unit, its default and when to change it.

mod mentions;
mod paid;
mod picks;
mod posting;
mod tracking;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use perch_jobs::{AccountId, JobKind, QueueName};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

pub use mentions::{MentionsSettings, ReviewMode};
pub use paid::{Budget, TokenPrice, XPlan, XPrices, micros};
pub use picks::{PicksSettings, PictureSettings};
pub use posting::{AccountPostingSettings, GuardMode, PostingSettings, QuietSettings};
pub use tracking::{ResultsSettings, SourceUrl, SummarySettings, TrackingSettings};

use crate::Environment;

/// All settings of a process, validated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which environment this is; it decides the key prefix.
    pub env: Environment,
    /// What the files and the environment variables say.
    pub file: FileSettings,
    /// What only the environment says.
    pub secrets: Secrets,
}

impl std::ops::Deref for Settings {
    type Target = FileSettings;

    fn deref(&self) -> &FileSettings {
        &self.file
    }
}

/// Credentials, from the environment alone. They cannot be printed.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `REDIS_URL`: `redis://`, `rediss://` (TLS), or several comma-separated URLs for a cluster.
    pub redis_url: Option<SecretString>,
    /// `DATABASE_URL`: `postgres://…`.
    pub database_url: Option<SecretString>,
    /// `DATABASE_SESSION_URL`: the same database past a pooler in transaction mode, where `DATABASE_URL` leads through one.
    pub database_session_url: Option<SecretString>,
    /// `X_API_BEARER_TOKEN`: reads from X.
    pub x_bearer_token: Option<SecretString>,
    /// `X_API_KEY` and `X_API_SECRET`: the application, for OAuth 1.0a.
    pub x_consumer: Option<KeyPair>,
    /// `X_<ACCOUNT>_ACCESS_TOKEN` and `X_<ACCOUNT>_ACCESS_SECRET` of each account in `[x.accounts]`.
    pub x_accounts: BTreeMap<AccountId, KeyPair>,
    /// The key of each provider in `[models.providers]`, from the variable named by its `api_key_env`.
    pub model_keys: BTreeMap<String, SecretString>,
}

/// A key and its secret.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The public half.
    pub key: SecretString,
    /// The secret half.
    pub secret: SecretString,
}

/// What `config/*.toml` and `PERCH__…` variables may say. Unknown keys are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Whether posts are really sent. `false` renders and records them as simulated.
    pub live_posts: bool,
    /// Redis connections.
    pub redis: RedisSettings,
    /// Postgres connections.
    pub postgres: PostgresSettings,
    /// The HTTP API.
    pub http: HttpSettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// What holds for every queue.
    pub engine: EngineSettings,
    /// One block for each queue.
    pub queues: BTreeMap<QueueName, QueueSettings>,
    /// One block for each cron entry.
    #[serde(default)]
    pub cron: BTreeMap<String, CronSettings>,
    /// X.
    pub x: XSettings,
    /// What accounts may publish, and when.
    pub posting: PostingSettings,
    /// Language models.
    pub models: ModelSettings,
    /// The picks bot.
    pub picks: PicksSettings,
    /// The bot that answers mentions.
    pub mentions: MentionsSettings,
    /// Collection of metrics.
    pub analytics: AnalyticsSettings,
    /// The sync into Postgres.
    pub sync: SyncSettings,
    /// The sandbox services.
    pub sandbox: SandboxSettings,
    /// Backups.
    #[serde(default)]
    pub backup: BackupSettings,
}

/// Redis connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisSettings {
    /// Connections for short commands.
    pub pool_size: usize,
    /// How long connecting may take.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long one command may take.
    #[serde(with = "humantime_serde")]
    pub command_timeout: Duration,
}

/// Postgres connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSettings {
    /// Most connections of one process.
    pub max_connections: u32,
    /// How long to wait for a free connection.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
}

/// The HTTP API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Where it listens. `PORT`, when set, replaces the port and opens it to all interfaces: `0.0.0.0`, or `[::]`
    /// (which on most systems takes IPv4 too) when the address given here is an IPv6 one.
    pub bind: SocketAddr,
    /// Largest request body in bytes.
    pub max_body_bytes: usize,
    /// Most jobs in one request.
    pub max_batch: usize,
    /// Requests per second and key.
    pub rate_per_second: u32,
    /// Requests a key may make at once above its rate.
    pub rate_burst: u32,
    /// Requests of one key under way at once, streams included.
    pub requests_per_key: usize,
    /// Bytes of bodies that all requests together may hold.
    pub bytes_under_way: usize,
    /// Most connections at once.
    pub max_connections: usize,
    /// How long a connection may go without the whole head of a request, or with an answer that nobody reads.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// A second address, on a private network, where `/metrics` needs no key. `None` opens none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_bind: Option<SocketAddr>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs and traces.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which lines: a filter as `tracing` reads it, for example `info,perch_queue=debug`. `RUST_LOG` replaces it.
    pub log_filter: String,
    /// Where traces go: the base URL of an OTLP/HTTP collector. Empty sends none.
    pub otlp_endpoint: String,
    /// Share of traces kept, 0.0 to 1.0.
    pub trace_ratio: f64,
}

/// What holds for every queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// Largest payload in bytes.
    pub max_payload_bytes: usize,
    /// How far ahead a job may be scheduled.
    #[serde(with = "humantime_serde")]
    pub max_schedule_ahead: Duration,
    /// How long a worker may be silent before its jobs go to another.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How often a busy worker renews its leases.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// How long running jobs may go on after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// Longest blocking read of an idle worker.
    #[serde(with = "humantime_serde")]
    pub idle_block: Duration,
    /// Errors kept with a job.
    pub errors_kept: usize,
    /// How long a job whose kind no worker knows waits for one that does, before it is dead.
    #[serde(with = "humantime_serde")]
    pub unknown_kind_wait: Duration,
}

/// How much of a job's life is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// Every transition.
    #[default]
    Full,
    /// Only what went wrong, and what an operator did.
    Failures,
}

/// One queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    /// Jobs that one process runs at once.
    pub concurrency: usize,
    /// Jobs leased beyond those running. Keep it 0 where jobs are slow.
    #[serde(default)]
    pub prefetch: usize,
    /// Jobs running at once over all processes; 0 sets no limit.
    #[serde(default)]
    pub global_concurrency: usize,
    /// Jobs running at once of one group over all processes; 0 sets no limit.
    #[serde(default)]
    pub group_concurrency: usize,
    /// Starts of one group over all processes.
    #[serde(default)]
    pub group_rate: Option<Rate>,
    /// Starts of the whole queue over all processes.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// The kind of jobs that a stock apalis-redis producer pushes into `<prefix>intake:<queue>`, unless the task's
    /// metadata names another under `kind`.
    #[serde(default)]
    pub intake_kind: Option<JobKind>,
    /// Whether its jobs are written into Postgres before Redis gets them, so that they survive the loss of Redis.
    #[serde(default)]
    pub ledger: bool,
    /// How much of a job's life is recorded.
    #[serde(default)]
    pub history: History,
    /// Stream entries kept in Redis until they are synced; an entry holds at most 50 events or 64 KiB.
    #[serde(default = "one_hundred_thousand")]
    pub events_kept: usize,
    /// Most bytes of those entries, about; the oldest go first.
    #[serde(default = "mebibytes_64")]
    pub events_max_bytes: usize,
    /// Most unfinished jobs and dead letters in Redis, beyond which enqueues are refused; 0 sets no limit.
    #[serde(default = "one_million")]
    pub max_depth: usize,
    /// How long dead letters stay in Redis.
    #[serde(default = "thirty_days", with = "humantime_serde")]
    pub dead_retention: Duration,
    /// Most dead letters in Redis; the oldest go first.
    #[serde(default = "one_hundred_thousand")]
    pub dead_kept: usize,
}

const fn one_hundred_thousand() -> usize {
    100_000
}

const fn one_million() -> usize {
    1_000_000
}

const fn mebibytes_64() -> usize {
    64 * 1024 * 1024
}

const fn thirty_days() -> Duration {
    Duration::from_hours(30 * 24)
}

/// So many starts in such a time, with a burst of as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Starts.
    pub count: u32,
    /// In this time.
    #[serde(with = "humantime_serde")]
    pub per: Duration,
}

/// What happens when the run before is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// This tick is left out.
    Skip,
    /// Both run.
    Allow,
}

/// What happens to ticks that passed while no scheduler ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// They are left out.
    Skip,
    /// The latest of them fires once.
    Latest,
    /// Each fires, at most 100.
    All,
}

/// One cron entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CronSettings {
    /// A cron expression of five fields, or six with seconds first.
    pub schedule: String,
    /// The time zone of the schedule, for example `Europe/Berlin`.
    pub timezone: chrono_tz::Tz,
    /// The kind of the job it enqueues.
    pub kind: JobKind,
    /// The payload of that job.
    #[serde(default = "empty_object")]
    pub payload: serde_json::Value,
    /// What happens when the run before is not finished.
    pub overlap: Overlap,
    /// What happens to missed ticks.
    pub catch_up: CatchUp,
    /// Whether it fires at all.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn empty_object() -> serde_json::Value {
    serde_json::json!({})
}

fn yes() -> bool {
    true
}

/// X.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XSettings {
    /// Base URL of the API.
    pub base_url: Url,
    /// How long one request may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How long after a write X may still not show it. Only then does "not there" mean "not done".
    #[serde(with = "humantime_serde")]
    pub settle: Duration,
    /// The plan, which decides which posts may be answered.
    #[serde(default)]
    pub plan: XPlan,
    /// What X charges.
    #[serde(default)]
    pub prices: XPrices,
    /// What may be spent on X.
    #[serde(default)]
    pub budget: Budget,
    /// The accounts that Perch posts as.
    #[serde(default)]
    pub accounts: BTreeMap<AccountId, XAccountSettings>,
}

/// An account that Perch posts as.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XAccountSettings {
    /// Its handle, without `@`; empty as long as nobody has said it, which only production without credentials of X allows.
    pub username: String,
    /// What it may publish, where that differs from `[posting]`.
    #[serde(default, skip_serializing_if = "AccountPostingSettings::is_empty")]
    pub posting: AccountPostingSettings,
}

/// Language models.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// The providers that extract picks, in the order in which they are asked.
    #[serde(deserialize_with = "paid::names::deserialize")]
    pub extraction: Vec<String>,
    /// The providers that write replies, in the order in which they are asked.
    #[serde(deserialize_with = "paid::names::deserialize")]
    pub replies: Vec<String>,
    /// After so many attempts at a post without a provider that answers, the rules read it; 0 waits for the providers.
    pub rules_after: u32,
    /// How long a provider that is down is not asked while another one is there.
    #[serde(with = "humantime_serde")]
    pub rest: Duration,
    /// The providers by name.
    pub providers: BTreeMap<String, ProviderSettings>,
}

/// A provider that serves OpenAI's chat completions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Base URL, up to and with the version.
    pub base_url: Url,
    /// The model.
    pub model: String,
    /// The environment variable that holds the key.
    pub api_key_env: String,
    /// How long one request may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Whether pictures are sent along.
    pub images: bool,
    /// The parameter that bounds an answer.
    #[serde(default)]
    pub max_tokens_field: MaxTokensField,
    /// Whether a temperature is sent along.
    #[serde(default = "yes")]
    pub temperature: bool,
    /// How much the model thinks before it answers, as `reasoning_effort`; empty leaves that to it.
    #[serde(default)]
    pub reasoning_effort: String,
    /// Whether the schema of the answer is sent along.
    #[serde(default = "yes")]
    pub json_schema: bool,
    /// What it charges.
    #[serde(default)]
    pub price: TokenPrice,
    /// What may be spent on it.
    #[serde(default)]
    pub budget: Budget,
    /// How often it may be called, over all processes.
    #[serde(default)]
    pub rate: Option<Rate>,
}

/// The parameter that bounds the answer of a model, as its provider calls it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// `max_tokens`, which OpenAI's reasoning models refuse.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which counts what the model thinks too.
    MaxCompletionTokens,
}

impl MaxTokensField {
    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::MaxTokens => Self::MaxCompletionTokens,
            Self::MaxCompletionTokens => Self::MaxTokens,
        }
    }
}

/// Collection of metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalyticsSettings {
    /// When the metrics of a post are read, counted from its publication.
    #[serde(with = "durations")]
    pub collect_after: Vec<Duration>,
}

/// The sync into Postgres.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncSettings {
    /// Rows moved in one transaction.
    pub batch: usize,
    /// How long Postgres keeps the history of jobs that ended; zero keeps it for good.
    #[serde(with = "humantime_serde")]
    pub history_retention: Duration,
}

/// Backups.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupSettings {
    /// What backs up Postgres.
    pub postgres: PostgresBackup,
}

/// What backs up Postgres.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PostgresBackup {
    /// Its own archive of WAL, or a replica: what the server itself shows.
    #[default]
    Archive,
    /// Dumps that are made outside Perch, which the server does not see.
    Dumps,
    /// Whoever runs it, in a way that the server does not show.
    Provider,
}

/// The sandbox services.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxSettings {
    /// Where the sandbox listens.
    pub bind: SocketAddr,
    /// Where a sandbox of another process is, which plays what has no credentials here; empty for none.
    pub url: String,
    /// How often each sandbox account writes a new post.
    #[serde(with = "humantime_serde")]
    pub post_every: Duration,
    /// Whether calls over X's rate limits are refused.
    pub rate_limits: bool,
    /// Which plan's rules the sandbox keeps.
    pub plan: XPlan,
}

mod durations {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Item(#[serde(with = "humantime_serde")] Duration);

    pub fn serialize<S: Serializer>(list: &[Duration], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(list.iter().map(|d| Item(*d)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Duration>, D::Error> {
        Ok(Vec::<Item>::deserialize(d)?.into_iter().map(|item| item.0).collect())
    }
}
