//! Job events: the history of jobs in the stream of a queue.
//!
//! A stream entry holds one or more events as field and value. The field is the word of the event and the id of the
//! job, as in `succeeded 01JD…`; the value is a JSON object, [`EventData`], or the envelope for `enqueued`. The time of
//! an event is the time in the id of its entry.

use std::fmt;

use chrono::{DateTime, Utc};
use perch_job::JobId;
use redis::{FromRedisValue, ParsingError, Value};
use serde::{
    Deserialize, Serialize, Serializer,
    de::{IntoDeserializer as _, value::StrDeserializer},
};

use crate::{Queue, QueueError};

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was accepted. The value is its envelope.
    Enqueued,
    /// An attempt began.
    Started,
    /// An attempt succeeded; the job is done.
    Succeeded,
    /// An attempt failed; another will follow.
    Retried,
    /// The handler snoozed the job; no attempt was counted.
    Snoozed,
    /// The job is dead: no attempt is left, or another cannot help.
    Dead,
    /// It was cancelled.
    Cancelled,
    /// The worker that ran it was lost; another attempt will follow.
    Lost,
    /// A worker released it unfinished at shutdown; no attempt was counted.
    Released,
    /// An operator replayed it. The value is its envelope.
    Replayed,
    /// An operator, or the retention of the queue, removed it from the dead letters.
    Discarded,
}

impl EventKind {
    /// The word in the stream.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueued => "enqueued",
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Retried => "retried",
            Self::Snoozed => "snoozed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Released => "released",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let word: StrDeserializer<'_, serde::de::value::Error> = word.into_deserializer();
        Self::deserialize(word).ok()
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The data of an event. Fields that do not apply are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventData {
    /// The attempt, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The worker that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// How long the attempt took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// What went wrong, or why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the job runs next, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// The trace of the attempt: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The result of the handler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
    /// When it happened, in milliseconds since 1970; only in errors that are kept with the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// The actor, if an operator caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Serialises errors for JSON output, with the field names used there and times in RFC 3339 instead of milliseconds.
pub(crate) fn with_times<S: Serializer>(errors: &[EventData], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct ErrorView<'a> {
        attempt: Option<u32>,
        worker: Option<&'a str>,
        finished_at: Option<DateTime<Utc>>,
        duration_ms: Option<u64>,
        error: Option<&'a str>,
        next_run: Option<DateTime<Utc>>,
        trace: Option<&'a str>,
        actor: Option<&'a str>,
    }
    serializer.collect_seq(errors.iter().map(|error| ErrorView {
        attempt: error.attempt,
        worker: error.worker.as_deref(),
        finished_at: error.at.and_then(DateTime::from_timestamp_millis),
        duration_ms: error.ms,
        error: error.error.as_deref(),
        next_run: error.next.and_then(DateTime::from_timestamp_millis),
        trace: error.trace.as_deref(),
        actor: error.by.as_deref(),
    }))
}

/// One event of a job.
#[derive(Debug, Clone)]
pub struct JobEvent {
    /// The id of the stream entry it came in.
    pub entry: EntryId,
    /// Its place in that entry, from 0.
    pub index: u32,
    /// What happened.
    pub kind: EventKind,
    /// The job.
    pub job: JobId,
    /// The value as it was read: the envelope for `enqueued` and `replayed`, else [`EventData`].
    pub value: String,
}

impl JobEvent {
    /// When it happened.
    pub fn at(&self) -> DateTime<Utc> {
        self.entry.at()
    }

    /// The data; the default if the value is an envelope or cannot be read.
    pub fn data(&self) -> EventData {
        serde_json::from_str(&self.value).unwrap_or_default()
    }

    /// Reads one field and value of an entry. Gives back the value of what this version does not know.
    ///
    /// # Errors
    ///
    /// Why the field or its value is no event.
    pub fn read(entry: EntryId, index: u32, field: &str, value: String) -> Result<Self, String> {
        let known = field.split_once(' ').and_then(|(word, id)| Some((EventKind::parse(word)?, id.parse().ok()?)));
        match known {
            Some((kind, job)) => Ok(Self { entry, index, kind, job, value }),
            None => Err(value),
        }
    }
}

/// Stream entries in the order in which Redis returns them. A map would lose the order of the events within an entry.
pub(crate) struct Entries(pub Vec<(EntryId, Vec<JobEvent>)>);

impl FromRedisValue for Entries {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        // Bytes, because a value written by hand may not be text and must not hide the others.
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        type Pairs = Vec<(Vec<u8>, Vec<u8>)>;
        let rows: Vec<(String, Pairs)> = match value {
            Value::Nil => Vec::new(),
            value => FromRedisValue::from_redis_value(value)?,
        };
        Ok(Self(
            rows.into_iter()
                .filter_map(|(id, fields)| {
                    let id: EntryId = id.parse().ok()?;
                    let events = (0..)
                        .zip(fields)
                        .filter_map(|(i, (field, value))| JobEvent::read(id, i, &text(field), text(value)).ok());
                    Some((id, events.collect()))
                })
                .collect(),
        ))
    }
}

impl Queue {
    /// The events of at most `count` entries after the entry `after`, each entry with its events in order. An entry whose events
    /// are unknown to this version has none.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn events_after(
        &self,
        after: EntryId,
        count: usize,
    ) -> Result<Vec<(EntryId, Vec<JobEvent>)>, QueueError> {
        let mut cmd = redis::cmd("XRANGE");
        cmd.arg(self.keys().events()).arg(format!("({after}")).arg("+").arg("COUNT").arg(count);
        self.redis().cmd::<Entries>("read events", &cmd).await.map(|entries| entries.0)
    }
}

/// The id of a stream entry: milliseconds since 1970 and a counter. The ids of a stream only increase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds since 1970 by the clock of Redis.
    pub ms: u64,
    /// Counts the entries of one millisecond.
    pub seq: u64,
}

impl EntryId {
    /// The time in the id.
    pub fn at(self) -> DateTime<Utc> {
        i64::try_from(self.ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl std::str::FromStr for EntryId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self { ms: ms.parse()?, seq: seq.parse()? })
    }
}
