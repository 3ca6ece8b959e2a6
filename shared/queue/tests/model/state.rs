//! What can be compared: the answer of an operation, and all that a queue keeps.

use std::collections::{BTreeMap, BTreeSet};

use perch_jobs::JobId;
use perch_queue::{Acceptance, Cancellation, Replayed};

#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// There was nothing to do it to.
    None,
    Enqueued {
        id: JobId,
        acceptance: Acceptance,
        replaced: Option<JobId>,
    },
    Conflict {
        holder: JobId,
    },
    /// Leases in their order, and milliseconds until the next look.
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
    Replayed(Replayed),
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
    pub spaced: bool,
}

/// Everything a queue keeps but its events and who works on it. Times are in milliseconds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct State {
    pub jobs: BTreeMap<JobId, Stored>,
    /// High, normal, low.
    pub ready: [Vec<JobId>; 3],
    pub parked: BTreeMap<String, Vec<JobId>>,
    pub parked_count: BTreeMap<String, usize>,
    pub delayed: BTreeMap<JobId, i64>,
    pub leases: BTreeMap<String, i64>,
    pub dead: BTreeMap<JobId, i64>,
    pub attempts: BTreeMap<JobId, u32>,
    pub dead_attempts: BTreeMap<JobId, u32>,
    pub errors: BTreeMap<JobId, usize>,
    pub priority: BTreeMap<JobId, String>,
    pub group: BTreeMap<JobId, String>,
    pub cancelled: BTreeSet<JobId>,
    pub cancelling: BTreeSet<JobId>,
    pub locks: BTreeMap<String, JobId>,
    pub held_until_start: BTreeMap<JobId, String>,
    pub held_until_done: BTreeMap<JobId, String>,
    pub running: BTreeMap<String, usize>,
    /// Jobs that wait for a turn of a limiter.
    pub reserved: BTreeMap<JobId, String>,
    pub planned: BTreeMap<String, usize>,
    /// In microseconds, as far as they are yet to come.
    pub arrivals: BTreeMap<String, i64>,
    pub turns: BTreeMap<String, i64>,
    /// Accepted ids that are not to be accepted again.
    pub remembered: BTreeSet<JobId>,
    pub paused: bool,
    pub succeeded: u64,
}
