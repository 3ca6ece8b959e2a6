//! Remembers the kinds of jobs, which few events carry, to show them with every event.

use std::collections::HashMap;

use perch_jobs::{JobId, JobKind};
use perch_queue::{Envelope, EventKind, JobEvent};

/// Most jobs remembered; when there are more, all are forgotten.
const REMEMBERED: usize = 50_000;

/// The kinds of jobs, from events or looked up.
#[derive(Debug, Default)]
pub struct Kinds(HashMap<JobId, JobKind>);

impl Kinds {
    /// The kind of the event's job, if it is known or the event itself carries it.
    pub fn of(&mut self, event: &JobEvent) -> Option<JobKind> {
        if matches!(event.kind, EventKind::Enqueued | EventKind::Replayed)
            && let Ok(envelope) = Envelope::decode_damaged(event.value.as_bytes())
        {
            self.remember(event.job, envelope.kind);
        }
        if is_last(event.kind) { self.0.remove(&event.job) } else { self.0.get(&event.job).cloned() }
    }

    /// Remembers the kind of a job.
    pub fn remember(&mut self, job: JobId, kind: JobKind) {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(job, kind);
    }
}

/// Whether a job can be forgotten after such an event.
fn is_last(kind: EventKind) -> bool {
    matches!(kind, EventKind::Succeeded | EventKind::Cancelled | EventKind::Discarded)
}
