//! What is compared: the results of operations, and all data of a queue.

use std::collections::{BTreeMap, BTreeSet};

use perch_job::JobId;
use perch_queue::{Acceptance, Cancellation, ReplayOutcome};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There was no target for the operation.
    None,
    Enqueued {
        id: JobId,
        acceptance: Acceptance,
        replaced: Option<JobId>,
    },
    Conflict {
        holder: JobId,
    },
    /// The queue is full.
    Full,
    /// The result of the engine breaks a guarantee.
    Broken(String),
    /// The leases in order, and the milliseconds until the next fetch.
    Fetched {
        leases: Vec<String>,
        paused: bool,
        next: Option<u128>,
    },
    /// Whether the lease was still held.
    Held(bool),
    Pulse {
        lost: Vec<String>,
        stop: Vec<String>,
    },
    Cancellation(Cancellation),
    Replayed(ReplayOutcome),
    Changed(bool),
    Count(usize),
}

/// An envelope, as far as operations change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    pub max: u32,
    pub replays: u32,
    pub n: u64,
    /// Whether it came back from Postgres.
    pub recovered: Option<i64>,
}

/// The lists in which jobs wait for a worker, and the marks of those in them that were cancelled.
#[derive(Debug, Default)]
pub struct Lists {
    /// High, normal, low.
    pub ready: [Vec<JobId>; 3],
    /// By priority and group.
    pub parked: [BTreeMap<String, Vec<JobId>>; 3],
    /// Groups that are to be looked at.
    pub parked_groups: BTreeSet<String>,
    pub cancelled: BTreeSet<JobId>,
}

impl Lists {
    /// Every id in a list.
    pub fn ids(&self) -> impl Iterator<Item = JobId> + '_ {
        self.ready.iter().chain(self.parked.iter().flat_map(BTreeMap::values)).flatten().copied()
    }
}

/// All data of a queue except its lists, events and workers. Times are in milliseconds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct State {
    pub jobs: BTreeMap<JobId, Stored>,
    pub delayed: BTreeMap<JobId, i64>,
    pub leases: BTreeMap<String, i64>,
    pub dead: BTreeMap<JobId, i64>,
    pub attempts: BTreeMap<JobId, u32>,
    pub dead_attempts: BTreeMap<JobId, u32>,
    pub errors: BTreeMap<JobId, usize>,
    pub priority: BTreeMap<JobId, String>,
    pub group: BTreeMap<JobId, String>,
    pub cancelling: BTreeSet<JobId>,
    pub locks: BTreeMap<String, JobId>,
    pub held_until_start: BTreeMap<JobId, String>,
    pub held_until_done: BTreeMap<JobId, String>,
    pub running: BTreeMap<String, usize>,
    /// Since when no worker knew the kind of a job.
    pub unknown_since: BTreeMap<JobId, i64>,
    /// In microseconds, only those in the future.
    pub arrivals: BTreeMap<String, i64>,
    /// Accepted ids that must not be accepted again.
    pub remembered: BTreeSet<JobId>,
    pub paused: bool,
    pub succeeded: u64,
}
