//! Looking at the dead letters: which, and why.

use std::collections::{BTreeMap, VecDeque};

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use perch_jobs::{JobId, QueueName};
use perch_queue::{DeadLetter, DeadPage, DeadPlace, Queue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    input::{Params, parsed, queues, time},
    jobs::page,
    problem::{Answer, Document},
};

/// Letters read from Redis at once, while it is not known how large they are and once they are known to be small.
pub(super) const AT_ONCE: usize = 20;
const SMALL_AT_ONCE: usize = 500;
/// A letter whose envelope has fewer bytes on average is small.
const SMALL: usize = 4_096;
/// Letters of one queue looked through for one request.
pub(super) const LOOKED_THROUGH: usize = 100_000;
/// Bytes of payloads after which a page ends.
const FULL: usize = 4 * 1024 * 1024;

/// Which dead letters. What is left out does not matter.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeadFilter {
    /// Only of this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Only of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only those whose last error contains this text, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Only of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only those that died before this time.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub before: Option<DateTime<Utc>>,
    /// Only those that died at this time or later.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
}

impl DeadFilter {
    /// Whether a letter of the right queue is meant.
    pub(super) fn fits(&self, letter: &DeadLetter) -> bool {
        let in_time = self.before.is_none_or(|time| letter.died_at < time)
            && self.since.is_none_or(|time| letter.died_at >= time);
        let error_fits = || {
            let wanted = self.error.as_ref().map(|text| text.to_lowercase());
            wanted.is_none_or(|text| letter.last_error().to_lowercase().contains(&text))
        };
        let envelope_fits = || {
            if self.kind.is_none() && self.group.is_none() {
                return true;
            }
            let Some(envelope) = letter.decoded() else { return false };
            self.kind.as_ref().is_none_or(|kind| envelope.kind.as_str() == kind)
                && self.group.as_ref().is_none_or(|group| envelope.group.as_ref() == Some(group))
        };
        in_time && error_fits() && envelope_fits()
    }

    /// True when no older letter can fit, because letters come the latest first.
    pub(super) fn ends_at(&self, letter: &DeadLetter) -> bool {
        self.since.is_some_and(|time| letter.died_at < time)
    }
}

/// Which dead letters to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadParams {
    /// Only of this queue.
    queue: Option<String>,
    /// Only of this kind.
    kind: Option<String>,
    /// Only those whose last error contains this text, in any case.
    error: Option<String>,
    /// Only of this group.
    group: Option<String>,
    /// Only those that died before this time (RFC 3339).
    #[serde(default, deserialize_with = "time")]
    before: Option<DateTime<Utc>>,
    /// Only those that died at this time (RFC 3339) or later.
    #[serde(default, deserialize_with = "time")]
    since: Option<DateTime<Utc>>,
    /// For the next page: `next` of the page before, as it is.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{16}([0-9a-f]{2})*$")]
    after: Option<Cursor>,
    /// At most so many, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// Where a page ended, as clients carry it. What is in it is no promise.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor(DeadPlace);

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let DeadPlace { died_ms, member } = &self.0;
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
        Ok(Self(DeadPlace { died_ms: i64::from_be_bytes(*died_ms), member: member.to_vec() }))
    }
}

impl DeadParams {
    fn filter(self) -> DeadFilter {
        let Self { queue, kind, error, group, before, since, .. } = self;
        DeadFilter { queue, kind, error, group, before, since }
    }
}

/// A job in the dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadAnswer {
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
    /// How often it was brought back before.
    pub replays: u32,
    /// What its limits are counted by.
    pub group: Option<String>,
    /// The last error.
    pub error: String,
    /// The last error without what differs from job to job.
    pub cause: String,
    /// Its payload; null when its envelope cannot be read.
    #[schema(value_type = Value)]
    pub payload: Option<Box<RawValue>>,
}

impl DeadAnswer {
    fn of(queue: &Queue, letter: &DeadLetter) -> Self {
        let envelope = letter.decoded();
        let of = envelope.as_ref();
        Self {
            id: letter.id,
            queue: queue.name().clone(),
            kind: of.map(|envelope| envelope.kind.to_string()),
            died_at: letter.died_at,
            attempts: letter.attempts,
            replays: of.map_or(0, |envelope| envelope.replays),
            group: of.and_then(|envelope| envelope.group.clone()),
            error: letter.last_error().to_owned(),
            cause: letter.cause(),
            payload: envelope.map(|envelope| envelope.payload),
        }
    }
}

/// Dead letters in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadList {
    /// The letters, the latest first.
    pub letters: Vec<DeadAnswer>,
    /// What to give as `after` for the next page; null when there is none.
    pub next: Option<String>,
}

/// List dead letters
///
/// The latest first. For the next page, give `next` of the answer as `after`, until it is null: each letter that is there all
/// the while is listed once. A page may have fewer letters than asked for, because they are large or because many were looked
/// through that do not fit.
#[utoipa::path(get, path = "/dead", tag = "dead letters", operation_id = "dead_letters", params(DeadParams),
    responses(
        (status = 200, description = "The letters.", body = DeadList),
        (status = 404, description = "There is no such queue.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(State(app): State<App>, Params(mut params): Params<DeadParams>) -> Answer<Json<DeadList>> {
    let (limit, after) = (page(params.limit)?, params.after.take().map(|Cursor(place)| place));
    let filter = params.filter();
    let queues = queues(&app, filter.queue.as_deref())?;
    let mut queues: Vec<Pages<'_>> = queues.iter().map(|queue| Pages::of(queue, &filter, after.clone())).collect();
    let (mut letters, mut bytes, mut last) = (Vec::new(), 0, after);
    while let Some((at, letter)) = latest(&mut queues, &filter).await? {
        last = Some(DeadPlace::from(&letter));
        if filter.fits(&letter) {
            bytes += letter.envelope.as_ref().map_or(0, String::len);
            letters.push(DeadAnswer::of(queues[at].queue, &letter));
        }
        if letters.len() >= limit || bytes >= FULL {
            break;
        }
    }
    let is_over = queues.iter().all(|pages| pages.waiting.is_empty() && pages.is_complete());
    let next = last.filter(|_| !is_over).map(|place| Cursor(place).to_string());
    Ok(Json(DeadList { letters, next }))
}

/// The latest letter of several queues, and the place of its queue. Nothing once a queue has been looked through as far as it is.
async fn latest(queues: &mut [Pages<'_>], filter: &DeadFilter) -> Answer<Option<(usize, DeadLetter)>> {
    for pages in queues.iter_mut() {
        if !pages.fill(filter).await? {
            return Ok(None);
        }
    }
    let first = queues.iter().enumerate().filter_map(|(at, pages)| Some((DeadPlace::from(pages.waiting.front()?), at)));
    let Some((_, at)) = first.min() else { return Ok(None) };
    Ok(queues[at].waiting.pop_front().map(|letter| (at, letter)))
}

/// The dead letters of a queue, the latest first, page by page. Letters that are taken away meanwhile move no other out of
/// sight.
pub(super) struct Pages<'a> {
    queue: &'a Queue,
    after: Option<DeadPlace>,
    at_once: usize,
    seen: usize,
    over: bool,
    /// Those that were read and not asked for yet.
    waiting: VecDeque<DeadLetter>,
}

impl<'a> Pages<'a> {
    /// Those after a place that the filter may mean.
    pub fn of(queue: &'a Queue, filter: &DeadFilter, after: Option<DeadPlace>) -> Self {
        let after = after.into_iter().chain(filter.before.map(DeadPlace::before)).max();
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

/// Dead letters of one cause.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadGroup {
    /// Their queue.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Their kind; missing where the envelope cannot be read.
    pub kind: Option<String>,
    /// Their last error without what differs from job to job.
    pub cause: String,
    /// How many they are.
    pub count: u64,
    /// When the first of them died.
    pub oldest: DateTime<Utc>,
    /// When the last of them died.
    pub newest: DateTime<Utc>,
    /// The id of the latest.
    #[schema(value_type = String)]
    pub sample: JobId,
}

/// Dead letters by cause.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadStats {
    /// The groups, the largest first.
    pub groups: Vec<DeadGroup>,
    /// The letters in all groups.
    pub letters: u64,
    /// False when a queue has more letters than were looked through.
    pub complete: bool,
}

/// Group dead letters by cause
///
/// What the last error of a job says, without the numbers and ids in it, is its cause.
#[utoipa::path(get, path = "/dead/stats", tag = "dead letters", operation_id = "dead_stats", params(DeadFilter),
    responses(
        (status = 200, description = "The groups.", body = DeadStats),
        (status = 404, description = "There is no such queue.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn stats(State(app): State<App>, Params(filter): Params<DeadFilter>) -> Answer<Json<DeadStats>> {
    let mut groups = BTreeMap::new();
    let mut complete = true;
    for queue in queues(&app, filter.queue.as_deref())? {
        let mut pages = Pages::of(&queue, &filter, None);
        while let Some(page) = pages.next(&filter).await? {
            for letter in page.iter().filter(|letter| filter.fits(letter)) {
                add(&mut groups, &queue, letter);
            }
        }
        complete &= pages.is_complete();
    }
    let mut groups: Vec<DeadGroup> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    Ok(Json(DeadStats { letters: groups.iter().map(|group| group.count).sum(), groups, complete }))
}

type Key = (QueueName, Option<String>, String);

fn add(groups: &mut BTreeMap<Key, DeadGroup>, queue: &Queue, letter: &DeadLetter) {
    let kind = letter.decoded().map(|envelope| envelope.kind.to_string());
    let (queue, cause) = (queue.name().clone(), letter.cause());
    let group = groups.entry((queue.clone(), kind.clone(), cause.clone())).or_insert_with(|| DeadGroup {
        queue,
        kind,
        cause,
        count: 0,
        oldest: letter.died_at,
        newest: letter.died_at,
        sample: letter.id,
    });
    group.count += 1;
    group.oldest = group.oldest.min(letter.died_at);
    if letter.died_at > group.newest {
        (group.newest, group.sample) = (letter.died_at, letter.id);
    }
}

#[cfg(test)]
mod tests {
    use perch_queue::EventData;

    use super::*;

    fn letter(error: &str, envelope: &str) -> DeadLetter {
        DeadLetter {
            id: JobId::at(Utc::now()),
            died_at: Utc::now(),
            envelope: Some(envelope.into()),
            attempts: 3,
            errors: vec![EventData { error: Some(error.into()), ..EventData::default() }],
        }
    }

    #[test]
    fn a_filter_means_only_letters_that_fit_in_every_respect() {
        let letter = letter("X refused: 503", r#"{"kind":"publish_post","max":8,"group":"account:main","payload":{}}"#);
        let filter = |kind: &str, error: &str| DeadFilter {
            kind: Some(kind.into()),
            error: Some(error.into()),
            ..DeadFilter::default()
        };
        assert!(DeadFilter::default().fits(&letter));
        assert!(filter("publish_post", "x REFUSED").fits(&letter));
        assert!(!filter("publish_post", "429").fits(&letter));
        assert!(!filter("poll_account", "503").fits(&letter));
        assert!(DeadFilter { group: Some("account:main".into()), ..DeadFilter::default() }.fits(&letter));
        assert!(!DeadFilter { before: Some(letter.died_at), ..DeadFilter::default() }.fits(&letter));
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_and_one_that_was_made_up_is_refused() {
        let cursor = Cursor(DeadPlace { died_ms: 1_790_000_000_123, member: b"01KAJ3Z8Q0V5N6T7R8S9W0X1Y2".to_vec() });
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "00ff", "000001A0C1E5C07B", "000001a0c1e5c07b0", "2026-01-31T09:00:00Z"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_letter_that_cannot_be_read_is_meant_unless_a_kind_is_asked_for() {
        let letter = letter("unreadable", "garbage");
        assert!(DeadFilter::default().fits(&letter));
        assert!(!DeadFilter { kind: Some("publish_post".into()), ..DeadFilter::default() }.fits(&letter));
    }
}
