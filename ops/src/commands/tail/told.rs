//! One line of the tail.

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, QueueName};
use perch_queue::{EntryId, EventKind, JobEvent};
use perch_store::Happened;
use serde::Serialize;

use crate::{
    error::OpsError,
    format::{
        line::{Line, Tone},
        text::{cut, one_line, width},
        time::{clock_ms, took},
    },
    output::Output,
};

/// An event, wherever it was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    pub at: DateTime<Utc>,
    pub queue: QueueName,
    pub event: String,
    pub job: JobId,
    pub kind: Option<String>,
    pub attempt: Option<u32>,
    pub worker: Option<String>,
    pub ms: Option<u64>,
    pub error: Option<String>,
    pub next: Option<DateTime<Utc>>,
    pub trace: Option<String>,
    pub by: Option<String>,
    /// Its place among the events of its queue.
    #[serde(skip)]
    pub place: (EntryId, u32),
}

impl Told {
    pub fn of_stream(queue: &QueueName, event: &JobEvent) -> Self {
        let data = event.data();
        // The value of these is the envelope, whose trace is that of the enqueue.
        let is_envelope = matches!(event.kind, EventKind::Enqueued | EventKind::Replayed);
        Self {
            at: event.at(),
            queue: queue.clone(),
            event: event.kind.as_str().to_owned(),
            job: event.job,
            kind: None,
            attempt: data.attempt,
            worker: data.worker,
            ms: data.ms,
            error: data.error,
            next: data.next.and_then(DateTime::from_timestamp_millis),
            trace: data.trace.filter(|_| !is_envelope),
            by: data.by,
            place: (event.entry, event.index),
        }
    }

    pub fn of_history(queue: &QueueName, happened: Happened) -> Self {
        let is_envelope = ["enqueued", "replayed"].contains(&happened.event.as_str());
        Self {
            at: happened.at,
            queue: queue.clone(),
            event: happened.event,
            job: happened.job,
            kind: happened.kind,
            attempt: happened.attempt,
            worker: happened.worker,
            ms: happened.ms,
            error: happened.error,
            next: happened.next,
            trace: happened.trace.filter(|_| !is_envelope),
            by: happened.by,
            place: happened.place,
        }
    }

    pub fn show(&self, out: &Output, now: DateTime<Utc>) -> Result<(), OpsError> {
        if out.is_json() {
            return out.json_line(self);
        }
        let attempt = self.attempt.map(|attempt| format!("#{attempt}"));
        let rest = [attempt, self.ms.map(took), self.error.as_deref().map(one_line)];
        let rest = rest.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let kind = self.kind.as_deref().unwrap_or("?");
        let head = format!("{}  {}  {kind:<15}", clock_ms(self.at, now), self.job);
        let room = out.width().saturating_sub(width(&head) + 11).max(20);
        let event = format!("{:<9}", self.event);
        out.styled(&Line::new(head).then(" ").toned(tone_of(&self.event), event).then(" ").then(cut(&rest, room)))
    }
}

/// How an event looks.
pub fn tone(kind: EventKind) -> Tone {
    tone_of(kind.as_str())
}

fn tone_of(event: &str) -> Tone {
    match event {
        "succeeded" => Tone::Good,
        "dead" | "lost" => Tone::Bad,
        "retried" | "cancelled" | "discarded" | "replayed" => Tone::Warn,
        _ => Tone::Plain,
    }
}
