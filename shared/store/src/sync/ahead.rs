//! Events in the streams that are not in Postgres yet. The state of a job in Postgres is a few seconds old, so a reader who has seen
//! a newer one would see it go backwards.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, JobState, QueueName};
use perch_queue::{EntryId, JobEvent};
use serde_json::value::RawValue;

use super::{Syncer, cursor, fold, stream, unit::JobRow};
use crate::{JobRecord, StoreError};

/// Fields read at a time.
const AT_ONCE: usize = 1_000;

/// What events that are not in Postgres yet say about some jobs.
#[derive(Debug, Clone, Default)]
pub struct UnsyncedEvents {
    /// The jobs that have such events.
    pub jobs: HashMap<JobId, UnsyncedJob>,
    /// False when there were more events than the limit, so that some may be missing.
    pub is_whole: bool,
}

/// What events that are not in Postgres yet say about a job.
#[derive(Debug, Clone)]
pub struct UnsyncedJob {
    row: JobRow,
    /// The events, oldest first.
    pub events: Vec<JobEvent>,
}

impl UnsyncedJob {
    /// The state of the job after them.
    pub fn state(&self) -> JobState {
        self.row.state
    }

    /// Its kind, if they contain it.
    pub fn kind(&self) -> Option<&str> {
        self.row.kind.as_deref()
    }

    /// Applies these events to the record from Postgres. A record that already contains them does not change.
    pub fn apply_to(&self, record: Option<JobRecord>) -> Option<JobRecord> {
        let Some(old) = record else { return self.record() };
        let is_newer =
            self.row.changed_at > old.changed_at || (self.row.changed_at == old.changed_at && !old.state.is_final());
        if !is_newer {
            return Some(old);
        }
        let new = self.record()?;
        let (has_envelope, has_attempts) = (self.row.envelope.is_some(), self.row.attempts.is_some());
        Some(JobRecord {
            id: old.id,
            queue: new.queue,
            kind: new.kind.or(old.kind),
            state: new.state,
            priority: if self.row.priority.is_some() { new.priority } else { old.priority },
            payload: if has_envelope { new.payload } else { old.payload },
            envelope: new.envelope.or(old.envelope),
            group: new.group.or(old.group),
            parent: new.parent.or(old.parent),
            max_attempts: new.max_attempts.or(old.max_attempts),
            run_at: new.run_at.or(old.run_at),
            created_at: old.created_at.min(new.created_at),
            started_at: new.started_at.or(old.started_at),
            finished_at: new.finished_at,
            attempts: if has_attempts { new.attempts } else { old.attempts },
            replays: self.row.replays.unwrap_or(old.replays),
            worker: new.worker.or(old.worker),
            last_error: new.last_error.or(old.last_error),
            result: new.result.or(old.result),
            traceparent: new.traceparent.or(old.traceparent),
            changed_at: new.changed_at,
        })
    }

    fn record(&self) -> Option<JobRecord> {
        let row = self.row.clone();
        let value = |raw: Option<Box<RawValue>>| raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
        Some(JobRecord {
            id: row.id.parse().ok()?,
            queue: row.queue.parse().ok()?,
            kind: row.kind,
            state: row.state,
            priority: row.priority.unwrap_or_default(),
            payload: value(row.payload),
            envelope: value(row.envelope),
            group: row.group_key,
            parent: row.parent.and_then(|id| id.parse().ok()),
            max_attempts: row.max_attempts,
            run_at: row.run_at,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            attempts: row.attempts.unwrap_or(0),
            replays: row.replays.unwrap_or(0),
            worker: row.worker,
            last_error: row.last_error,
            result: row.result,
            traceparent: row.traceparent,
            changed_at: row.changed_at,
        })
    }
}

/// How far the events of a queue have been moved into Postgres.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncedPosition {
    /// The last entry of the stream that was moved.
    pub entry: EntryId,
    /// Its version, which orders its events in the history.
    pub version: EntryId,
}

impl SyncedPosition {
    /// The time of that entry.
    pub fn at(self) -> DateTime<Utc> {
        self.entry.at()
    }
}

impl Syncer {
    /// How far the events of a queue have been moved into Postgres.
    pub async fn synced(&self, queue: &QueueName) -> Result<SyncedPosition, StoreError> {
        let position = cursor::one(&self.store, &format!("events:{queue}")).await?;
        Ok(SyncedPosition { entry: position.id, version: position.version })
    }

    /// What events of `queue` that are not in Postgres yet say about `jobs`; about `most` events are read at most. To miss nothing, read
    /// the records in Postgres after this call: they contain what was moved in between.
    pub async fn unsynced(
        &self,
        queue: &QueueName,
        jobs: &HashSet<JobId>,
        most: usize,
    ) -> Result<UnsyncedEvents, StoreError> {
        let Some(of_queue) = self.streams.iter().find(|stream| stream.queue.as_ref() == Some(queue)) else {
            return Ok(UnsyncedEvents { is_whole: true, ..UnsyncedEvents::default() });
        };
        if jobs.is_empty() {
            return Ok(UnsyncedEvents { is_whole: true, ..UnsyncedEvents::default() });
        }
        let mut from = cursor::one(&self.store, &of_queue.name).await?;
        let (mut entries, mut read, mut is_whole) = (Vec::new(), 0, false);
        while read < most {
            let (look, _) = self.look(of_queue, from, AT_ONCE).await?;
            from = look.after(from);
            is_whole = !look.more;
            for mut entry in look.entries {
                read += entry.fields.len();
                entry.fields.retain(|(field, _)| is_of(field, jobs));
                if !entry.fields.is_empty() {
                    entries.push(entry);
                }
            }
            if is_whole {
                break;
            }
        }
        Ok(UnsyncedEvents { jobs: in_order(queue, entries), is_whole })
    }
}

fn is_of(field: &str, jobs: &HashSet<JobId>) -> bool {
    field.split_once(' ').and_then(|(_, id)| id.parse().ok()).is_some_and(|id: JobId| jobs.contains(&id))
}

fn in_order(queue: &QueueName, entries: Vec<stream::Entry>) -> HashMap<JobId, UnsyncedJob> {
    let mut events: HashMap<JobId, Vec<JobEvent>> = HashMap::new();
    for entry in &entries {
        for (index, (field, value)) in (0u32..).zip(&entry.fields) {
            if let Ok(event) = JobEvent::read(entry.id, index, field, value.clone()) {
                events.entry(event.job).or_default().push(event);
            }
        }
    }
    // The sync handles what cannot be read.
    let units = fold::fold(queue, entries, &mut Vec::new());
    let news = units.into_iter().filter_map(|unit| {
        let id: JobId = unit.row.id.parse().ok()?;
        Some((id, UnsyncedJob { row: unit.row, events: events.remove(&id).unwrap_or_default() }))
    });
    news.collect()
}
