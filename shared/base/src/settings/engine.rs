//! How jobs run: settings of the engine, the queues and cron entries.

use std::time::Duration;

use perch_job::JobKind;
use serde::{Deserialize, Serialize};

use super::yes;

/// Settings that hold for every queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// Largest payload in bytes.
    pub max_payload_bytes: usize,
    /// How far ahead a job may be scheduled.
    #[serde(with = "humantime_serde")]
    pub max_schedule_ahead: Duration,
    /// How long a worker may send no heartbeat before its jobs are taken over.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How often a busy worker renews its leases.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// How long running jobs may continue after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
    /// Longest blocking read of an idle worker.
    #[serde(with = "humantime_serde")]
    pub idle_block: Duration,
    /// Errors kept with a job.
    pub errors_kept: usize,
    /// How long a job of an unknown kind waits for a worker that knows it, before it is dead.
    #[serde(with = "humantime_serde")]
    pub unknown_kind_wait: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            max_payload_bytes: 256 * 1024,
            max_schedule_ahead: Duration::from_hours(366 * 24),
            lease: Duration::from_secs(12),
            heartbeat: Duration::from_secs(3),
            shutdown_grace: Duration::from_secs(25),
            idle_block: Duration::from_secs(30),
            errors_kept: 10,
            unknown_kind_wait: Duration::from_hours(24),
        }
    }
}

/// How much of a job's life is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// Every transition.
    #[default]
    Full,
    /// Only failures and actions of operators.
    Failures,
}

/// One queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    /// Most jobs that one process runs at once.
    pub concurrency: usize,
    /// Jobs leased beyond those running. Keep it 0 if jobs are slow.
    #[serde(default)]
    pub prefetch: usize,
    /// Most jobs running at once over all processes; 0 means no limit.
    #[serde(default)]
    pub global_concurrency: usize,
    /// Most jobs of one group running at once over all processes; 0 means no limit.
    #[serde(default)]
    pub group_concurrency: usize,
    /// The rate of starts of one group over all processes.
    #[serde(default)]
    pub group_rate: Option<Rate>,
    /// The rate of starts of the whole queue over all processes.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// The kind of jobs that a stock apalis-redis producer pushes into `<prefix>intake:<queue>`, unless the task's
    /// metadata names another under `kind`.
    #[serde(default)]
    pub intake_kind: Option<JobKind>,
    /// Whether jobs are written to Postgres before Redis, so that they survive the loss of Redis.
    #[serde(default)]
    pub ledger: bool,
    /// How much of a job's life is recorded.
    #[serde(default)]
    pub history: History,
    /// Most entries of the event stream in Redis; an entry has at most 50 events or 64 KiB.
    #[serde(default = "one_hundred_thousand")]
    pub events_kept: usize,
    /// The approximate limit of their bytes; the oldest are removed first.
    #[serde(default = "mebibytes_64")]
    pub events_max_bytes: usize,
    /// Most unfinished jobs and dead letters in Redis; beyond it enqueues are refused. 0 means no limit.
    #[serde(default = "one_million")]
    pub max_depth: usize,
    /// How long dead letters stay in Redis.
    #[serde(default = "thirty_days", with = "humantime_serde")]
    pub dead_retention: Duration,
    /// Most dead letters in Redis; the oldest are removed first.
    #[serde(default = "one_hundred_thousand")]
    pub dead_kept: usize,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            prefetch: 0,
            global_concurrency: 0,
            group_concurrency: 0,
            group_rate: None,
            rate: None,
            intake_kind: None,
            ledger: false,
            history: History::Full,
            events_kept: one_hundred_thousand(),
            events_max_bytes: mebibytes_64(),
            max_depth: one_million(),
            dead_retention: thirty_days(),
            dead_kept: one_hundred_thousand(),
        }
    }
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

/// A rate: `count` starts in `per`, with a burst of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Starts.
    pub count: u32,
    /// In this time.
    #[serde(with = "humantime_serde")]
    pub per: Duration,
}

/// What happens if the job of an earlier tick is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// The tick is skipped.
    Skip,
    /// Both run.
    Allow,
}

/// What happens to ticks that were missed while no scheduler ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// They are skipped.
    Skip,
    /// Only the latest fires.
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
    /// What happens if the job of an earlier tick is not finished.
    pub overlap: Overlap,
    /// What happens to missed ticks.
    pub catch_up: CatchUp,
    /// Whether it is enabled.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn empty_object() -> serde_json::Value {
    serde_json::json!({})
}
