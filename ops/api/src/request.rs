//! Turns a job request of the API into a job.

use perch_bot::http::{ApiResult, Cause, Problem, internal};
use perch_jobs::{is_own_key, own_key_reason};
use perch_queue::{EnqueueError, InvalidField, JobRequest, NewJob, Queues};

/// The job for the engine. `traceparent` is the trace of the request.
pub(super) fn into_job(request: JobRequest, queues: &Queues, traceparent: Option<String>) -> ApiResult<NewJob> {
    let types = queues.types();
    let job_type = types.get(&request.kind).ok_or_else(|| EnqueueError::UnknownKind {
        kind: request.kind.chars().take(80).collect(),
        known: types.iter().map(|job_type| job_type.kind.as_str()).collect::<Vec<_>>().join(", "),
    })?;
    let queue = queues.get(&job_type.queue).ok_or_else(internal)?;
    if request.unique.as_ref().is_some_and(|unique| is_own_key(&unique.key)) {
        return Err(Problem::field(Cause::InvalidRequest, "$.unique.key", own_key_reason()));
    }
    job_type.check_from_outside(&request.payload).map_err(EnqueueError::Payload)?;
    let bad = |InvalidField { field, reason }| Problem::field(Cause::InvalidRequest, field, reason);
    let mut job = request.into_job(Some(job_type), queue.now(), queue.engine().max_schedule_ahead).map_err(bad)?;
    job.options.traceparent = traceparent;
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_refused_with_an_example() {
        let json = r#"{"kind":"sync_hot_state","payload":{},"run_at":"2026-01-31 09:00"}"#;
        let document = super::super::input::from_json::<JobRequest>(json).expect_err("no zone").into_document();
        assert_eq!(document.errors[0].field, "$.run_at");
        assert!(document.errors[0].reason.contains("2026-01-31T09:00:00Z"), "{}", document.errors[0].reason);
    }
}
