//! A job as a client asks for it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_jobs::{JobId, JobKind, JobType, Priority, RetryPolicy, Unique, UniqueScope, is_own_key, own_key_reason};
use perch_queue::{EnqueueError, EnqueueOptions, NewJob, OnConflict, Queues};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    failure,
    input::{parsed, time},
    problem::{Answer, Cause, Problem},
};

/// A job to enqueue. What is left out follows the rules of its kind.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Its kind; `GET /api/v1/kinds` lists those there are.
    #[schema(example = "poll_account")]
    pub kind: String,
    /// What the kind asks for, by the JSON schema that `GET /api/v1/kinds` gives.
    #[schema(value_type = Object, example = json!({ "username": "sharp_sally" }))]
    pub payload: Box<RawValue>,
    /// The id to give it: a ULID. While a job with this id is not finished, a second one is a duplicate and adds nothing.
    #[serde(default, deserialize_with = "parsed")]
    #[schema(value_type = Option<String>, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
    pub id: Option<JobId>,
    /// Not before this time. A time in the past means at once.
    #[serde(default, deserialize_with = "time")]
    pub run_at: Option<DateTime<Utc>>,
    /// Not before so many milliseconds from now; in place of `run_at`.
    pub delay_ms: Option<u64>,
    /// Which jobs of the queue go first.
    pub priority: Option<Priority>,
    /// How failed attempts are repeated. What is left out of it follows the kind.
    pub retry: Option<RetryRequest>,
    /// How long one attempt may take, in milliseconds: at most 6 hours.
    #[schema(minimum = 1, maximum = 21_600_000)]
    pub timeout_ms: Option<u64>,
    /// Dead instead of started after this time.
    #[serde(default, deserialize_with = "time")]
    pub deadline: Option<DateTime<Utc>>,
    /// Keeps a second job with the same key out.
    pub unique: Option<UniqueRequest>,
    /// What happens when another job holds the unique key. `keep` when it is left out.
    pub on_conflict: Option<OnConflict>,
    /// What its limits are counted by: 1 to 128 bytes without `|`.
    #[schema(min_length = 1, max_length = 128, pattern = "^[^|]*$")]
    pub group: Option<String>,
}

/// How failed attempts are repeated: after a random time up to `base_ms`, doubled with each attempt up to `cap_ms`.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Retry)]
pub struct RetryRequest {
    /// Attempts in all, 1 to 100.
    #[schema(minimum = 1, maximum = 100)]
    pub max_attempts: Option<u32>,
    /// The longest first delay, in milliseconds.
    pub base_ms: Option<u64>,
    /// The longest delay of all, in milliseconds: at least `base_ms`, at most a day.
    #[schema(maximum = 86_400_000)]
    pub cap_ms: Option<u64>,
}

/// A lock that one job at a time holds.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Unique)]
pub struct UniqueRequest {
    /// What must be unique within the queue: 1 to 256 bytes. Keys of Perch's own jobs, such as `reply:…`, are refused.
    #[schema(min_length = 1, max_length = 256)]
    pub key: String,
    /// How long the key is held.
    pub scope: UniqueScope,
}

impl JobRequest {
    /// The kind that is asked for, if there is one.
    pub(super) fn job_type<'a>(&self, queues: &'a Queues) -> Answer<&'a JobType> {
        let types = queues.types();
        types.get(&self.kind).ok_or_else(|| {
            EnqueueError::UnknownKind {
                kind: self.kind.chars().take(80).collect(),
                known: types.iter().map(|job_type| job_type.kind.as_str()).collect::<Vec<_>>().join(", "),
            }
            .into()
        })
    }

    /// The job as the engine takes it. `traceparent` is the trace that the request belongs to.
    pub(super) fn into_job(self, queues: &Queues, traceparent: Option<String>) -> Answer<NewJob> {
        let job_type = self.job_type(queues)?;
        let kind: JobKind = job_type.kind.clone();
        let queue = queues.get(&job_type.queue).ok_or_else(failure::internal)?;
        if self.unique.as_ref().is_some_and(|unique| is_own_key(&unique.key)) {
            return Err(Problem::field(Cause::InvalidRequest, "$.unique.key", own_key_reason()));
        }
        job_type.check_from_outside(&self.payload).map_err(EnqueueError::Payload)?;
        let options = EnqueueOptions {
            id: self.id,
            delay: None,
            run_at: start(self.run_at, self.delay_ms, queue.now(), queue.engine().max_schedule_ahead)?,
            priority: self.priority,
            retry: self.retry.map(|retry| retry.over(&job_type.retry)),
            timeout: self.timeout_ms.map(Duration::from_millis),
            deadline: self.deadline,
            unique: self.unique.map(Unique::from),
            on_conflict: self.on_conflict.unwrap_or_default(),
            group: self.group,
            traceparent,
            parent: None,
        };
        Ok(NewJob { kind, payload: self.payload, options })
    }
}

impl RetryRequest {
    fn over(self, rule: &RetryPolicy) -> RetryPolicy {
        RetryPolicy {
            max_attempts: self.max_attempts.unwrap_or(rule.max_attempts),
            base_ms: self.base_ms.unwrap_or(rule.base_ms),
            cap_ms: self.cap_ms.unwrap_or(rule.cap_ms),
        }
    }
}

impl From<UniqueRequest> for Unique {
    fn from(request: UniqueRequest) -> Self {
        Self { key: request.key, scope: request.scope }
    }
}

/// When the job may start. The engine checks `run_at` against the same limit; a delay is checked here, because the engine
/// would blame a field that the request does not have.
fn start(
    run_at: Option<DateTime<Utc>>,
    delay_ms: Option<u64>,
    now: DateTime<Utc>,
    most_ahead: Duration,
) -> Answer<Option<DateTime<Utc>>> {
    let refuse = |reason: String| Problem::field(Cause::InvalidRequest, "$.delay_ms", reason);
    match (run_at, delay_ms) {
        (Some(_), Some(_)) => Err(refuse("give either run_at or delay_ms, not both".into())),
        (run_at, None) => Ok(run_at),
        (None, Some(ms)) => {
            let delay = i64::try_from(ms).ok().and_then(TimeDelta::try_milliseconds);
            let delay = delay.filter(|_| Duration::from_millis(ms) <= most_ahead);
            let at = delay.and_then(|delay| now.checked_add_signed(delay));
            let limit = most_ahead.as_millis();
            at.map(Some)
                .ok_or_else(|| refuse(format!("it is {ms}; at most {limit} is allowed (engine.max_schedule_ahead)")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_counts_from_now_and_excludes_a_time() {
        let now = Utc::now();
        let start = |run_at, delay_ms| start(run_at, delay_ms, now, Duration::from_secs(60));
        assert_eq!(start(None, Some(1_500)).expect("a delay"), Some(now + TimeDelta::milliseconds(1_500)));
        assert!(start(Some(now), Some(1)).is_err());
        assert!(start(None, Some(60_001)).is_err() && start(None, Some(u64::MAX)).is_err());
    }

    #[test]
    fn what_a_retry_leaves_out_follows_the_kind() {
        let asked = RetryRequest { max_attempts: Some(2), base_ms: None, cap_ms: None };
        let policy = asked.over(&RetryPolicy::DEFAULT);
        assert_eq!((policy.max_attempts, policy.base_ms), (2, RetryPolicy::DEFAULT.base_ms));
    }

    #[test]
    fn a_time_without_a_zone_is_refused_with_an_example() {
        let json = r#"{"kind":"sync_hot_state","payload":{},"run_at":"2026-01-31 09:00"}"#;
        let document = super::super::input::from_json::<JobRequest>(json).expect_err("no zone").into_document();
        assert_eq!(document.errors[0].field, "$.run_at");
        assert!(document.errors[0].reason.contains("2026-01-31T09:00:00Z"), "{}", document.errors[0].reason);
    }
}
