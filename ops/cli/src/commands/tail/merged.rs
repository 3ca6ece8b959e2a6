//! The events of several queues in the order in which they happened.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::{event::TailEvent, source::Source};
use crate::error::CommandError;

struct Queued {
    source: Source,
    waiting: VecDeque<TailEvent>,
    /// Whether it had nothing more when it was last read.
    is_dry: bool,
}

/// The events of several queues.
pub struct Merged(Vec<Queued>);

impl Merged {
    pub fn new(sources: impl IntoIterator<Item = Source>) -> Self {
        let queued = |source| Queued { source, waiting: VecDeque::new(), is_dry: false };
        Self(sources.into_iter().map(queued).collect())
    }

    /// Says that there may be more than at the last look.
    pub fn look_again(&mut self) {
        for queued in &mut self.0 {
            queued.is_dry = false;
        }
    }

    /// Whether events wait for their turn.
    pub fn has_waiting(&self) -> bool {
        self.0.iter().any(|queued| !queued.waiting.is_empty())
    }

    /// The next event of those before `until`; `None` when there is none yet. `until` is a time after which Redis had added nothing
    /// when this look began: what is added later happens later.
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
