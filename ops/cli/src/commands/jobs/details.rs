//! Everything known about a job, from Redis and Postgres.

use chrono::{DateTime, Utc};
use perch_core::job_list::JobSummary;
use perch_jobs::{JobId, JobState};
use perch_queue::{JobEvent, JobView};
use perch_store::{AttemptRecord, EventRecord, JobRecord, StoredEffect};
use serde::Serialize;
use serde_json::Value;

/// Everything known about a job.
#[derive(Debug, Serialize)]
pub struct JobDetails {
    /// Its identity and state.
    #[serde(flatten)]
    pub job: JobHeader,
    pub attempt_history: Vec<AttemptRecord>,
    /// The job in Redis; null when it is finished.
    pub redis: Option<JobView>,
    /// The job in the history, including events not yet synced; null when there is none, or Postgres is away.
    pub postgres: Option<JobRecord>,
    /// Why Postgres could not be read.
    pub postgres_error: Option<String>,
    /// Why its row in Postgres cannot be read.
    pub unreadable: Option<String>,
    /// False when it has more events than were read.
    pub is_whole: bool,
    pub envelope: Option<Value>,
    pub events: Vec<EventRecord>,
    /// The jobs that its handler enqueued.
    pub children: Vec<JobSummary>,
    pub effects: Vec<StoredEffect>,
}

/// The identity and state of a job.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum JobHeader {
    /// The job as in lists.
    Readable(Box<JobSummary>),
    /// Only its row in Postgres exists, and it cannot be read.
    Unreadable { id: JobId, state: JobState, created_at: DateTime<Utc> },
}

impl JobHeader {
    pub fn id(&self) -> JobId {
        match self {
            Self::Readable(job) => job.id,
            Self::Unreadable { id, .. } => *id,
        }
    }

    pub fn state(&self) -> JobState {
        match self {
            Self::Readable(job) => job.state,
            Self::Unreadable { state, .. } => *state,
        }
    }

    pub fn kind(&self) -> &str {
        match self {
            Self::Readable(job) => job.kind.as_deref().unwrap_or("of an unreadable kind"),
            Self::Unreadable { .. } => "of an unreadable kind",
        }
    }

    pub fn queue(&self) -> &str {
        match self {
            Self::Readable(job) => job.queue.as_str(),
            Self::Unreadable { .. } => "no known queue",
        }
    }
}

/// The events of the history, and those not yet synced.
pub fn events(history: Vec<EventRecord>, told: &[JobEvent]) -> Vec<EventRecord> {
    let mut all = history;
    for event in told {
        let data = event.data();
        let record = EventRecord {
            at: event.at(),
            event: event.kind.as_str().to_owned(),
            attempt: data.attempt.and_then(|n| i32::try_from(n).ok()),
            worker: data.worker,
            error: data.error,
            // The value of a replay event is the envelope, which names the operator in the same field.
            actor: data.by,
        };
        let is_known =
            |known: &EventRecord| (known.at, &known.event, known.attempt) == (record.at, &record.event, record.attempt);
        if !all.iter().any(is_known) {
            all.push(record);
        }
    }
    all
}
