//! The loss of Redis, its return with an older copy, and the recovery of the queue.

use chrono::TimeDelta;
use perch_job::JobId;
use perch_queue::{EventKind, LostJob};
use redis::Value;

use crate::{
    engine::Engine,
    model::{Job, Lock, Model, WINDOW_MS, ms},
    ops::{Lost, Scope},
    state::Answer,
};

/// A copy of Redis at one moment: the name, the value and the TTL of each key.
#[derive(Debug, Default)]
pub struct Copy(Vec<(String, Vec<u8>, i64)>);

impl Engine {
    pub async fn copy(&self) -> Copy {
        let keys = self.keys().await;
        if keys.is_empty() {
            return Copy::default();
        }
        let mut pipe = redis::pipe();
        for key in &keys {
            pipe.cmd("DUMP").arg(key).cmd("PTTL").arg(key);
        }
        let held: Vec<Value> = self.pipe(pipe).await;
        let read = |(key, pair): (String, &[Value])| {
            let dump = redis::from_redis_value(pair[0].clone()).expect("a dump");
            let left: i64 = redis::from_redis_value(pair[1].clone()).expect("a time");
            (key, dump, left.max(0))
        };
        Copy(keys.into_iter().zip(held.chunks(2)).map(read).collect())
    }

    /// Redis lost everything, or came back with a copy.
    pub async fn come_back(&self, copy: &Copy) {
        let mut pipe = redis::pipe();
        pipe.cmd("FLUSHDB");
        for (key, held, left) in &copy.0 {
            pipe.cmd("RESTORE").arg(key).arg(left).arg(held.as_slice());
        }
        self.pipe::<Vec<Value>>(pipe).await;
    }

    /// Restores jobs as Postgres has them: without a checksum, and with a space after each colon.
    pub async fn restore(&self, lost: &[(JobId, Lost)]) -> Answer {
        let restore = |(id, lost): &(JobId, Lost)| LostJob {
            id: *id,
            envelope: as_in_postgres(&self.envelope(*id)),
            run_at: lost.delay.map(|delay| self.queue.now() + TimeDelta::milliseconds(ms(delay))),
            attempts: lost.attempts,
            error: (lost.attempts > 0).then(|| "for a reason".to_owned()),
            died_at: lost.died.map(|ago| self.queue.now() - TimeDelta::milliseconds(ms(ago))),
            in_doubt: true,
        };
        let jobs: Vec<LostJob> = lost.iter().map(restore).collect();
        let (restored, unreadable) = self.queue.restore(&jobs).await.expect("Redis answers");
        assert!(unreadable.is_empty(), "{unreadable:?}");
        Answer::Count(restored)
    }

    pub async fn drop_ended(&self, ids: &[JobId]) -> Answer {
        Answer::Count(self.queue.drop_ended(ids).await.expect("Redis answers"))
    }
}

fn as_in_postgres(envelope: &str) -> String {
    let (fields, _) = envelope.rsplit_once(r#","sum":"#).expect("an envelope of Redis has a checksum");
    format!("{fields}}}").replacen(r#""max": "#, r#""max":"#, 1).replacen(r#""max":"#, r#""max": "#, 1)
}

impl Model {
    /// The same model, with only the data that is kept outside Redis.
    pub fn lost(&self) -> Self {
        let mut lost = Self::new(self.now, self.rules);
        lost.known.clone_from(&self.known);
        lost
    }

    /// The time and the limits stay the current ones.
    pub fn come_back(&mut self, copy: &Self) {
        let known = std::mem::take(&mut self.known);
        *self = Self { now: self.now, rules: self.rules, known, ..copy.clone() };
    }

    pub fn restore(&mut self, lost: &[(JobId, Lost)]) -> Answer {
        let restored = lost.iter().filter(|(id, lost)| self.put_back(*id, lost)).count();
        Answer::Count(restored)
    }

    fn put_back(&mut self, id: JobId, lost: &Lost) -> bool {
        if self.jobs.contains_key(&id) || self.cancelled.contains(&id) {
            return false;
        }
        let mut job = Job {
            attempts: lost.attempts,
            errors: usize::from(lost.attempts > 0),
            holds_key: false,
            cancelling: false,
            unknown_since: None,
            ..self.known[&id].clone()
        };
        job.stored.recovered = Some(self.now);
        if let Some(ago) = lost.died {
            self.dead.insert((self.now - ms(ago), id));
        } else if let Some((key, scope)) = job.unique
            && !self.locks.contains_key(key)
        {
            job.holds_key = scope != Scope::Window;
            let until = (scope == Scope::Window).then_some(self.now + WINDOW_MS);
            self.locks.insert(key, Lock { holder: id, until });
        }
        let due = lost.delay.map(|delay| self.now + ms(delay)).or(job.run_at);
        self.jobs.insert(id, job);
        if lost.died.is_none() {
            self.tell(id, EventKind::Enqueued);
            match due.filter(|due| *due > self.now) {
                Some(due) => drop(self.delayed.insert((due, id))),
                None => self.make_ready(id, false),
            }
        }
        true
    }

    /// Removes jobs from wherever they are, without events.
    pub fn drop_ended(&mut self, ids: &[JobId]) -> Answer {
        let mut dropped = 0;
        for id in ids.iter().copied() {
            if !self.jobs.contains_key(&id) {
                continue;
            }
            dropped += 1;
            if let Some(entry) = self.is_delayed(id) {
                self.delayed.remove(&entry);
            } else if let Some(entry) = self.is_dead(id) {
                self.dead.remove(&entry);
            } else if let Some(place) = self.leases.iter().position(|lease| lease.id == id) {
                self.end_lease(place);
            } else {
                self.cancelled.insert(id);
            }
            self.forget(id);
        }
        Answer::Count(dropped)
    }
}
