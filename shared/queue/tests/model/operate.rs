//! Operator actions on the model.

use perch_job::JobId;
use perch_queue::{Cancellation, EventKind, ReplayOutcome};

use crate::{
    model::{DEAD_KEPT, DEAD_RETENTION_MS, Letter, Lock, Model, ms},
    ops::{Scope, Seconds},
    state::Answer,
};

impl Model {
    pub fn cancel(&mut self, id: JobId) -> Answer {
        Answer::Cancellation(if !self.jobs.contains_key(&id) {
            Cancellation::Unknown
        } else if self.is_dead(id).is_some() {
            Cancellation::Dead
        } else if self.runs(id) {
            self.jobs.get_mut(&id).expect("it exists").cancelling = true;
            Cancellation::Cancelling
        } else {
            self.withdraw(id);
            Cancellation::Cancelled
        })
    }

    pub fn run_now(&mut self, id: JobId) -> Answer {
        let Some(entry) = self.is_delayed(id) else { return Answer::Changed(false) };
        self.delayed.remove(&entry);
        self.make_ready(id, true);
        Answer::Changed(true)
    }

    pub fn pause(&mut self, paused: bool) -> Answer {
        Answer::Changed(std::mem::replace(&mut self.paused, paused) != paused)
    }

    pub fn purge(&mut self) -> Answer {
        let lists: Vec<JobId> = std::mem::take(&mut self.waiting).into_iter().flatten().collect();
        let delayed = std::mem::take(&mut self.delayed).into_iter().map(|(_, id)| id);
        let places: Vec<JobId> = lists.into_iter().chain(delayed).collect();
        for id in &places {
            if !self.cancelled.remove(id) {
                self.tell(*id, EventKind::Cancelled);
                self.forget(*id);
            }
        }
        Answer::Count(places.len())
    }

    pub fn letters(&self) -> Vec<Letter> {
        let letter = |&(_, id): &(i64, JobId)| {
            let job = &self.jobs[&id];
            Letter { id, stored: job.stored, attempts: job.attempts }
        };
        self.dead.iter().map(letter).collect()
    }

    pub fn replay(&mut self, letter: &Letter, edit: Option<u64>, delay: Seconds) -> Answer {
        let Some(entry) = self.is_dead(letter.id) else { return Answer::Replayed(ReplayOutcome::Gone) };
        let job = &self.jobs[&letter.id];
        if job.stored != letter.stored {
            return Answer::Replayed(ReplayOutcome::Changed);
        }
        if let Some((key, scope @ (Scope::Queued | Scope::Done))) = job.unique {
            if self.locks.contains_key(key) {
                return Answer::Replayed(ReplayOutcome::Conflict);
            }
            self.locks.insert(key, Lock { holder: letter.id, until: None });
            debug_assert_ne!(scope, Scope::Window);
        }
        let job = self.jobs.get_mut(&letter.id).expect("it exists");
        job.holds_key = matches!(job.unique, Some((_, Scope::Queued | Scope::Done)));
        job.stored.max = letter.attempts + job.per_life;
        job.stored.replays += 1;
        job.stored.n = edit.unwrap_or(job.stored.n);
        self.dead.remove(&entry);
        self.tell(letter.id, EventKind::Replayed);
        if delay > 0 {
            self.delayed.insert((self.now + ms(delay), letter.id));
        } else {
            self.make_ready(letter.id, false);
        }
        Answer::Replayed(ReplayOutcome::Replayed)
    }

    fn drop_letter(&mut self, entry: (i64, JobId)) {
        self.dead.remove(&entry);
        self.tell(entry.1, EventKind::Discarded);
        self.forget(entry.1);
    }

    pub fn discard(&mut self, id: JobId) -> Answer {
        let entry = self.is_dead(id);
        if let Some(entry) = entry {
            self.drop_letter(entry);
        }
        Answer::Count(usize::from(entry.is_some()))
    }

    pub fn prune(&mut self) -> Answer {
        let oldest = self.now - DEAD_RETENTION_MS;
        let mut gone: Vec<_> = self.dead.iter().filter(|(died, _)| *died <= oldest).copied().collect();
        if gone.is_empty() {
            gone = self.dead.iter().take(self.dead.len().saturating_sub(DEAD_KEPT)).copied().collect();
        }
        for entry in &gone {
            self.drop_letter(*entry);
        }
        Answer::Count(gone.len())
    }
}
