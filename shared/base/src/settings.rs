//! Every setting of Perch. `config/base.toml` states each with its unit, its default and when to change it.

mod engine;
mod paid;
mod posting;
mod providers;
mod services;
mod source_url;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use perch_job::{AccountId, QueueName};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use engine::{CatchUp, CronSettings, EngineSettings, History, Overlap, QueueSettings, Rate};
pub use paid::{Budget, TokenPrice, XPlan, XPrices, micros};
pub use posting::{AccountPostingSettings, GuardMode, PostingSettings, QuietSettings, SimilarMode};
pub use providers::Providers;
pub use services::{MaxTokensField, ModelSettings, ProviderSettings, XAccountSettings, XSettings};
pub use source_url::SourceUrl;

/// Credentials, from environment variables only. They cannot be printed.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `REDIS_URL`: `redis://`, `rediss://` (TLS), or several comma-separated URLs for a cluster.
    pub redis_url: Option<SecretString>,
    /// `DATABASE_URL`: `postgres://…`.
    pub database_url: Option<SecretString>,
    /// `DATABASE_SESSION_URL`: a direct connection to the same database, if `DATABASE_URL` goes through a pooler in transaction
    /// mode.
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

/// The settings in `config/*.toml` and `PERCH__…` variables. Unknown keys are errors.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Whether posts are really sent. If `false`, they are rendered and recorded as simulated.
    pub live_posts: bool,
    /// Redis connections.
    pub redis: RedisSettings,
    /// Postgres connections.
    pub postgres: PostgresSettings,
    /// The HTTP API.
    pub http: HttpSettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// Settings that hold for every queue.
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

impl Default for RedisSettings {
    fn default() -> Self {
        Self { pool_size: 16, connect_timeout: Duration::from_secs(5), command_timeout: Duration::from_secs(4) }
    }
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
    /// How long one statement may take; migrations are exempt.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }
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
    /// How long a connection may take to send the head of a request, or leave a response unread.
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
    /// Which lines are logged: a `tracing` filter such as `info,perch_queue=debug`. `RUST_LOG` replaces it.
    pub log_filter: String,
    /// Where traces go: the base URL of an OTLP/HTTP collector. Empty sends none.
    pub otlp_endpoint: String,
    /// Share of traces kept, 0.0 to 1.0.
    pub trace_ratio: f64,
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
    /// Archiving of WAL or a replica, as the server itself shows.
    #[default]
    Archive,
    /// Dumps made outside Perch, which the server does not show.
    Dumps,
    /// The provider of the server, in a way that the server does not show.
    Provider,
}

/// The sandbox services.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxSettings {
    /// Where the sandbox listens.
    pub bind: SocketAddr,
    /// The URL of a sandbox in another process, used for services without credentials; empty for none.
    pub url: String,
    /// How often each sandbox account writes a new post.
    #[serde(with = "humantime_serde")]
    pub post_every: Duration,
    /// Whether calls over X's rate limits are refused.
    pub rate_limits: bool,
    /// The X plan whose rules the sandbox applies.
    pub plan: XPlan,
    /// How many times faster than real ones the readers of the bots' posts react.
    pub reader_speed: f64,
    /// The topics by which they tell posts apart.
    pub topics: Vec<String>,
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

fn yes() -> bool {
    true
}
