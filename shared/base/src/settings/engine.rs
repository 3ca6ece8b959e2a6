//! How jobs run: the engine, its queues, and what is started by the clock.

use std::time::Duration;

use perch_job::JobKind;
use serde::{Deserialize, Serialize};

use super::yes;

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
