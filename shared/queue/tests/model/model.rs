//! The model of the engine: the same operations on lists and maps in memory.

use std::collections::{BTreeMap, BTreeSet};

use perch_job::{JobId, Priority};
use perch_queue::EventKind;

use crate::{
    ops::{Limits, Rules, Scope, Seconds},
    rates::{self, Rates},
    state::{State, Stored},
};

pub const LEASE_MS: i64 = 60_000;
pub const WINDOW_MS: i64 = 600_000;
pub const DEAD_RETENTION_MS: i64 = 3_600_000;
pub const DEAD_KEPT: usize = 3;
pub const ERRORS_KEPT: usize = 2;
pub const UNKNOWN_KIND_WAIT_MS: i64 = 90_000;
const PRIORITIES: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

#[derive(Debug, Clone)]
pub struct Job {
    pub stored: Stored,
    pub per_life: u32,
    pub priority: Priority,
    pub group: Option<&'static str>,
    pub unique: Option<(&'static str, Scope)>,
    /// When it should first run, if not at once.
    pub run_at: Option<i64>,
    /// Whether its key is released when it starts or when it is finished.
    pub holds_key: bool,
    pub attempts: u32,
    pub errors: usize,
    pub cancelling: bool,
    /// Since when its kind has been unknown to workers.
    pub unknown_since: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct Lease {
    pub id: JobId,
    pub holder: usize,
    pub attempt: u32,
    pub member: String,
    /// The group that its start was counted for.
    pub counted: Option<&'static str>,
    pub ends: i64,
}

#[derive(Debug, Clone)]
pub struct Lock {
    pub holder: JobId,
    /// The end of its window.
    pub until: Option<i64>,
}

/// A dead letter as it was read.
#[derive(Debug, Clone)]
pub struct Letter {
    pub id: JobId,
    pub stored: Stored,
    pub attempts: u32,
}

#[derive(Debug, Clone)]
pub struct Model {
    pub now: i64,
    pub rules: Rules,
    pub rates: Rates,
    /// Whether groups had limits at any time: then jobs of other groups may be passed.
    pub grouped: bool,
    /// Whether the limits have changed. A group parked under the old limits is looked at when those allowed it.
    pub regrouped: bool,
    pub paused: bool,
    pub jobs: BTreeMap<JobId, Job>,
    /// High, normal, low, each in the order in which its jobs must start, in whichever list they are. Cancelled ones keep their
    /// place until a fetch comes upon them.
    pub waiting: [Vec<JobId>; 3],
    pub delayed: BTreeSet<(i64, JobId)>,
    pub leases: Vec<Lease>,
    pub dead: BTreeSet<(i64, JobId)>,
    pub cancelled: BTreeSet<JobId>,
    pub locks: BTreeMap<&'static str, Lock>,
    /// The ids that a ledger queue has accepted.
    pub remembered: Option<BTreeSet<JobId>>,
    pub fetches: u64,
    pub succeeded: u64,
    pub history: BTreeMap<JobId, Vec<EventKind>>,
    /// The last seen version of every job, which Postgres would have.
    pub known: BTreeMap<JobId, Job>,
}

pub fn ms(seconds: Seconds) -> i64 {
    i64::from(seconds) * 1_000
}

impl Model {
    pub fn new(now: i64, rules: Rules) -> Self {
        Self {
            now,
            rules,
            rates: Rates::default(),
            grouped: rules.limits.group > 0 || rules.limits.group_rate.is_some(),
            regrouped: false,
            paused: false,
            jobs: BTreeMap::new(),
            waiting: [Vec::new(), Vec::new(), Vec::new()],
            delayed: BTreeSet::new(),
            leases: Vec::new(),
            dead: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            locks: BTreeMap::new(),
            remembered: rules.ledger.then(BTreeSet::new),
            fetches: 0,
            succeeded: 0,
            history: BTreeMap::new(),
            known: BTreeMap::new(),
        }
    }

    pub fn tell(&mut self, id: JobId, what: EventKind) {
        self.history.entry(id).or_default().push(what);
    }

    /// Lets time pass; returns the keys whose window ended.
    pub fn pass(&mut self, time: Seconds) -> Vec<&'static str> {
        self.now += ms(time);
        let now = self.now;
        self.locks.extract_if(.., |_, lock| lock.until.is_some_and(|end| end <= now)).map(|(key, _)| key).collect()
    }

    pub fn limits(&self) -> Limits {
        self.rules.limits
    }

    pub fn remember(&mut self) {
        self.known.extend(self.jobs.iter().map(|(id, job)| (*id, job.clone())));
    }

    pub fn ids(&self) -> Vec<JobId> {
        self.known.keys().copied().collect()
    }

    pub fn make_ready(&mut self, id: JobId, in_front: bool) {
        let list = &mut self.waiting[self.rank(id)];
        list.insert(if in_front { 0 } else { list.len() }, id);
    }

    pub fn rank(&self, id: JobId) -> usize {
        PRIORITIES.iter().position(|p| *p == self.jobs[&id].priority).expect("one of three")
    }

    pub fn is_delayed(&self, id: JobId) -> Option<(i64, JobId)> {
        self.delayed.iter().find(|(_, other)| *other == id).copied()
    }

    pub fn is_dead(&self, id: JobId) -> Option<(i64, JobId)> {
        self.dead.iter().find(|(_, other)| *other == id).copied()
    }

    pub fn runs(&self, id: JobId) -> bool {
        self.leases.iter().any(|lease| lease.id == id)
    }

    pub fn running(&self, group: &str) -> usize {
        self.leases.iter().filter(|lease| lease.counted == Some(group)).count()
    }

    pub fn give_back_key(&mut self, id: JobId) {
        let job = self.jobs.get_mut(&id).expect("it exists");
        if std::mem::take(&mut job.holds_key)
            && let Some((key, _)) = job.unique
            && self.locks.get(key).is_some_and(|lock| lock.holder == id)
        {
            self.locks.remove(key);
        }
    }

    pub fn forget(&mut self, id: JobId) {
        self.give_back_key(id);
        self.jobs.remove(&id);
    }

    pub fn bury(&mut self, id: JobId) {
        self.tell(id, EventKind::Dead);
        self.give_back_key(id);
        let job = self.jobs.get_mut(&id).expect("it exists");
        (job.cancelling, job.unknown_since) = (false, None);
        self.dead.insert((self.now, id));
    }

    pub fn fail(&mut self, id: JobId, attempt: u32) {
        let job = self.jobs.get_mut(&id).expect("it exists");
        job.attempts = attempt;
        job.errors = (job.errors + 1).min(ERRORS_KEPT);
    }

    /// Takes a waiting job out. One in a list leaves its id there, marked, until a fetch comes upon it.
    pub fn withdraw(&mut self, id: JobId) {
        match self.is_delayed(id) {
            Some(entry) => drop(self.delayed.remove(&entry)),
            None => drop(self.cancelled.insert(id)),
        }
        self.tell(id, EventKind::Cancelled);
        self.forget(id);
    }

    pub fn end_lease(&mut self, place: usize) -> Lease {
        self.leases.remove(place)
    }

    pub fn reap(&mut self, most: usize) {
        let mut lost: Vec<(i64, String)> =
            self.leases.iter().filter(|l| l.ends <= self.now).map(|l| (l.ends, l.member.clone())).collect();
        lost.sort();
        for (_, member) in lost.into_iter().take(most) {
            let place = self.leases.iter().position(|l| l.member == member).expect("it was listed");
            let lease = self.end_lease(place);
            self.fail(lease.id, lease.attempt);
            let job = &self.jobs[&lease.id];
            if job.cancelling {
                self.tell(lease.id, EventKind::Cancelled);
                self.forget(lease.id);
            } else if lease.attempt >= job.stored.max {
                self.bury(lease.id);
            } else {
                self.tell(lease.id, EventKind::Lost);
                self.make_ready(lease.id, true);
            }
        }
    }

    /// Everything, as the engine should keep it.
    pub fn state(&self) -> State {
        let mut state = State {
            remembered: self.remembered.clone().unwrap_or_default(),
            paused: self.paused,
            succeeded: self.succeeded,
            delayed: self.delayed.iter().map(|(due, id)| (*id, *due)).collect(),
            dead: self.dead.iter().map(|(died, id)| (*id, *died)).collect(),
            leases: self.leases.iter().map(|l| (l.member.clone(), l.ends)).collect(),
            locks: self.locks.iter().map(|(key, lock)| ((*key).to_owned(), lock.holder)).collect(),
            arrivals: rates::ahead(self.rates.arrivals.iter().map(|(limiter, at)| (*limiter, *at)), self.now),
            ..State::default()
        };
        for lease in &self.leases {
            if let Some(group) = lease.counted {
                *state.running.entry(group.to_owned()).or_default() += 1;
            }
        }
        for (id, job) in &self.jobs {
            state.jobs.insert(*id, job.stored);
            if job.attempts > 0 {
                let attempts = if state.dead.contains_key(id) { &mut state.dead_attempts } else { &mut state.attempts };
                attempts.insert(*id, job.attempts);
            }
            if job.errors > 0 {
                state.errors.insert(*id, job.errors);
            }
            if job.priority != Priority::Normal {
                state.priority.insert(*id, job.priority.as_str().to_owned());
            }
            if let Some(group) = job.group {
                state.group.insert(*id, group.to_owned());
            }
            if job.cancelling {
                state.cancelling.insert(*id);
            }
            if let Some(since) = job.unknown_since {
                state.unknown_since.insert(*id, since);
            }
            if let (true, Some((key, scope))) = (job.holds_key, job.unique) {
                let held =
                    if scope == Scope::Queued { &mut state.held_until_start } else { &mut state.held_until_done };
                held.insert(*id, key.to_owned());
            }
        }
        state
    }
}
