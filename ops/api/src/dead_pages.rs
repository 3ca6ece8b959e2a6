//! Walking through dead letters, the latest first, while others come and go.

use std::collections::VecDeque;

use perch_queue::{DeadCursor, DeadLetter, DeadPage, Queue};

use super::{dead::DeadFilter, problem::Answer};

/// Letters read from Redis at once, while it is not known how large they are and once they are known to be small.
const AT_ONCE: usize = 20;
const SMALL_AT_ONCE: usize = 500;
/// A letter whose envelope has fewer bytes on average is small.
const SMALL: usize = 4_096;
/// Letters of one queue looked through for one request.
const LOOKED_THROUGH: usize = 100_000;
/// Where a page ended, as clients carry it. What is in it is no promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor(pub DeadCursor);

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let DeadCursor { died_ms, member } = &self.0;
        died_ms.to_be_bytes().iter().chain(member).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "it is no place among dead letters; give `next` of the page before as it is";
        let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
        let byte = |pair: &[u8; 2]| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok();
        let (pairs, rest) = text.as_bytes().as_chunks();
        let bytes: Vec<u8> = pairs.iter().map(byte).collect::<Option<_>>().filter(|_| rest.is_empty()).ok_or(wrong)?;
        let (died_ms, member) = bytes.split_first_chunk().ok_or(wrong)?;
        Ok(Self(DeadCursor { died_ms: i64::from_be_bytes(*died_ms), member: member.to_vec() }))
    }
}

/// The dead letters of several queues, the latest first.
pub(super) struct Walk<'a> {
    queues: Vec<Pages<'a>>,
    filter: &'a DeadFilter,
    last: Option<DeadCursor>,
}

impl<'a> Walk<'a> {
    /// Those after a place that the filter may mean.
    pub fn new(queues: &'a [Queue], filter: &'a DeadFilter, after: Option<DeadCursor>) -> Self {
        let queues = queues.iter().map(|queue| Pages::of(queue, filter, after.clone())).collect();
        Self { queues, filter, last: after }
    }

    /// The next letter. Nothing at the end, and when a queue has been looked through as far as it is for one request.
    pub async fn next(&mut self) -> Answer<Option<(&'a Queue, DeadLetter)>> {
        for pages in &mut self.queues {
            if !pages.fill(self.filter).await? {
                return Ok(None);
            }
        }
        let fronts = self.queues.iter_mut().filter_map(|pages| Some((DeadCursor::from(pages.waiting.front()?), pages)));
        let Some((place, pages)) = fronts.min_by(|(a, _), (b, _)| a.cmp(b)) else { return Ok(None) };
        self.last = Some(place);
        Ok(pages.waiting.pop_front().map(|letter| (pages.queue, letter)))
    }

    /// The place after which there may be more.
    pub fn rest(self) -> Option<DeadCursor> {
        let is_over = self.queues.iter().all(|pages| pages.waiting.is_empty() && pages.is_complete());
        self.last.filter(|_| !is_over)
    }
}

/// The dead letters of a queue, the latest first, page by page. Letters that are taken away meanwhile move no other out of
/// sight.
pub(super) struct Pages<'a> {
    queue: &'a Queue,
    after: Option<DeadCursor>,
    at_once: usize,
    seen: usize,
    over: bool,
    /// Those that were read and not asked for yet.
    waiting: VecDeque<DeadLetter>,
}

impl<'a> Pages<'a> {
    /// Those after a place that the filter may mean.
    pub fn of(queue: &'a Queue, filter: &DeadFilter, after: Option<DeadCursor>) -> Self {
        let after = after.into_iter().chain(filter.before.map(DeadCursor::before)).max();
        Self { queue, after, at_once: AT_ONCE, seen: 0, over: false, waiting: VecDeque::new() }
    }

    /// The next page; nothing once the letters are over, too old for the filter, or too many to look through.
    pub async fn next(&mut self, filter: &DeadFilter) -> Answer<Option<Vec<DeadLetter>>> {
        if self.over || self.seen >= LOOKED_THROUGH {
            return Ok(None);
        }
        let DeadPage { letters, end } = self.queue.dead_page(self.after.as_ref(), self.at_once).await?;
        self.over = end.is_none() || letters.last().is_some_and(|letter| filter.ends_at(letter));
        self.after = end;
        self.seen += self.at_once;
        let bytes: usize = letters.iter().filter_map(|letter| letter.envelope.as_ref()).map(String::len).sum();
        self.at_once = if bytes < SMALL * letters.len() { SMALL_AT_ONCE } else { AT_ONCE };
        Ok(Some(letters))
    }

    /// Reads on when no letter waits. False when there may be more, and too many have been looked through.
    async fn fill(&mut self, filter: &DeadFilter) -> Answer<bool> {
        while self.waiting.is_empty() && !self.over {
            match self.next(filter).await? {
                Some(letters) => self.waiting.extend(letters),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// False when there are letters that nobody looked at.
    pub fn is_complete(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_one_that_was_made_up_is_refused() {
        let cursor = Cursor(DeadCursor { died_ms: 1_790_000_000_123, member: b"01KAJ3Z8Q0V5N6T7R8S9W0X1Y2".to_vec() });
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "00ff", "000001A0C1E5C07B", "000001a0c1e5c07b0", "2026-01-31T09:00:00Z"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
