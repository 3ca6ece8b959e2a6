//! Job requests in JSON: the body of an HTTP request, a line of NDJSON, or a line of an export.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_job::{JobId, JobKind, JobType, Priority, RetryPolicy, Unique, UniqueScope};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{EnqueueOptions, Envelope, NewJob, OnConflict};

/// A job to enqueue. Fields that are left out follow the kind.
#[derive(Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobRequest {
    /// Its kind; `GET /api/v1/kinds` lists them.
    #[cfg_attr(feature = "openapi", schema(example = "poll_account"))]
    pub kind: String,
    /// The payload, by the JSON schema of the kind in `GET /api/v1/kinds`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object, example = json!({ "username": "sharp_sally" })))]
    pub payload: Box<RawValue>,
    /// The id of the job: a ULID. While a job with this id is not finished, a second one is a duplicate and adds nothing.
    #[serde(default, deserialize_with = "parsed", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"))]
    pub id: Option<JobId>,
    /// The job does not start before this time. A time in the past means at once.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub run_at: Option<DateTime<Utc>>,
    /// The delay from now, in milliseconds; instead of `run_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Which jobs of the queue go first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// How failed attempts are retried. Fields that are left out follow the kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryRequest>,
    /// How long one attempt may take, in milliseconds: at most 6 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 21_600_000))]
    pub timeout_ms: Option<u64>,
    /// After this time the job goes to the dead letters instead of starting.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
    /// At most one job with this key at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<UniqueRequest>,
    /// What happens when another job holds the unique key; default `keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_conflict: Option<OnConflict>,
    /// The group that its limits are counted by: 1 to 128 bytes without `|`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128, pattern = "^[^|]*$"))]
    pub group: Option<String>,
    /// How the job died, in an export of dead letters. Ignored.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub died: Option<IgnoredAny>,
}

/// How failed attempts are retried: after a random time up to `base_ms`, which doubles with each attempt up to `cap_ms`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Retry))]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// Attempts in all, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 100))]
    pub max_attempts: Option<u32>,
    /// The longest first delay, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_ms: Option<u64>,
    /// The longest delay of all, in milliseconds: at least `base_ms`, at most a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(maximum = 86_400_000))]
    pub cap_ms: Option<u64>,
}

/// A lock that only one job at a time holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Unique))]
#[serde(deny_unknown_fields)]
pub struct UniqueRequest {
    /// What must be unique within the queue: 1 to 256 bytes. Keys of Perch's own jobs, such as `reply:…`, are refused.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 256))]
    pub key: String,
    /// How long the key is held.
    pub scope: UniqueScope,
}

/// An invalid field of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidField {
    /// The field, as a JSON path.
    pub field: &'static str,
    /// Why.
    pub reason: String,
}

impl JobRequest {
    /// A request that follows the kind in everything but the payload.
    pub fn new(kind: impl Into<String>, payload: Box<RawValue>) -> Self {
        Self {
            kind: kind.into(),
            payload,
            id: None,
            run_at: None,
            delay_ms: None,
            priority: None,
            retry: None,
            timeout_ms: None,
            deadline: None,
            unique: None,
            on_conflict: None,
            group: None,
            died: None,
        }
    }

    /// A request for a new job like this one, to run at once, with its own effects. If the kind is known, a unique key and a
    /// group that the payload implies are left out, so that an edited payload implies its own.
    pub fn again(envelope: &Envelope, known: Option<&JobType>) -> Self {
        let derived = known.and_then(|known| known.check(&envelope.payload).ok());
        let (unique, group) = derived.unwrap_or_default();
        let (base_ms, cap_ms) = envelope.backoff.unzip();
        let own_unique = envelope.unique.clone().filter(|own| Some(own) != unique.as_ref());
        Self {
            priority: Some(envelope.priority),
            retry: Some(RetryRequest {
                max_attempts: Some(envelope.max_per_life.unwrap_or(envelope.max_attempts)),
                base_ms,
                cap_ms,
            }),
            timeout_ms: envelope.timeout_ms,
            unique: own_unique.map(|Unique { key, scope }| UniqueRequest { key, scope }),
            group: envelope.group.clone().filter(|own| Some(own) != group.as_ref()),
            ..Self::new(envelope.kind.to_string(), envelope.payload.clone())
        }
    }

    /// Converts the request to a job, by the rules of its kind if that is known.
    ///
    /// # Errors
    ///
    /// The kind is not a valid name, both `run_at` and `delay_ms` are given, or the delay is longer than `most_ahead`.
    pub fn into_job(
        self,
        known: Option<&JobType>,
        now: DateTime<Utc>,
        most_ahead: Duration,
    ) -> Result<NewJob, InvalidField> {
        let kind: JobKind = self
            .kind
            .parse()
            .map_err(|error: perch_job::InvalidName| InvalidField { field: "$.kind", reason: error.to_string() })?;
        let rule = known.map_or(RetryPolicy::DEFAULT, |known| known.retry);
        let options = EnqueueOptions {
            id: self.id,
            delay: None,
            run_at: start(self.run_at, self.delay_ms, now, most_ahead)?,
            priority: self.priority,
            retry: self.retry.map(|retry| retry.over(&rule)),
            timeout: self.timeout_ms.map(Duration::from_millis),
            deadline: self.deadline,
            unique: self.unique.map(|UniqueRequest { key, scope }| Unique { key, scope }),
            on_conflict: self.on_conflict.unwrap_or_default(),
            group: self.group,
            traceparent: None,
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

/// When the job may start. The engine checks `run_at` against the same limit. A delay is checked here, because the engine would
/// name a field that the request does not have.
fn start(
    run_at: Option<DateTime<Utc>>,
    delay_ms: Option<u64>,
    now: DateTime<Utc>,
    most_ahead: Duration,
) -> Result<Option<DateTime<Utc>>, InvalidField> {
    let refuse = |reason: String| InvalidField { field: "$.delay_ms", reason };
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

/// Deserialises a string by parsing it as `T`, with the error of `T`.
///
/// # Errors
///
/// The value is not a string, or `T` cannot be parsed from it.
pub fn parsed<'de, D, T>(d: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text: Option<String> = Option::deserialize(d)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

/// A time in RFC 3339.
///
/// # Errors
///
/// The value is not a string, or not a time with its zone.
pub fn time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text: Option<String> = Option::deserialize(d)?;
    let read = |text: String| {
        DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc()).map_err(|_| {
            let given: String = text.chars().take(40).collect();
            serde::de::Error::custom(format!("{given:?} is no time; expected RFC 3339, such as 2026-01-31T09:00:00Z"))
        })
    };
    text.map(read).transpose()
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
}
