//! Looking at the dead letters: which, and why.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use perch_jobs::{JobId, QueueName};
use perch_queue::{DeadLetter, Queue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    dead_pages::{Cursor, Pages, Walk},
    input::{Params, page, parsed, queues, time},
    problem::{Answer, Document},
};

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
    let mut walk = Walk::new(&queues, &filter, after);
    let (mut letters, mut bytes) = (Vec::new(), 0);
    while let Some((queue, letter)) = walk.next().await? {
        if filter.fits(&letter) {
            bytes += letter.envelope.as_ref().map_or(0, String::len);
            letters.push(DeadAnswer::of(queue, &letter));
        }
        if letters.len() >= limit || bytes >= FULL {
            break;
        }
    }
    Ok(Json(DeadList { letters, next: walk.rest().map(|place| Cursor(place).to_string()) }))
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
    fn a_letter_that_cannot_be_read_is_meant_unless_a_kind_is_asked_for() {
        let letter = letter("unreadable", "garbage");
        assert!(DeadFilter::default().fits(&letter));
        assert!(!DeadFilter { kind: Some("publish_post".into()), ..DeadFilter::default() }.fits(&letter));
    }
}
