//! Requests from outside that cannot be jobs. They become jobs all the same, whose attempt puts them into the dead letters:
//! there an operator finds them whole, with the reason.

use perch_jobs::{JobId, JobKind, JobType, QueueName};

use crate::{EnqueueOptions, Queue, prepared::Prepared};

/// The kind of a request that cannot be a job. No handler knows it, so it ends in the dead letters.
pub(crate) const REFUSED: &str = "intake_refused";

/// A job that holds what was asked for, and why it cannot be.
pub(crate) fn refused(queue: &Queue, kind: &str, payload: &str, reason: &str, id: JobId) -> Prepared {
    let kept = serde_json::json!({ "kind": kind, "reason": reason, "payload": payload });
    let payload = serde_json::value::to_raw_value(&kept).expect("a JSON value is JSON");
    let job_type = unknown(&JobKind::from_static(REFUSED), queue.name());
    let options = EnqueueOptions { id: Some(id), ..EnqueueOptions::default() };
    Prepared::new(queue, &job_type, payload, options, None, None).expect("an id alone breaks no rule")
}

/// A type for a kind that this deployment does not know.
pub(crate) fn unknown(kind: &JobKind, queue: &QueueName) -> JobType {
    let mut job_type = JobType::of::<perch_jobs::SyncHotState>();
    job_type.kind = kind.clone();
    job_type.queue = queue.clone();
    job_type
}
