//! The options and the result of an enqueue. Once a call has returned `Ok`, the job is durable (see the guarantees of the
//! engine).

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
    /// The holder stays, and the call returns it.
    #[default]
    Keep,
    /// A holder that is waiting or delayed is removed, and the new job takes its place; otherwise the new job is refused.
    Replace,
}

/// Options of an enqueue; what is left out follows the kind.
#[derive(Debug, Clone, Default)]
pub struct EnqueueOptions {
    /// The id of the new job. A second enqueue with the id of a job that is not finished is a duplicate, not a second job.
    pub id: Option<JobId>,
    /// The job does not start before this time. A time in the past means at once.
    pub run_at: Option<DateTime<Utc>>,
    /// The least delay from now, even if `run_at` is earlier or clocks change; for a job that enqueues its successor. With a
    /// delay, `run_at` is no fixed time of day either: if the clock of Redis is set back, the job does not wait longer.
    pub delay: Option<Duration>,
    /// The priority, if not that of the kind.
    pub priority: Option<Priority>,
    /// The retry policy, if not that of the kind.
    pub retry: Option<RetryPolicy>,
    /// The timeout of one attempt, if not that of the kind.
    pub timeout: Option<Duration>,
    /// After this time the job goes to the dead letters instead of starting.
    pub deadline: Option<DateTime<Utc>>,
    /// The uniqueness lock, if not that of the payload.
    pub unique: Option<Unique>,
    /// What happens when the unique key is held.
    pub on_conflict: OnConflict,
    /// The group, if not that of the payload.
    pub group: Option<String>,
    /// The trace of the job, as a W3C `traceparent`; default: the current one.
    pub traceparent: Option<String>,
    /// The job whose handler enqueues it.
    pub parent: Option<JobId>,
}

/// A job to enqueue, with its type given by name.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The kind.
    pub kind: JobKind,
    /// The payload as JSON.
    pub payload: Box<RawValue>,
    /// The options of the enqueue.
    pub options: EnqueueOptions,
}

impl NewJob {
    /// A job of type `J`.
    ///
    /// # Errors
    ///
    /// The payload cannot be written as JSON: a map has keys that are not text, or a number is not finite.
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

/// The outcome of an enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EnqueueOutcome))]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// A new job.
    Accepted,
    /// A job with this id exists already; nothing was added.
    Duplicate,
    /// Another job holds the unique key; it is kept and nothing was added.
    Kept,
    /// A new job in place of the one that held the unique key.
    Replaced,
    /// A new job of a ledger queue. The ledger has it; the relay hands it to Redis once Redis is available again.
    Deferred,
}

/// The result of an enqueue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EnqueueAnswer))]
pub struct Enqueued {
    /// The id of the new job, or of the job that holds the unique key.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2"))]
    pub id: JobId,
    /// Its queue.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "extraction"))]
    pub queue: QueueName,
    /// The outcome of the enqueue.
    #[serde(rename = "outcome")]
    pub acceptance: Acceptance,
    /// The job that was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub replaced: Option<JobId>,
}
