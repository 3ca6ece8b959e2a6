//! Invalid requests from outside for which no caller waits. They are enqueued all the same, and their first attempt moves them to
//! the dead letters, where an operator finds them complete, with the reason, and can repair them.

use perch_job::{JobId, JobKind, JobType};
use serde_json::value::{RawValue, to_raw_value};

use crate::{EnqueueOptions, Queue, admission::Admission};

/// The kind of a request without a valid one.
pub(crate) const NO_KIND: &str = "intake_refused";

/// A job of the requested kind and payload (as a JSON string if it is not JSON) that is rejected for `reason`.
pub(crate) fn refused(queue: &Queue, kind: &str, payload: &str, reason: &str, id: JobId) -> Admission {
    let (kind, reason) = match kind.parse::<JobKind>() {
        Ok(kind) => (kind, reason.to_owned()),
        Err(error) => (JobKind::from_static(NO_KIND), format!("{reason}; kind {kind:?}: {error}")),
    };
    let asked = RawValue::from_string(payload.to_owned());
    let payload = asked.unwrap_or_else(|_| to_raw_value(payload).expect("text is JSON"));
    let options = EnqueueOptions { id: Some(id), ..EnqueueOptions::default() };
    let job_type = JobType::unknown(kind, queue.name().clone());
    let max_ahead = queue.engine().max_schedule_ahead;
    let job = Admission::new(queue.now(), max_ahead, &job_type, payload, options, (None, None));
    let mut prepared = job.expect("an id alone breaks no rule");
    prepared.envelope.refused = Some(reason);
    prepared
}
