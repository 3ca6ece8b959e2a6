//! The rows of a batch, and the stream fields they come from.

use chrono::{DateTime, Utc};
use perch_jobs::{JobState, Priority};
use perch_queue::EntryId;
use serde_json::value::RawValue;

/// The field of a stream entry that a row comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceField {
    pub entry: EntryId,
    pub version: EntryId,
    pub index: u32,
    pub field: String,
    pub value: String,
}

/// What a batch says about one job. A column that it does not know is `None` and does not change in the table.
#[derive(Debug, Clone)]
pub(super) struct JobRow {
    pub id: String,
    pub queue: String,
    pub kind: Option<String>,
    pub state: JobState,
    pub priority: Option<Priority>,
    pub payload: Option<Box<RawValue>>,
    pub envelope: Option<Box<RawValue>>,
    pub group_key: Option<String>,
    pub parent: Option<String>,
    pub max_attempts: Option<u32>,
    pub run_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub attempts: Option<u32>,
    pub replays: Option<u32>,
    pub worker: Option<String>,
    pub last_error: Option<String>,
    pub result: Option<serde_json::Value>,
    pub traceparent: Option<String>,
    pub changed_at: DateTime<Utc>,
    pub version_ms: i64,
    pub version_seq: i64,
}

/// One event as it is stored.
#[derive(Debug, Clone)]
pub(super) struct EventRow {
    pub ms: i64,
    pub seq: i64,
    pub idx: u32,
    pub job_id: String,
    pub kind: &'static str,
    pub at: DateTime<Utc>,
    pub attempt: Option<u32>,
    pub worker: Option<String>,
    pub duration_ms: Option<i64>,
    pub error: Option<String>,
    pub next_run: Option<DateTime<Utc>>,
    pub trace: Option<String>,
    pub result: Option<serde_json::Value>,
    pub actor: Option<String>,
}

/// What a batch says about one job, with its events.
#[derive(Debug, Clone)]
pub(super) struct JobUnit {
    pub row: JobRow,
    pub events: Vec<EventRow>,
    pub sources: Vec<SourceField>,
}
