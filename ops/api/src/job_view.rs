//! The JSON of a job, from Redis or Postgres.

use chrono::{DateTime, Utc};
use perch_core::job_list::JobSummary;
use perch_store::AttemptRecord;
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

/// Where the history of a job comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum History {
    /// Postgres answered.
    Recorded,
    /// Postgres is away: attempts and children may be missing.
    Unavailable,
}

/// A job with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobAnswer {
    /// Where it stands.
    #[serde(flatten)]
    pub job: JobSummary,
    /// When the last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// Its payload; null when its envelope cannot be read.
    #[schema(value_type = Value)]
    pub payload: Option<Box<RawValue>>,
    /// What its handler answered; null when it answered nothing, or has not yet.
    #[schema(value_type = Value)]
    pub result: Option<Value>,
    /// The trace that enqueued it, as a W3C `traceparent`.
    pub traceparent: Option<String>,
    /// Its attempts, oldest first.
    pub attempt_history: Vec<AttemptRecord>,
    /// The jobs that its handler enqueued, oldest first.
    pub children: Vec<JobSummary>,
    /// Where attempts and children come from.
    pub history: History,
}
