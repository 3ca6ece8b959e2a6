//! Everything that is known of a job, put together from what Redis and Postgres know.

use chrono::{DateTime, Utc};
use perch_core::job_list::JobSummary;
use perch_jobs::{JobId, JobState};
use perch_queue::{JobEvent, JobView};
use perch_store::{AttemptRecord, EventRecord, JobRecord, StoredEffect};
use serde::Serialize;
use serde_json::Value;

/// Everything that is known of a job.
#[derive(Debug, Serialize)]
pub struct JobDetails {
    /// Where it stands.
    #[serde(flatten)]
    pub job: JobHeader,
    pub attempt_history: Vec<AttemptRecord>,
    /// As Redis has it; null when it is finished.
    pub redis: Option<JobView>,
    /// As the history has it, brought up to the events that are on their way there; null when there are none, or Postgres is away.
    pub postgres: Option<JobRecord>,
    /// Why Postgres could not be asked.
    pub postgres_error: Option<String>,
    /// What is wrong with the row that Postgres has.
    pub unreadable: Option<String>,
    /// False when more happened than could be read.
    pub is_whole: bool,
    pub envelope: Option<Value>,
    pub events: Vec<EventRecord>,
    /// The jobs that its handler enqueued.
    pub children: Vec<JobSummary>,
    pub effects: Vec<StoredEffect>,
}

/// Where a job stands.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum JobHeader {
    /// As lists tell it.
    Readable(Box<JobSummary>),
    /// Only its row in Postgres is there, and cannot be read.
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

/// The events of the history, and those on their way there.
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
            // Of a replay the value is the envelope, which says who it was under the same name.
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
