//! The journal of a run: accepted jobs, injected faults, and failures that were not injected.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::Utc;
use perch_jobs::JobId;

use crate::label::{Expect, Label};

/// An accepted job.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// What kind of trouble it is.
    pub label: Label,
    /// How it has to end.
    pub expect: Expect,
    /// The text of the post that it makes, or the post that it repeats.
    pub effect: Option<String>,
    /// It survives even the loss of Redis, where the ledger mode is on.
    pub ledger: bool,
    /// Only Postgres knew of it when it was accepted.
    pub only_in_postgres: bool,
    /// When it was last sent, in milliseconds since 1970. A server stored it between then and `answered_ms`.
    pub asked_ms: i64,
    /// When its answer came, in milliseconds since 1970.
    pub answered_ms: i64,
}

/// A fault that stopped a process.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    /// The process.
    pub pid: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A server that may lose its latest writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// Redis.
    Redis,
    /// Postgres.
    Postgres,
}

/// A time window whose writes a server may have lost, within what is promised. Milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    /// Which.
    pub server: Server,
    /// From then on.
    pub from_ms: i64,
    /// Up to then.
    pub to_ms: i64,
}

/// The contents of the journal.
#[derive(Debug, Default)]
pub struct Notes {
    /// By id, without jobs that were dropped because another job held their unique key.
    pub accepted: HashMap<JobId, Accepted>,
    /// Jobs dropped because another one held their unique key.
    pub kept: u64,
    /// Jobs that were removed for a newer one with the same unique key.
    pub replaced: u64,
    /// Jobs refused because the holder of their key was running.
    pub refused: u64,
    /// Calls that had to be repeated.
    pub repeated: u64,
    /// Faults by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Processes that were hit.
    pub hits: Vec<Hit>,
    /// The windows of writes that servers may have lost.
    pub losses: Vec<Loss>,
    /// True once a clock was set an hour ahead or back.
    pub clocks_stepped: bool,
    /// Jobs lost when Redis was wiped. Only queues without a ledger may lose jobs this way.
    pub wiped: Vec<JobId>,
    /// What should not have happened.
    pub troubles: Vec<String>,
}

impl Notes {
    /// Whether a server may have lost what was written at this time.
    pub fn may_have_lost(&self, server: Server, at_ms: i64) -> bool {
        self.may_have_lost_within(server, at_ms, at_ms)
    }

    /// Whether a server may have lost something written from `from_ms` to `to_ms`.
    pub fn may_have_lost_within(&self, server: Server, from_ms: i64, to_ms: i64) -> bool {
        self.losses.iter().any(|loss| loss.server == server && loss.from_ms <= to_ms && from_ms <= loss.to_ms)
    }
}

/// The notes, shared by all tasks.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Notes>);

impl Journal {
    /// Locks the notes. Do not hold the guard across an await.
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a fault.
    pub fn fault(&self, name: &'static str) {
        self.faults(name, 1);
    }

    /// Counts several.
    pub fn faults(&self, name: &'static str, times: u64) {
        *self.notes().faults.entry(name).or_default() += times;
    }

    /// A process was killed or frozen.
    pub fn hit(&self, pid: u32) {
        self.notes().hits.push(Hit { pid, at_ms: now_ms() });
    }

    /// Notes that writes of a server from `from_ms` until now may be lost.
    pub fn loss(&self, server: Server, from_ms: i64) {
        // Writes in flight at that moment are recorded a little later.
        self.notes().losses.push(Loss { server, from_ms, to_ms: now_ms() + 200 });
    }

    /// Notes something that must not happen.
    pub fn trouble(&self, what: impl Into<String>) {
        self.notes().troubles.push(what.into());
    }
}

/// The time, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    Utc::now().timestamp_millis()
}
