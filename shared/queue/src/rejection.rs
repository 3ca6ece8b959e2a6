//! Requests from outside that are no valid jobs, where nobody waits for an error. They are enqueued nevertheless, and their first
//! attempt moves them to the dead letters: there an operator finds them complete, with the reason, and can repair them.

use perch_job::{JobId, JobKind, JobType};
use serde_json::value::{RawValue, to_raw_value};

use crate::{EnqueueOptions, Queue, admission::Admission};

/// The kind of a request without one.
pub(crate) const NO_KIND: &str = "intake_refused";

/// A job of the requested kind and payload (as a JSON string, where it is no JSON) that is refused for `reason`.
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
