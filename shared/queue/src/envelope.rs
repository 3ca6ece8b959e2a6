use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, JobKind, JobType, Priority, RetryPolicy, Unique};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A job as it is stored: the value of its id in the hash `jobs`, as JSON.
///
/// The id is the field of the hash and its time is in the id, so neither is repeated here. What equals its default is
/// left out. Nothing but a replay rewrites it, and that keeps fields which this version does not know (see [`Envelope::amend`]).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope {
    /// Version of the encoding; left out for 1.
    #[serde(rename = "v", default = "one", skip_serializing_if = "is_one")]
    pub version: u32,
    /// The kind, which names the handler.
    pub kind: JobKind,
    /// Attempts in all before the job is dead.
    #[serde(rename = "max")]
    pub max_attempts: u32,
    /// Backoff, where the enqueue asked for another than its kind's: base and cap in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<(u64, u64)>,
    /// Which jobs go first.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// When it was meant to run first, if not at once, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_milliseconds_option")]
    pub run_at: Option<DateTime<Utc>>,
    /// How long one attempt may take, where it differs from the kind's, in milliseconds.
    #[serde(rename = "timeout_ms", default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// After this it is dead instead of started, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_milliseconds_option")]
    pub deadline: Option<DateTime<Utc>>,
    /// Its uniqueness lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Unique>,
    /// What its limits are counted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The trace that enqueued it, as a W3C `traceparent`.
    #[serde(rename = "trace", default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The job whose handler enqueued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<JobId>,
    /// How often an operator brought it back from the dead letters.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replays: u32,
    /// Attempts that each replay grants, once there was one: those that the job had at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_life: Option<u32>,
    /// The payload, byte for byte as it was enqueued.
    pub payload: Box<RawValue>,
}

const VERSION: u32 = 1;

fn one() -> u32 {
    VERSION
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_one(n: &u32) -> bool {
    *n == VERSION
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// An envelope that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON of the expected form.
    #[error("the envelope is not readable: {0}")]
    Malformed(String),
    /// From a newer Perch.
    #[error("the envelope has version {0}, this worker knows up to {VERSION}; deploy the newer release")]
    TooNew(u32),
}

impl Envelope {
    /// An envelope with the rules of `job_type` and the given payload.
    pub fn new(job_type: &JobType, payload: Box<RawValue>) -> Self {
        Self {
            version: VERSION,
            kind: job_type.kind.clone(),
            max_attempts: job_type.retry.max_attempts,
            backoff: None,
            priority: job_type.priority,
            run_at: None,
            timeout_ms: None,
            deadline: None,
            unique: None,
            group: None,
            traceparent: None,
            parent: None,
            replays: 0,
            max_per_life: None,
            payload,
        }
    }

    /// Reads an envelope.
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let text = std::str::from_utf8(bytes).map_err(|e| EnvelopeError::Malformed(e.to_string()))?;
        let envelope: Self = serde_json::from_str(text).map_err(|e| EnvelopeError::Malformed(e.to_string()))?;
        if envelope.version > VERSION { Err(EnvelopeError::TooNew(envelope.version)) } else { Ok(envelope) }
    }

    /// Writes an envelope.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("an envelope has text keys and values that JSON can hold")
    }

    /// The same envelope with some fields set anew and all others, known or not, byte for byte as they were.
    pub fn amend(stored: &str, changes: &[(&str, Box<RawValue>)]) -> Result<String, EnvelopeError> {
        let malformed = |e: serde_json::Error| EnvelopeError::Malformed(e.to_string());
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(stored).map_err(malformed)?;
        for (name, value) in changes {
            fields.insert((*name).to_owned(), value.clone());
        }
        serde_json::to_string(&fields).map_err(malformed)
    }

    /// The retry policy that holds for this job: its own, else that of its kind.
    pub fn retry(&self, kind: &RetryPolicy) -> RetryPolicy {
        let (base_ms, cap_ms) = self.backoff.unwrap_or((kind.base_ms, kind.cap_ms));
        RetryPolicy { max_attempts: self.max_attempts, base_ms, cap_ms }
    }
}

#[cfg(test)]
mod tests {
    use perch_jobs::JobTypes;

    use super::*;

    fn sample() -> Envelope {
        let types = JobTypes::perch();
        let payload = RawValue::from_string("{}".into()).expect("JSON");
        Envelope::new(types.get("sync_hot_state").expect("built in"), payload)
    }

    #[test]
    fn what_equals_its_default_takes_no_room() {
        assert_eq!(sample().encode(), r#"{"kind":"sync_hot_state","max":10,"payload":{}}"#);
    }

    #[test]
    fn a_field_of_a_newer_release_survives_an_amendment() {
        let stored = r#"{"kind":"sync_hot_state","max":10,"payload":{"b":1,"a":2},"colour":"blue"}"#;
        let amended =
            Envelope::amend(stored, &[("replays", RawValue::from_string("1".into()).expect("JSON"))]).expect("valid");
        assert!(amended.contains(r#""colour":"blue""#) && amended.contains(r#""payload":{"b":1,"a":2}"#), "{amended}");
        assert_eq!(Envelope::decode(amended.as_bytes()).expect("valid").replays, 1);
    }

    #[test]
    fn an_envelope_of_a_newer_version_is_refused_and_not_guessed_at() {
        let newer = r#"{"v":9,"kind":"sync_hot_state","max":1,"payload":{}}"#;
        assert_eq!(Envelope::decode(newer.as_bytes()).expect_err("too new"), EnvelopeError::TooNew(9));
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        assert!(matches!(Envelope::decode(&[0xff, 0xfe]), Err(EnvelopeError::Malformed(_))));
    }
}
