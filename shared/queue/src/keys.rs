use perch_base::Environment;
use perch_jobs::{Priority, QueueName};

/// The names of everything a queue keeps in Redis. All share one hash tag, so they live on one node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    base: String,
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident => $suffix:literal),* $(,)?) => {
        $($(#[$doc])* pub fn $name(&self) -> String { format!("{}{}", self.base, $suffix) })*
    };
}

impl Keys {
    /// The keys of `queue` in `env`; all start with, for example, `stg:{extraction}:`.
    pub fn new(env: Environment, queue: &QueueName) -> Self {
        Self { base: format!("{}{{{queue}}}:", env.prefix()) }
    }

    /// What all keys of the queue start with.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// List of the ids that are ready, of one priority.
    pub fn ready(&self, priority: Priority) -> String {
        format!("{}ready:{}", self.base, priority.as_str())
    }

    keys! {
        /// Hash of id to envelope, from the enqueue until the job is done, of the jobs that lie together (`scripts/parts.lua`).
        jobs => "jobs",
        /// Prefix of the hashes of id to envelope of the others, one for each 32 ms or each millisecond in which ids were made.
        part => "jobs:",
        /// Hash: `from` or `from_ms`, the last time whose jobs lie together, and the names of the parts there are.
        parts => "parts",
        /// Sorted set of ids by due time in milliseconds: scheduled jobs and retries.
        delayed => "delayed",
        /// Sorted set of leases by their end in milliseconds. A member is `id|holder|attempt|number|group`.
        leases => "leases",
        /// Sorted set of ids by time of death in milliseconds.
        dead => "dead",
        /// Hash of id to attempts that failed or were lost, of jobs that are not dead.
        attempts => "attempts",
        /// The same of the dead.
        dead_attempts => "dead_attempts",
        /// Hash of id to the last errors, newest first, one JSON object a line.
        errors => "errors",
        /// Hash of id to priority (`high` or `low`), for those that are not normal.
        priority => "priority",
        /// Hash of id to group, for jobs that have one.
        group => "group",
        /// Set of ids cancelled while their id still stands in a ready or parked list.
        cancelled => "cancelled",
        /// Hash of id to reason, for running jobs that shall stop.
        cancelling => "cancelling",
        /// Hash: `paused`, `paused_by`, `paused_at`, `floor_low`, `floor_normal`, `fetches`, `succeeded`, `run_id`.
        state => "state",
        /// List that idle workers block on; holds at most one token.
        wake => "wake",
        /// Capped stream of job events.
        events => "events",
        /// Prefix of the uniqueness locks; a lock is a string that holds the id of its job.
        unique => "unique:",
        /// Hash of id to uniqueness key, for keys held until the job starts.
        unique_queued => "unique_queued",
        /// Hash of id to uniqueness key, for keys held until the job is finished.
        unique_done => "unique_done",
        /// Hash of group to jobs running, for groups with a limit.
        running => "running",
        /// Prefix of the lists of ids that wait for a free place of their group.
        parked => "parked:",
        /// Hash of group to the number of ids parked.
        parked_count => "parked_count",
        /// Prefix of the rate limiters of groups (the one of the queue has an empty group) and of their plans (`plan|`).
        rate => "rate:",
        /// Hash of id to the limiter whose turn it waits for.
        reserved => "reserved",
        /// Hash of limiter to the number of jobs that wait for its turn.
        planned => "planned",
        /// Sorted set of workers by when they were last seen, in milliseconds.
        workers => "workers",
        /// Hash of worker to what it said of itself, as JSON.
        worker_info => "worker_info",
        /// Hash of cron entry to the last tick fired, in milliseconds.
        cron => "cron",
        /// Hash of cron entry to the id of the last job it enqueued.
        cron_jobs => "cron_jobs",
        /// Sorted set of the tasks taken over from the intake, by when, in milliseconds.
        intake => "intake",
    }
}
