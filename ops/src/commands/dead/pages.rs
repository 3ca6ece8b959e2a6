//! The dead letters that a filter wants, page by page, while others come and go.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use perch_queue::{DeadLetter, Queue, QueueError};

use super::filter::Filter;

const PAGE: usize = 500;

/// Walks through the dead letters of one queue, the latest first. Letters that die after it began are left alone, so a
/// replay cannot chase jobs that die again.
pub struct Pages<'a> {
    queue: &'a Queue,
    filter: &'a Filter,
    began: DateTime<Utc>,
    offset: usize,
    seen: HashSet<JobId>,
    seen_before_pass: usize,
    repeat: bool,
    is_done: bool,
}

impl<'a> Pages<'a> {
    /// Those wanted of the letters that died until `began`.
    pub fn new(queue: &'a Queue, filter: &'a Filter, began: DateTime<Utc>) -> Self {
        Self {
            queue,
            filter,
            began,
            offset: 0,
            seen: HashSet::new(),
            seen_before_pass: 0,
            repeat: false,
            is_done: false,
        }
    }

    /// Begins again at the end, until nothing new is found: for callers that take letters away, which moves the others.
    #[must_use]
    pub fn while_removing(mut self) -> Self {
        self.repeat = true;
        self
    }

    /// The next letters, not more than 500, each once; `None` when there are no more.
    pub async fn next(&mut self) -> Result<Option<Vec<DeadLetter>>, QueueError> {
        if !self.filter.id.is_empty() {
            return self.by_id().await;
        }
        while !self.is_done {
            let page = self.queue.dead_letters(self.offset, PAGE).await?;
            if page.is_empty() {
                self.is_done = !self.repeat || self.seen.len() == self.seen_before_pass;
                self.seen_before_pass = self.seen.len();
                self.offset = 0;
                continue;
            }
            self.offset += page.len();
            let wanted: Vec<DeadLetter> = page.into_iter().filter(|letter| self.is_new(letter)).collect();
            if !wanted.is_empty() {
                return Ok(Some(wanted));
            }
        }
        Ok(None)
    }

    /// Says that so many of the letters are gone from the list.
    pub fn removed(&mut self, count: usize) {
        self.offset = self.offset.saturating_sub(count);
    }

    fn is_new(&mut self, letter: &DeadLetter) -> bool {
        letter.died_at <= self.began && self.filter.wants(letter, self.began) && self.seen.insert(letter.id)
    }

    async fn by_id(&mut self) -> Result<Option<Vec<DeadLetter>>, QueueError> {
        if std::mem::replace(&mut self.is_done, true) {
            return Ok(None);
        }
        let mut wanted = Vec::new();
        for &id in &self.filter.id {
            let letter = self.queue.dead_letter(id).await?;
            wanted.extend(letter.filter(|letter| self.is_new(letter)));
        }
        Ok(Some(wanted))
    }
}
