//! Dead letters of a deployment, page by page, as the HTTP API and the command line list them.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use perch_base::{Cursor, Page, Paging};
use perch_jobs::{JobId, QueueName};
use perch_queue::{DeadCursor, DeadLetter, DeadPage, Queue, QueueError};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::job_list::ListError;

/// Letters read from Redis in one call, at first and after a page of small ones.
const AT_ONCE: usize = 20;
const SMALL_AT_ONCE: usize = 500;
/// Letters are small when their envelopes have fewer bytes than this on average.
const SMALL: usize = 4_096;
/// The most letters of one queue read for one page.
const LOOKED_THROUGH: usize = 100_000;
/// A page ends once its envelopes have this many bytes.
const FULL: usize = 4 * 1024 * 1024;
/// The name of the list in its cursors.
const LIST: &str = "dead";

/// A job in the dead letters.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadSummary {
    /// The job.
    #[schema(value_type = String)]
    pub id: JobId,
    /// Its queue.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Its kind; missing when its envelope cannot be read.
    pub kind: Option<String>,
    /// When it died.
    pub died_at: DateTime<Utc>,
    /// Attempts made.
    pub attempts: u32,
    /// How often it was replayed before.
    pub replays: u32,
    /// What its limits are counted by.
    pub group: Option<String>,
    /// The last error.
    pub last_error: String,
    /// The last error without what differs from job to job.
    pub cause: String,
    /// Its payload; null when its envelope cannot be read.
    #[schema(value_type = Value)]
    pub payload: Option<Box<RawValue>>,
}

impl DeadSummary {
    /// The summary of a letter of this queue.
    pub fn of(queue: &QueueName, letter: &DeadLetter) -> Self {
        let envelope = letter.salvaged();
        let of = envelope.as_ref();
        Self {
            id: letter.id,
            queue: queue.clone(),
            kind: of.map(|envelope| envelope.kind.to_string()),
            died_at: letter.died_at,
            attempts: letter.attempts,
            replays: of.map_or(0, |envelope| envelope.replays),
            group: of.and_then(|envelope| envelope.group.clone()),
            last_error: letter.last_error().to_owned(),
            cause: letter.cause(),
            payload: envelope.and_then(|envelope| on_one_line(envelope.payload)),
        }
    }
}

/// JSON without control characters, which are only whitespace between its tokens.
fn on_one_line(json: Box<RawValue>) -> Option<Box<RawValue>> {
    if !json.get().contains(|c| c < ' ') {
        return Some(json);
    }
    RawValue::from_string(json.get().chars().filter(|c| *c >= ' ').collect()).ok()
}

/// A period in which letters died.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiedWithin {
    /// From then on.
    pub since: Option<DateTime<Utc>>,
    /// Before then.
    pub until: Option<DateTime<Utc>>,
}

impl DiedWithin {
    /// Whether a letter died in this period.
    pub fn fits(&self, letter: &DeadLetter) -> bool {
        self.since.is_none_or(|since| letter.died_at >= since) && self.until.is_none_or(|until| letter.died_at < until)
    }

    /// Whether the period begins after this letter, so that no letter after it can fit: the latest letters come first.
    fn ends_at(&self, letter: &DeadLetter) -> bool {
        self.since.is_some_and(|since| letter.died_at < since)
    }
}

/// The dead letters of these queues that fit, the latest first. A letter that stays meanwhile is in exactly one page of a walk. A page may
/// have fewer letters than its limit, because they are large or because the letters read for one page are limited.
///
/// # Errors
///
/// Redis is away, or the cursor is of another list.
pub async fn dead_letters(
    queues: &[Queue],
    died: DiedWithin,
    fits: impl Fn(&DeadLetter) -> bool,
    paging: &Paging,
) -> Result<Page<DeadSummary>, ListError> {
    let mut walk = MergedPages::new(queues, died, paging.place(LIST)?);
    let (mut items, mut bytes) = (Vec::new(), 0);
    while let Some((queue, letter)) = walk.next().await? {
        if died.fits(&letter) && fits(&letter) {
            bytes += letter.envelope.as_ref().map_or(0, String::len);
            items.push(DeadSummary::of(queue.name(), &letter));
        }
        if items.len() >= paging.limit() || bytes >= FULL {
            break;
        }
    }
    Ok(Page { items, next: walk.rest().map(|place| Cursor::at(LIST, &place)) })
}

/// Merges the dead letters of several queues, the latest first.
struct MergedPages<'a> {
    queues: Vec<DeadPages<'a>>,
    last: Option<DeadCursor>,
}

impl<'a> MergedPages<'a> {
    /// The letters after a cursor.
    fn new(queues: &'a [Queue], died: DiedWithin, after: Option<DeadCursor>) -> Self {
        let queues = queues.iter().map(|queue| DeadPages::of(queue, died, after.clone())).collect();
        Self { queues, last: after }
    }

    /// The next letter; `None` at the end, or once the most letters of a queue were read for one page.
    async fn next(&mut self) -> Result<Option<(&'a Queue, DeadLetter)>, QueueError> {
        for pages in &mut self.queues {
            if !pages.fill().await? {
                return Ok(None);
            }
        }
        let fronts = self.queues.iter_mut().filter_map(|pages| Some((DeadCursor::from(pages.waiting.front()?), pages)));
        let Some((place, pages)) = fronts.min_by(|(a, _), (b, _)| a.cmp(b)) else { return Ok(None) };
        self.last = Some(place);
        Ok(pages.waiting.pop_front().map(|letter| (pages.queue, letter)))
    }

    /// The cursor after which there may be more letters.
    fn rest(self) -> Option<DeadCursor> {
        let is_over = self.queues.iter().all(|pages| pages.waiting.is_empty() && pages.is_complete());
        self.last.filter(|_| !is_over)
    }
}

/// The dead letters of a queue, the latest first, page by page. Letters that are removed meanwhile do not make it skip others.
#[derive(Debug)]
pub struct DeadPages<'a> {
    queue: &'a Queue,
    died: DiedWithin,
    after: Option<DeadCursor>,
    at_once: usize,
    seen: usize,
    over: bool,
    /// Letters that were read and not returned yet.
    waiting: VecDeque<DeadLetter>,
}

impl<'a> DeadPages<'a> {
    /// The letters after a cursor that may have died in this period.
    pub fn of(queue: &'a Queue, died: DiedWithin, after: Option<DeadCursor>) -> Self {
        let after = after.into_iter().chain(died.until.map(DeadCursor::before)).max();
        Self { queue, died, after, at_once: AT_ONCE, seen: 0, over: false, waiting: VecDeque::new() }
    }

    /// The next page; `None` at the end, once the letters are too old, or once the most letters were read.
    ///
    /// # Errors
    ///
    /// Redis is away.
    pub async fn next(&mut self) -> Result<Option<Vec<DeadLetter>>, QueueError> {
        if self.over || self.seen >= LOOKED_THROUGH {
            return Ok(None);
        }
        let DeadPage { letters, end } = self.queue.dead_page(self.after.as_ref(), self.at_once).await?;
        self.over = end.is_none() || letters.last().is_some_and(|letter| self.died.ends_at(letter));
        self.after = end;
        self.seen += self.at_once;
        let bytes: usize = letters.iter().filter_map(|letter| letter.envelope.as_ref()).map(String::len).sum();
        self.at_once = if bytes < SMALL * letters.len() { SMALL_AT_ONCE } else { AT_ONCE };
        Ok(Some(letters))
    }

    /// Reads more letters when none is buffered. False when there may be more, but the most letters were read.
    async fn fill(&mut self) -> Result<bool, QueueError> {
        while self.waiting.is_empty() && !self.over {
            match self.next().await? {
                Some(letters) => self.waiting.extend(letters),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// False when there may be letters that were not read.
    pub fn is_complete(&self) -> bool {
        self.over
    }
}
