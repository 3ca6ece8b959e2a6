//! The way of a job through the model: enqueue, fetch, lease, end of an attempt.

use perch_jobs::{JobId, Priority};
use perch_queue::{Acceptance, EventKind, OnConflict};

use crate::{
    model::{Job, LEASE_MS, Lease, Lock, Model, WINDOW_MS, ms},
    ops::{Ending, Limits, Scope, Wish},
    rates,
    state::{Answer, Stored},
};

/// Whether a job may start.
enum Admission {
    Free,
    /// As one of its group.
    Counted(&'static str),
    /// It is parked, or waits for its turn in a rate.
    Later,
}

impl Model {
    pub fn enqueue(&mut self, id: JobId, n: u64, wish: &Wish) -> Answer {
        let enqueued = |id, acceptance, replaced| Answer::Enqueued { id, acceptance, replaced };
        let remembered = self.remembered.as_ref().is_some_and(|ids| ids.contains(&id));
        if remembered || self.cancelled.contains(&id) {
            return enqueued(id, Acceptance::Duplicate, None);
        }
        if self.jobs.contains_key(&id) {
            self.accepted(id);
            return enqueued(id, Acceptance::Duplicate, None);
        }
        let mut replaced = None;
        if let Some((key, scope, on_conflict)) = wish.unique {
            if let Some(holder) = self.locks.get(key).map(|lock| lock.holder) {
                match on_conflict {
                    OnConflict::Keep => return enqueued(holder, Acceptance::Kept, None),
                    OnConflict::Reject => return Answer::Conflict { holder },
                    OnConflict::Replace => {
                        if !self.jobs.contains_key(&holder) || self.runs(holder) || self.is_dead(holder).is_some() {
                            return Answer::Conflict { holder };
                        }
                        self.withdraw(holder);
                        replaced = Some(holder);
                    }
                }
            }
            let until = (scope == Scope::Window).then_some(self.now + WINDOW_MS);
            self.locks.insert(key, Lock { holder: id, until });
        }
        let job = Job {
            stored: Stored { max: wish.max, replays: 0, n, spaced: false },
            per_life: wish.max,
            priority: wish.priority,
            group: wish.group,
            unique: wish.unique.map(|(key, scope, _)| (key, scope)),
            run_at: (wish.delay > 0).then_some(self.now + ms(wish.delay)),
            holds_key: wish.unique.is_some_and(|(_, scope, _)| scope != Scope::Window),
            attempts: 0,
            errors: 0,
            cancelling: false,
        };
        self.jobs.insert(id, job);
        self.accepted(id);
        self.tell(id, EventKind::Enqueued);
        if wish.delay > 0 {
            self.delayed.insert((self.now + ms(wish.delay), id));
        } else {
            self.make_ready(id, false);
        }
        enqueued(id, if replaced.is_some() { Acceptance::Replaced } else { Acceptance::Accepted }, replaced)
    }

    fn accepted(&mut self, id: JobId) {
        if let Some(ids) = &mut self.remembered {
            ids.insert(id);
        }
    }

    pub fn fetch(&mut self, holder: usize, name: &str, slots: usize, reaped: usize) -> Answer {
        self.reap(reaped);
        if self.paused {
            return Answer::Fetched { leases: Vec::new(), paused: true, next: None };
        }
        while let Some(&(due, id)) = self.delayed.first()
            && due <= self.now
        {
            self.delayed.pop_first();
            self.make_ready(id, false);
        }
        let slots = match self.limits().global {
            0 => slots,
            most => slots.min(most.saturating_sub(self.leases.len())),
        };
        for group in self.parked.iter().map(|(group, _)| *group).collect::<Vec<_>>() {
            match self.limits().group {
                0 => self.unpark(group, 100),
                most => self.unpark(group, most.saturating_sub(self.running(group))),
            }
        }
        // Only a fetch that takes something is counted.
        self.fetches += 1;
        let mut taken = Vec::new();
        let mut looked = 0;
        while taken.len() < slots && looked < 3 * slots {
            let ids = self.take_by_priority(slots - taken.len());
            if ids.is_empty() {
                break;
            }
            looked += ids.len();
            let ids: Vec<JobId> = ids.into_iter().filter(|id| !self.cancelled.remove(id)).collect();
            for id in ids {
                match self.admit(id) {
                    Admission::Free => taken.push(self.start(id, holder, name, None)),
                    Admission::Counted(group) => taken.push(self.start(id, holder, name, Some(group))),
                    Admission::Later => {}
                }
            }
        }
        if taken.is_empty() {
            self.fetches -= 1;
        }
        Answer::Fetched { leases: taken, paused: false, next: self.next_look(reaped > 0) }
    }

    /// Whether the job may start, and the group that counts it. If not, it is parked, or put off until its turn in a rate.
    fn admit(&mut self, id: JobId) -> Admission {
        let Limits { group: most, group_rate, rate, .. } = self.limits();
        if most == 0 && group_rate.is_none() && rate.is_none() {
            return Admission::Free;
        }
        self.rates.unplan(id);
        let group = self.jobs[&id].group;
        if let Some(group) = group
            && most > 0
            && self.running(group) >= most
        {
            self.park(id, group);
            return Admission::Later;
        }
        let limiters = [group.zip(group_rate), rate.map(|rate| (rates::QUEUE, rate))];
        for (limiter, rate) in limiters.into_iter().flatten() {
            if let Some(free) = self.rates.wait(limiter, rate, self.now) {
                let in_a_hurry = self.jobs[&id].priority == Priority::High;
                let due = self.rates.plan(id, limiter, rate, free, in_a_hurry);
                self.delayed.insert((due, id));
                return Admission::Later;
            }
        }
        for (limiter, rate) in limiters.into_iter().flatten() {
            self.rates.start(limiter, rate, self.now);
        }
        group.filter(|_| most > 0).map_or(Admission::Free, Admission::Counted)
    }

    /// An older one goes before those that came after it.
    fn park(&mut self, id: JobId, group: &'static str) {
        match self.parked.iter_mut().find(|(name, _)| *name == group) {
            Some((_, list)) if id < list[0] => list.insert(0, id),
            Some((_, list)) => list.push(id),
            None => self.parked.push((group, vec![id])),
        }
    }

    fn start(&mut self, id: JobId, holder: usize, name: &str, counted: Option<&'static str>) -> String {
        let job = &self.jobs[&id];
        let attempt = job.attempts + 1;
        let member = format!("{id}|{name}|{attempt}|{}.{}|{}", self.now, self.fetches, counted.unwrap_or_default());
        if matches!(job.unique, Some((_, Scope::Queued))) {
            self.give_back_key(id);
        }
        let ends = self.now + LEASE_MS;
        self.leases.push(Lease { id, holder, attempt, member: member.clone(), counted, ends });
        self.tell(id, EventKind::Started);
        member
    }

    /// High before normal before low, but one of ten for each lower list while there is higher work.
    fn take_by_priority(&mut self, count: usize) -> Vec<JobId> {
        let share = |model: &mut Self, rank: usize| {
            if model.ready[rank].is_empty() || model.ready[..rank].iter().all(Vec::is_empty) {
                return 0;
            }
            let owed = model.owed[rank] + count;
            model.owed[rank] = owed % 10;
            (owed / 10).min(count)
        };
        let low = share(self, 2);
        let normal = share(self, 1).min(count - low);
        let mut ids = Vec::new();
        for (rank, most) in [(2, low), (1, normal), (0, count), (1, count), (2, count)] {
            let most = most.min(count - ids.len()).min(self.ready[rank].len());
            ids.extend(self.ready[rank].drain(..most));
        }
        ids
    }

    fn next_look(&self, sees_leases: bool) -> Option<u128> {
        let full = self.limits().global > 0 && self.leases.len() >= self.limits().global;
        if !full && self.ready.iter().any(|list| !list.is_empty()) {
            return Some(0);
        }
        let due = self.delayed.first().map(|(due, _)| *due);
        let ends = self.leases.iter().map(|lease| lease.ends).min().filter(|_| sees_leases);
        due.into_iter().chain(ends).min().map(|at| u128::try_from(at - self.now).unwrap_or(0))
    }

    pub fn finish(&mut self, member: &str, ending: Ending) -> Answer {
        let Some(place) = self.leases.iter().position(|l| l.member == member) else { return Answer::Held(false) };
        let Lease { id, attempt, .. } = self.end_lease(place);
        let job = &self.jobs[&id];
        let ending = match ending {
            Ending::Retry(_) | Ending::RetryAfter(_) if attempt >= job.stored.max => Ending::Dead,
            Ending::Retry(_) | Ending::RetryAfter(_) | Ending::Snooze(_) | Ending::Release if job.cancelling => {
                Ending::Cancelled
            }
            other => other,
        };
        match ending {
            Ending::Done => {
                self.succeeded += 1;
                self.tell(id, EventKind::Succeeded);
                self.forget(id);
            }
            Ending::Cancelled => {
                self.tell(id, EventKind::Cancelled);
                self.forget(id);
            }
            Ending::Dead => {
                self.fail(id, attempt);
                self.bury(id);
            }
            Ending::Retry(delay) | Ending::RetryAfter(delay) => {
                self.fail(id, attempt);
                self.tell(id, EventKind::Retried);
                self.delayed.insert((self.now + ms(delay), id));
            }
            Ending::Snooze(delay) => {
                self.tell(id, EventKind::Snoozed);
                self.delayed.insert((self.now + ms(delay), id));
            }
            Ending::Release => {
                self.tell(id, EventKind::Released);
                self.make_ready(id, true);
            }
        }
        Answer::Held(true)
    }

    pub fn heartbeat(&mut self, members: &[String], reaped: usize) -> Answer {
        let (mut lost, mut stop) = (Vec::new(), Vec::new());
        // A worker that holds nothing sends nothing.
        if members.is_empty() {
            return Answer::Pulse { lost, stop };
        }
        let ends = self.now + LEASE_MS;
        for member in members {
            match self.leases.iter_mut().find(|l| l.member == *member) {
                None => lost.push(member.clone()),
                Some(lease) => {
                    lease.ends = ends;
                    if self.jobs[&lease.id].cancelling {
                        stop.push(member.clone());
                    }
                }
            }
        }
        self.reap(reaped);
        Answer::Pulse { lost, stop }
    }

    pub fn reclaim(&mut self, holder: usize, known: &[String]) -> Answer {
        let unknown = |l: &&Lease| l.holder == holder && !known.contains(&l.member);
        let mut back: Vec<(i64, String)> =
            self.leases.iter().filter(unknown).map(|l| (l.ends, l.member.clone())).collect();
        back.sort();
        // Each goes to the front, so the last goes first.
        for (_, member) in back.iter().rev() {
            self.finish(member, Ending::Release);
        }
        Answer::Count(back.len())
    }
}
