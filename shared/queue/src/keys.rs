use perch_base::Environment;
use perch_job::{Priority, QueueName};

/// The names of all Redis keys of a queue. They share one hash tag, so they are on one node of a cluster.
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

    /// List of the ready ids of one priority.
    pub fn ready(&self, priority: Priority) -> String {
        format!("{}ready:{}", self.base, priority.as_str())
    }

    /// List of the parked ids of one priority and group.
    pub fn parked_in(&self, priority: Priority, group: &str) -> String {
        format!("{}{}:{group}", self.parked(), priority.as_str())
    }

    keys! {
        /// Hash of id to envelope, of all unfinished jobs.
        jobs => "jobs",
        /// Sorted set of ids by due time in milliseconds: scheduled jobs and retries.
        delayed => "delayed",
        /// Sorted set of leases by their end in milliseconds. A member is `id|holder|attempt|number|group`.
        leases => "leases",
        /// Sorted set of ids by time of death in milliseconds.
        dead => "dead",
        /// Hash of id to attempts that failed or were lost, of jobs that are not dead.
        attempts => "attempts",
        /// Hash of id to attempts, of dead letters.
        dead_attempts => "dead_attempts",
        /// Hash of id to the last errors, newest first, one JSON object a line.
        errors => "errors",
        /// Hash of id to priority (`high` or `low`), for those that are not normal.
        priority => "priority",
        /// Hash of id to group, for jobs that have one.
        group => "group",
        /// Set of the ids of cancelled jobs that are still in a ready or parked list; a fetch that comes to one skips it.
        cancelled => "cancelled",
        /// Hash of id to reason, for running jobs that must stop.
        cancelling => "cancelling",
        /// Hash: `paused`, `paused_by`, `paused_at`, `passed_normal`, `passed_low`, `fetches`, `succeeded`, `events_bytes`, `run_id`.
        state => "state",
        /// List that idle workers block on; holds at most one token.
        wake => "wake",
        /// Capped stream of job events.
        events => "events",
        /// List of entries of the stream, each so many bytes after the one before (`scripts/events.lua`).
        event_marks => "event_marks",
        /// Prefix of the uniqueness locks; a lock is a string that holds the id of its job.
        unique => "unique:",
        /// Hash of id to uniqueness key, for keys held until the job starts.
        unique_queued => "unique_queued",
        /// Hash of id to uniqueness key, for keys held until the job is finished.
        unique_done => "unique_done",
        /// Hash of group to jobs running, for groups with a limit.
        running => "running",
        /// Prefix of the lists of ids whose group is at its limit; the priority and the group follow (`normal:account`).
        parked => "parked:",
        /// Sorted set of the groups that have ids parked, by when to look at them again, in milliseconds.
        parked_groups => "parked_groups",
        /// Prefix of the rate limiters of groups (the one of the queue has an empty group).
        rate => "rate:",
        /// Hash of id to since when no worker that tried the job knew its kind, in milliseconds.
        unknown_kind => "unknown_kind",
        /// Sorted set of workers by when they were last seen, in milliseconds.
        workers => "workers",
        /// Hash of worker to its description of itself (such as its version and concurrency), as JSON.
        worker_info => "worker_info",
        /// Hash of cron entry to the last tick fired, in milliseconds.
        cron => "cron",
        /// Hash of cron entry to the id of the last job it enqueued.
        cron_jobs => "cron_jobs",
        /// Sorted set of the tasks taken over from the intake, by when, in milliseconds.
        intake => "intake",
    }
}
