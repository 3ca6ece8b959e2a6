//! What an enqueue asks for, and what became of it. Once a call has returned `Ok`, the job is kept (see the guarantees of the engine).

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_job::{Job, JobId, JobKind, Priority, QueueName, RetryPolicy, Unique};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::EnqueueError;

/// What happens when another job holds the unique key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// The new job is refused; the error names the holder.
    Reject,
    /// The holder stays and is the answer.
    #[default]
    Keep,
    /// The holder is removed, if it is still waiting, and the new job takes its place.
    Replace,
}

/// What an enqueue may ask for beyond the rules of the kind.
#[derive(Debug, Clone, Default)]
pub struct EnqueueOptions {
    /// The id to give it. A second enqueue with the id of a job that is not finished is a duplicate, not a second job.
    pub id: Option<JobId>,
    /// Not before this time. The past means at once.
    pub run_at: Option<DateTime<Utc>>,
    /// Not before this has passed from now on, whatever `run_at` says and whatever clocks do: a job that enqueues its successor
    /// gives it one. `run_at` is then no time of day either: where the clock of Redis is set back, the job waits no longer for it.
    pub delay: Option<Duration>,
    /// Another priority.
    pub priority: Option<Priority>,
    /// Another retry policy.
    pub retry: Option<RetryPolicy>,
    /// Another timeout of an attempt.
    pub timeout: Option<Duration>,
    /// Dead instead of started after this time.
    pub deadline: Option<DateTime<Utc>>,
    /// Another uniqueness lock.
    pub unique: Option<Unique>,
    /// What happens when the unique key is held.
    pub on_conflict: OnConflict,
    /// Another group.
    pub group: Option<String>,
    /// The trace it belongs to, as a W3C `traceparent`; the current one when it is left out.
    pub traceparent: Option<String>,
    /// The job whose handler enqueues it.
    pub parent: Option<JobId>,
}

/// A job to enqueue, its type known by name.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The kind.
    pub kind: JobKind,
    /// The payload as JSON.
    pub payload: Box<RawValue>,
    /// What it asks for beyond the rules of the kind.
    pub options: EnqueueOptions,
}

impl NewJob {
    /// A job of type `J`.
    ///
    /// # Errors
    ///
    /// The payload is no JSON: it holds a map whose keys are no text, or a number that is none.
    pub fn of<J: Job>(job: &J) -> Result<Self, EnqueueError> {
        let payload = serde_json::value::to_raw_value(job)
            .map_err(|e| EnqueueError::Field { field: "payload".into(), reason: e.to_string() })?;
        Ok(Self { kind: JobKind::from_static(J::KIND), payload, options: EnqueueOptions::default() })
    }

    /// The same job with other options.
    #[must_use]
    pub fn with(mut self, options: EnqueueOptions) -> Self {
        self.options = options;
        self
    }
}

/// What became of an enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EnqueueOutcome))]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// A new job.
    Accepted,
    /// A job with this id is there already; nothing was added.
    Duplicate,
    /// Another job holds the unique key; it is kept and nothing was added.
    Kept,
    /// A new job in place of the one that held the unique key.
    Replaced,
    /// A new job of a ledger queue. The ledger keeps it; Redis, which is away, gets it when it is back.
    Deferred,
}

/// The job that stands for an enqueue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EnqueueAnswer))]
pub struct Enqueued {
    /// Its id: that of the new job, or of the one that holds the unique key.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2"))]
    pub id: JobId,
    /// Its queue.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "extraction"))]
    pub queue: QueueName,
    /// What became of the enqueue.
    #[serde(rename = "outcome")]
    pub acceptance: Acceptance,
    /// The job that was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub replaced: Option<JobId>,
}
