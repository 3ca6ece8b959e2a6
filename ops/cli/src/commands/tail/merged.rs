//! Merges the events of several queues in order of time.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::{event::TailEvent, source::Source};
use crate::error::CommandError;

struct Queued {
    source: Source,
    waiting: VecDeque<TailEvent>,
    /// Whether the last read found no more events.
    is_dry: bool,
}

/// The events of several queues.
pub struct Merged(Vec<Queued>);

impl Merged {
    pub fn new(sources: impl IntoIterator<Item = Source>) -> Self {
        let queued = |source| Queued { source, waiting: VecDeque::new(), is_dry: false };
        Self(sources.into_iter().map(queued).collect())
    }

    /// Notes that there may be new events.
    pub fn look_again(&mut self) {
        for queued in &mut self.0 {
            queued.is_dry = false;
        }
    }

    /// Whether events are buffered.
    pub fn has_waiting(&self) -> bool {
        self.0.iter().any(|queued| !queued.waiting.is_empty())
    }

    /// The next event before `until`; `None` when there is none yet. `until` must be the time of Redis
    /// from before the read: events added later have a later time.
    pub async fn next(&mut self, until: DateTime<Utc>) -> Result<Option<TailEvent>, CommandError> {
        for queued in &mut self.0 {
            if queued.waiting.is_empty() && !queued.is_dry {
                queued.waiting.extend(queued.source.page().await?);
                queued.is_dry = queued.waiting.is_empty();
            }
        }
        let of_queue = |queued: &Queued| queued.waiting.front().map(|told| (told.what.at, told.what.place));
        let first =
            (0..self.0.len()).filter(|&at| of_queue(&self.0[at]).is_some()).min_by_key(|&at| of_queue(&self.0[at]));
        let Some(queued) = first.map(|at| &mut self.0[at]) else { return Ok(None) };
        Ok(queued.waiting.pop_front_if(|told| told.what.at < until))
    }
}
