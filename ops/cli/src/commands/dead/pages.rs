//! Reads the dead letters that a filter selects, page by page, while others come and go.

use chrono::{DateTime, Utc};
use perch_queue::{DeadCursor, DeadLetter, DeadPage, Queue, QueueError};

use super::filter::DeadLetterFilter;

const PAGE: usize = 500;

/// Reads the dead letters of one queue, the latest first. Letters that die after it began are skipped, so a
/// replay never meets jobs that die again. No letter is missed when others are removed meanwhile.
pub struct DeadLetterPages<'a> {
    queue: &'a Queue,
    filter: &'a DeadLetterFilter,
    began: DateTime<Utc>,
    after: Option<DeadCursor>,
    is_done: bool,
}

impl<'a> DeadLetterPages<'a> {
    /// The selected letters that died until `began`.
    pub fn new(queue: &'a Queue, filter: &'a DeadLetterFilter, began: DateTime<Utc>) -> Self {
        Self { queue, filter, began, after: None, is_done: false }
    }

    /// The next letters, at most 500, each once; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<DeadLetter>>, QueueError> {
        if !self.filter.id.is_empty() {
            return self.by_id().await;
        }
        while !self.is_done {
            let DeadPage { letters, end } = self.queue.dead_page(self.after.as_ref(), PAGE).await?;
            self.is_done = end.is_none();
            self.after = end;
            let wanted: Vec<DeadLetter> = letters.into_iter().filter(|letter| self.wants(letter)).collect();
            if !wanted.is_empty() {
                return Ok(Some(wanted));
            }
        }
        Ok(None)
    }

    fn wants(&self, letter: &DeadLetter) -> bool {
        letter.died_at <= self.began && self.filter.wants(letter, self.began)
    }

    async fn by_id(&mut self) -> Result<Option<Vec<DeadLetter>>, QueueError> {
        if std::mem::replace(&mut self.is_done, true) {
            return Ok(None);
        }
        let mut ids = self.filter.id.clone();
        ids.sort_unstable();
        ids.dedup();
        let mut wanted = Vec::new();
        for id in ids {
            let letter = self.queue.dead_letter(id).await?;
            wanted.extend(letter.filter(|letter| self.wants(letter)));
        }
        Ok(Some(wanted))
    }
}
