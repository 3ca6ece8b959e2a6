//! One line of the tail.

use chrono::{DateTime, Utc};
use perch_jobs::QueueName;
use perch_queue::EventKind;
use perch_store::QueueEvent;
use serde::Serialize;

use crate::{
    error::CommandError,
    format::{
        line::{Line, Tone},
        text::{cut, one_line, width},
        time::{clock_ms, took},
    },
    output::Output,
};

/// Events whose value is an envelope; its trace is that of the enqueue.
const WITH_ENVELOPE: [EventKind; 2] = [EventKind::Enqueued, EventKind::Replayed];

/// An event of a queue, from the stream or the history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TailEvent {
    pub queue: QueueName,
    #[serde(flatten)]
    pub what: QueueEvent,
}

impl TailEvent {
    pub fn of(queue: &QueueName, what: QueueEvent) -> Self {
        let has_envelope = WITH_ENVELOPE.iter().any(|kind| kind.as_str() == what.event);
        let trace = what.trace.filter(|_| !has_envelope);
        Self { queue: queue.clone(), what: QueueEvent { trace, ..what } }
    }

    pub fn show(&self, out: &Output, now: DateTime<Utc>) -> Result<(), CommandError> {
        if out.is_json() {
            return out.json_line(self);
        }
        let what = &self.what;
        let attempt = what.attempt.map(|attempt| format!("#{attempt}"));
        let rest = [attempt, what.ms.map(took), what.error.as_deref().map(one_line)];
        let rest = rest.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let kind = what.kind.as_deref().unwrap_or("?");
        let head = format!("{}  {}  {kind:<15}", clock_ms(what.at, now), what.job);
        let room = out.width().saturating_sub(width(&head) + 11).max(20);
        let event = format!("{:<9}", what.event);
        out.styled(&Line::new(head).then(" ").toned(tone_of(&what.event), event).then(" ").then(cut(&rest, room)))
    }
}

/// The tone of an event.
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
