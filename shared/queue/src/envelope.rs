use std::{collections::BTreeMap, fmt::Write as _};

use chrono::{DateTime, Utc};
use perch_job::{JobId, JobKind, JobType, Priority, RetryPolicy, Unique};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A job as it is stored: the JSON value under its id in the hash `jobs`.
///
/// The hash field is the id, and the id holds the enqueue time, so neither is repeated here. Default values are left out. Only a
/// replay rewrites an envelope, and it keeps fields that this version does not know (see [`Envelope::amend`]).
///
/// Its last field, `sum`, is the CRC-32 (IEEE 802.3) of all bytes before it, as eight hexadecimal digits. An envelope without a
/// checksum at its end, as other clients may write it, is accepted unchecked.
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
    /// Base and cap of the backoff in milliseconds, if not those of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<(u64, u64)>,
    /// Which jobs go first.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// When it should first run, if not at once, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_milliseconds_option")]
    pub run_at: Option<DateTime<Utc>>,
    /// The timeout of one attempt in milliseconds, if not that of the kind.
    #[serde(rename = "timeout_ms", default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// After this time, in milliseconds since 1970, it goes to the dead letters instead of starting.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_milliseconds_option")]
    pub deadline: Option<DateTime<Utc>>,
    /// Its uniqueness lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Unique>,
    /// The group that its limits are counted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The trace that enqueued it, as a W3C `traceparent`.
    #[serde(rename = "trace", default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The job whose handler enqueued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<JobId>,
    /// How often an operator replayed it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub replays: u32,
    /// How many further attempts each replay grants: the original maximum. Set by the first replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_life: Option<u32>,
    /// When it was restored from a Postgres that may have lost its last seconds, in milliseconds since 1970. Its effects may have
    /// happened already without a record.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_milliseconds_option")]
    pub recovered: Option<DateTime<Utc>>,
    /// Why the request was rejected, if no caller waited for the error. The first attempt moves such a job to the dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
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
    /// It is not JSON, or not of the expected form.
    #[error("the envelope is not readable: {0}")]
    Malformed(String),
    /// Its checksum does not match its bytes.
    #[error(
        "the envelope was damaged in Redis: its checksum is {found}, its bytes have {wanted}; repair the payload with `perch dead replay --edit`, or discard it"
    )]
    Damaged {
        /// The checksum of the bytes.
        wanted: String,
        /// The stored checksum.
        found: String,
    },
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
            recovered: None,
            refused: None,
            payload,
        }
    }

    /// Reads an envelope.
    ///
    /// # Errors
    ///
    /// It is not an envelope that this version can read, or its checksum does not match.
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let text = text_of(bytes)?;
        check(text)?;
        Self::read(text)
    }

    /// Reads an envelope without checking its checksum, to show or repair it.
    ///
    /// # Errors
    ///
    /// It is not an envelope that this version can read.
    pub fn decode_damaged(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Self::read(text_of(bytes)?)
    }

    fn read(text: &str) -> Result<Self, EnvelopeError> {
        let envelope: Self = serde_json::from_str(text).map_err(|e| EnvelopeError::Malformed(e.to_string()))?;
        if envelope.version > VERSION { Err(EnvelopeError::TooNew(envelope.version)) } else { Ok(envelope) }
    }

    /// Writes an envelope, with its checksum.
    pub fn encode(&self) -> String {
        // Large enough for most envelopes, to allocate only once.
        let mut bytes = Vec::with_capacity(self.payload.get().len() + 192);
        serde_json::to_writer(&mut bytes, self).expect("an envelope has text keys and values that JSON can hold");
        sealed(String::from_utf8(bytes).expect("JSON is text"))
    }

    /// Changes some fields of a stored envelope and keeps all others, known or not, byte for byte.
    ///
    /// # Errors
    ///
    /// The stored bytes, before or after the changes, are not a valid envelope.
    pub fn amend(stored: &str, changes: &[(&str, Box<RawValue>)]) -> Result<String, EnvelopeError> {
        let malformed = |e: serde_json::Error| EnvelopeError::Malformed(e.to_string());
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(stored).map_err(malformed)?;
        fields.remove(SUM);
        for (name, value) in changes {
            fields.insert((*name).to_owned(), value.clone());
        }
        serde_json::to_string(&fields).map(sealed).map_err(malformed)
    }

    /// Prepares an envelope from Postgres for Redis: adds a checksum, and the time of the recovery if the job may already have
    /// run. The rest is unchanged.
    pub(crate) fn put_back(text: &str, in_doubt: Option<DateTime<Utc>>) -> Result<String, EnvelopeError> {
        Self::decode(text.as_bytes())?;
        let number =
            |at: DateTime<Utc>| RawValue::from_string(at.timestamp_millis().to_string()).expect("a number is JSON");
        let changes: Vec<(&str, Box<RawValue>)> = in_doubt.into_iter().map(|at| ("recovered", number(at))).collect();
        Self::amend(text, &changes)
    }

    /// The retry policy of this job: its own, else that of its kind.
    pub fn retry(&self, kind: &RetryPolicy) -> RetryPolicy {
        let (base_ms, cap_ms) = self.backoff.unwrap_or((kind.base_ms, kind.cap_ms));
        RetryPolicy { max_attempts: self.max_attempts, base_ms, cap_ms }
    }
}

/// The name of the checksum's field.
const SUM: &str = "sum";
/// The text between the bytes covered by the checksum and the checksum.
const BEFORE_SUM: &str = ",\"sum\":\"";
const SUM_DIGITS: usize = 8;

fn sum_of(text: &str) -> String {
    format!("{:0SUM_DIGITS$x}", crc32fast::hash(text.as_bytes()))
}

/// A JSON object with its checksum as its last field.
fn sealed(mut object: String) -> String {
    if object.pop() == Some('}') {
        let sum = crc32fast::hash(object.as_bytes());
        object.push_str(BEFORE_SUM);
        write!(object, "{sum:0SUM_DIGITS$x}\"").expect("a string takes everything");
    }
    object.push('}');
    object
}

/// The bytes covered by the checksum, and the checksum, if the envelope ends with one.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_suffix("\"}")?;
    let (summed, sum) = text.split_at_checked(text.len().checked_sub(SUM_DIGITS)?)?;
    Some((summed.strip_suffix(BEFORE_SUM)?, sum))
}

fn check(text: &str) -> Result<(), EnvelopeError> {
    let Some((summed, found)) = split(text) else { return Ok(()) };
    let wanted = sum_of(summed);
    if wanted == found { Ok(()) } else { Err(EnvelopeError::Damaged { wanted, found: found.to_owned() }) }
}

fn text_of(bytes: &[u8]) -> Result<&str, EnvelopeError> {
    std::str::from_utf8(bytes).map_err(|e| EnvelopeError::Malformed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Envelope {
        let types = perch_jobs::types();
        let payload = RawValue::from_string("{}".into()).expect("JSON");
        Envelope::new(types.get("sync_hot_state").expect("built in"), payload)
    }

    #[test]
    fn what_equals_its_default_takes_no_room() {
        let sum = sum_of(r#"{"kind":"sync_hot_state","max":10,"payload":{}"#);
        let text = format!(r#"{{"kind":"sync_hot_state","max":10,"payload":{{}},"sum":"{sum}"}}"#);
        assert_eq!(sample().encode(), text);
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
    fn a_flipped_byte_anywhere_in_an_envelope_is_noticed() {
        let stored = sample().encode();
        for at in 0..stored.len() {
            for bit in 0..8 {
                let mut bytes = stored.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                // A flipped bit in the name of the checksum field leaves an envelope without a checksum, with all other fields
                // intact.
                if let Ok(read) = Envelope::decode(&bytes) {
                    assert_eq!((read.kind, read.payload.get()), (sample().kind, "{}"), "byte {at}, bit {bit}");
                    assert!(at + BEFORE_SUM.len() + SUM_DIGITS + 2 >= stored.len(), "byte {at}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn an_envelope_that_comes_back_from_postgres_has_a_checksum_and_says_when_it_came() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let stored = sample().encode();
        let spaced = r#"{"max": 10, "kind": "sync_hot_state", "payload": {"a":  1}}"#;
        for text in [stored.as_str(), spaced] {
            let back = Envelope::put_back(text, Some(at)).expect("readable");
            assert!(split(&back).is_some(), "{back}");
            let envelope = Envelope::decode(back.as_bytes()).expect("readable");
            assert_eq!((envelope.recovered, envelope.max_attempts), (Some(at), 10), "{back}");
        }
        assert!(Envelope::put_back(spaced, None).expect("readable").contains(r#""payload":{"a":  1}"#));
        assert!(Envelope::put_back(&stored.replace(":10,", ":11,"), Some(at)).is_err(), "what was damaged stays so");
        let amended = Envelope::amend(&stored, &[("replays", RawValue::from_string("1".into()).expect("JSON"))]);
        let amended = amended.expect("valid");
        assert_eq!(amended.matches(BEFORE_SUM).count(), 1, "{amended}");
        assert!(Envelope::decode(amended.as_bytes()).is_ok());
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
