//! The life of a job in the model: enqueue, fetch, lease, end of an attempt.

use std::collections::{BTreeMap, BTreeSet};

use perch_job::JobId;
use perch_queue::{Acceptance, EventKind, OnConflict};

use crate::{
    invariants::{Checked, ensure},
    model::{Job, LEASE_MS, Lease, Lock, Model, UNKNOWN_KIND_WAIT_MS, WINDOW_MS, ms},
    ops::{Ending, Limits, Scope, Wish},
    rates,
    state::{Answer, Lists, Stored},
};

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
        if let Some((key, _, on_conflict)) = wish.unique
            && let Some(holder) = self.locks.get(key).map(|lock| lock.holder)
        {
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
        if replaced.is_none() && self.rules.depth > 0 && self.jobs.len() >= self.rules.depth {
            return Answer::Full;
        }
        if let Some((key, scope, _)) = wish.unique {
            let until = (scope == Scope::Window).then_some(self.now + WINDOW_MS);
            self.locks.insert(key, Lock { holder: id, until });
        }
        let job = Job {
            stored: Stored { max: wish.max, replays: 0, n, recovered: None },
            per_life: wish.max,
            priority: wish.priority,
            group: wish.group,
            unique: wish.unique.map(|(key, scope, _)| (key, scope)),
            run_at: (wish.delay > 0).then_some(self.now + ms(wish.delay)),
            holds_key: wish.unique.is_some_and(|(_, scope, _)| scope != Scope::Window),
            attempts: 0,
            errors: 0,
            cancelling: false,
            unknown_since: None,
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

    /// Applies the result of a fetch of the engine, if that is allowed for a fetch.
    pub fn fetch(&mut self, holder: usize, name: &str, slots: usize, reaped: usize, answer: &Answer) -> Answer {
        match self.checked_fetch(holder, name, slots, reaped, answer) {
            Ok(()) => answer.clone(),
            Err(why) => Answer::Broken(why),
        }
    }

    fn checked_fetch(&mut self, holder: usize, name: &str, slots: usize, reaped: usize, answer: &Answer) -> Checked {
        let Answer::Fetched { leases, paused, next } = answer else { return Err(format!("{answer:?} is no fetch")) };
        self.reap(reaped);
        if self.paused {
            return ensure(*paused && leases.is_empty(), "a paused queue starts nothing", || format!("{answer:?}"));
        }
        while let Some(&(due, id)) = self.delayed.first()
            && due <= self.now
        {
            self.delayed.pop_first();
            self.make_ready(id, false);
        }
        ensure(!paused && leases.len() <= slots, "no more start than are asked for", || format!("{answer:?}"))?;
        // Only a fetch that takes something is counted.
        self.fetches += u64::from(!leases.is_empty());
        for member in leases {
            self.start(member, holder, name)?;
        }
        if leases.len() < slots {
            let left = self.startable();
            ensure(left.is_none(), "nothing that may start is left while there are slots", || format!("{left:?}"))?;
        }
        let change = self.next_change(reaped > 0);
        let in_time = change.is_none_or(|change| next.is_some_and(|next| next <= change));
        ensure(in_time, "a worker looks again in time", || format!("something changes in {change:?}"))?;
        // If all slots were filled there may be more jobs; only another fetch can tell.
        let idle = leases.len() < slots && change != Some(0) && self.cancelled.is_empty() && !self.regrouped;
        ensure(!idle || *next != Some(0), "a worker that finds nothing waits", || format!("{answer:?}"))
    }

    fn start(&mut self, member: &str, holder: usize, name: &str) -> Checked {
        let id: JobId = member.split('|').next().and_then(|id| id.parse().ok()).ok_or("a lease begins with an id")?;
        let may = self.may_start(id);
        ensure(may == Some(self.now), "only what may start starts", || format!("{id} may start at {may:?}"))?;
        let (rank, group) = (self.rank(id), self.jobs[&id].group);
        let grouped = self.grouped;
        let place = self.waiting[rank].iter().position(|other| *other == id).expect("it may start, so it waits");
        let before = self.waiting[rank][..place]
            .iter()
            .find(|other| !self.cancelled.contains(other) && (!grouped || self.jobs[other].group == group));
        ensure(before.is_none(), "first in, first out", || format!("{id} before {before:?}"))?;
        self.waiting[rank].remove(place);
        let Limits { group: most, group_rate, rate, .. } = self.limits();
        for (limiter, rate) in [group.zip(group_rate), rate.map(|rate| (rates::QUEUE, rate))].into_iter().flatten() {
            self.rates.start(limiter, rate, self.now);
        }
        let counted = group.filter(|_| most > 0);
        let attempt = self.jobs[&id].attempts + 1;
        let wanted = format!("{id}|{name}|{attempt}|{}.{}|{}", self.now, self.fetches, counted.unwrap_or_default());
        ensure(member == wanted, "a lease says what it is of", || format!("{member}, not {wanted}"))?;
        let ends = self.now + LEASE_MS;
        self.leases.push(Lease { id, holder, attempt, member: wanted, counted, ends });
        self.tell(id, EventKind::Started);
        Ok(())
    }

    /// When the limits let a waiting job start: now, or once a rate allows it. None if its group is at its concurrency limit, or
    /// if it is not waiting.
    fn may_start(&self, id: JobId) -> Option<i64> {
        let Limits { group: most, global, group_rate, rate } = self.limits();
        let group = self.jobs.get(&id)?.group;
        let waits = self.waiting.iter().flatten().any(|other| *other == id) && !self.cancelled.contains(&id);
        let full = global > 0 && self.leases.len() >= global;
        let crowded = group.is_some_and(|group| most > 0 && self.running(group) >= most);
        let rated = [group.zip(group_rate), rate.map(|rate| (rates::QUEUE, rate))].into_iter().flatten();
        let opens = rated.filter_map(|(limiter, rate)| self.rates.wait(limiter, rate, self.now)).max();
        (waits && !full && !crowded).then(|| opens.unwrap_or(self.now))
    }

    fn surely_looked_at(&self) -> impl Iterator<Item = JobId> + '_ {
        let all = self.waiting.iter().flatten().copied();
        all.filter(|id| !self.regrouped || self.known.get(id).is_none_or(|job| job.group.is_none()))
    }

    /// A job that may start now.
    pub fn startable(&self) -> Option<JobId> {
        self.surely_looked_at().find(|id| self.may_start(*id) == Some(self.now))
    }

    /// In how many milliseconds a fetch may find something: a job becomes due, a rate lets one start, a lease ends.
    fn next_change(&self, sees_leases: bool) -> Option<u128> {
        let opens = self.surely_looked_at().filter_map(|id| self.may_start(id));
        let due = self.delayed.first().map(|(due, _)| *due);
        let ends = self.leases.iter().map(|lease| lease.ends).filter(|_| sees_leases);
        opens.chain(due).chain(ends).min().map(|at| u128::try_from(at - self.now).unwrap_or(0))
    }

    /// The lists of the engine hold the same jobs: those of a group and priority in the order in which they are to start. A cancelled
    /// one goes when a fetch has come upon it.
    pub fn agrees_with(&mut self, lists: &Lists, fetched: bool) -> Checked {
        if fetched {
            let listed: BTreeSet<JobId> = lists.ids().collect();
            let passed = |id: &JobId| !lists.cancelled.contains(id) && !listed.contains(id);
            let gone: BTreeSet<JobId> = self.cancelled.extract_if(.., |id| passed(id)).collect();
            for list in &mut self.waiting {
                list.retain(|id| !gone.contains(id));
            }
        }
        ensure(self.cancelled == lists.cancelled, "the same jobs are marked as cancelled", || {
            format!("{:?}, not {:?}", lists.cancelled, self.cancelled)
        })?;
        for (rank, waiting) in self.waiting.iter().enumerate() {
            let of_group = |id: &JobId| self.known.get(id).and_then(|job| job.group).unwrap_or_default();
            let by_group = |ids: &mut dyn Iterator<Item = JobId>| {
                let mut groups: BTreeMap<&str, Vec<JobId>> = BTreeMap::new();
                ids.for_each(|id| groups.entry(of_group(&id)).or_default().push(id));
                groups
            };
            let found = lists.parked[rank].values().chain([&lists.ready[rank]]).flatten().copied();
            let (found, wanted) = (by_group(&mut { found }), by_group(&mut waiting.iter().copied()));
            ensure(found == wanted, "jobs of a group and priority wait in their order", || {
                format!("{found:?}, not {wanted:?}")
            })?;
        }
        Ok(())
    }

    /// A uniqueness key that is held until the job starts is free.
    pub fn begin(&mut self, member: &str) -> Answer {
        let Some(id) = self.leases.iter().find(|lease| lease.member == member).map(|lease| lease.id) else {
            return Answer::Count(0);
        };
        self.give_back_key(id);
        Answer::Count(1)
    }

    pub fn finish(&mut self, member: &str, ending: Ending) -> Answer {
        let Some(place) = self.leases.iter().position(|l| l.member == member) else { return Answer::Held(false) };
        let Lease { id, attempt, .. } = self.end_lease(place);
        let job = &self.jobs[&id];
        let ending = match ending {
            Ending::Retry(_) | Ending::RetryAfter(_) if attempt >= job.stored.max => Ending::Dead,
            Ending::Retry(_) | Ending::RetryAfter(_) | Ending::Snooze(_) | Ending::Release | Ending::Unknown
                if job.cancelling =>
            {
                Ending::Cancelled
            }
            other => other,
        };
        if matches!(ending, Ending::Retry(_) | Ending::RetryAfter(_) | Ending::Snooze(_)) {
            self.jobs.get_mut(&id).expect("it exists").unknown_since = None;
        }
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
            Ending::Unknown => self.await_kind(id, attempt),
        }
        Answer::Held(true)
    }

    /// It is retried after half the time that it has waited, 2 s to a minute, and is dead when its time is over.
    fn await_kind(&mut self, id: JobId, attempt: u32) {
        let now = self.now;
        let since = *self.jobs.get_mut(&id).expect("it exists").unknown_since.get_or_insert(now);
        let waited = now - since;
        if waited >= UNKNOWN_KIND_WAIT_MS {
            self.fail(id, attempt);
            return self.bury(id);
        }
        self.tell(id, EventKind::Snoozed);
        let again = (waited / 2).clamp(2_000, 60_000).min(UNKNOWN_KIND_WAIT_MS - waited);
        self.delayed.insert((now + again, id));
    }

    pub fn heartbeat(&mut self, members: &[String], reaped: usize) -> Answer {
        let (mut lost, mut stop) = (Vec::new(), Vec::new());
        // A worker without leases sends no heartbeat.
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
