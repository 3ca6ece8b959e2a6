//! Lists dead letters, and groups them by cause.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use perch_bot::http::{ApiResult, Document};
use perch_core::{
    dead_causes::{Causes, DeadStats},
    dead_list::{DeadPages, DeadSummary, DiedWithin, dead_letters},
};
use perch_queue::DeadLetter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    input::{Page, Paged, Paging, Params, queues, time},
};

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
    /// Only those that died at this time or later.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Only those that died before this time.
    #[serde(default, deserialize_with = "time", skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl DeadFilter {
    /// Whether the filter selects this letter; the queue is not checked.
    pub(super) fn fits(&self, letter: &DeadLetter) -> bool {
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
        self.died().fits(letter) && error_fits() && envelope_fits()
    }

    /// The range of times of death.
    pub(super) fn died(&self) -> DiedWithin {
        DiedWithin { since: self.since, until: self.until }
    }
}

/// List dead letters
///
/// The latest first. For the next page, give `next` of the answer as `cursor`, until it is null: each letter that is there all the
/// while is listed once. A page may have fewer letters than asked for, because they are large or because many were looked through that
/// do not fit.
#[utoipa::path(get, path = "/dead", tag = "dead letters", operation_id = "dead_letters", params(DeadFilter, Paging),
    responses(
        (status = 200, description = "The letters.", body = Page<DeadSummary>),
        (status = 404, description = "There is no such queue.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn list(
    State(app): State<App>,
    Paged(filter, paging): Paged<DeadFilter>,
) -> ApiResult<Json<Page<DeadSummary>>> {
    let queues = queues(&app, filter.queue.as_deref())?;
    Ok(Json(dead_letters(&queues, filter.died(), |letter| filter.fits(letter), &paging).await?))
}

/// Group dead letters by cause
///
/// What the last error of a job says, without the numbers and ids in it, is its cause.
#[utoipa::path(get, path = "/dead/stats", tag = "dead letters", operation_id = "dead_stats", params(DeadFilter),
    responses(
        (status = 200, description = "The causes.", body = DeadStats),
        (status = 404, description = "There is no such queue.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn stats(State(app): State<App>, Params(filter): Params<DeadFilter>) -> ApiResult<Json<DeadStats>> {
    let (mut causes, mut complete) = (Causes::default(), true);
    for queue in queues(&app, filter.queue.as_deref())? {
        let mut pages = DeadPages::of(&queue, filter.died(), None);
        while let Some(page) = pages.next().await? {
            page.iter().filter(|letter| filter.fits(letter)).for_each(|letter| causes.add(queue.name(), letter));
        }
        complete &= pages.is_complete();
    }
    Ok(Json(causes.stats(complete)))
}

#[cfg(test)]
mod tests {
    use perch_jobs::JobId;
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
        assert!(!DeadFilter { until: Some(letter.died_at), ..DeadFilter::default() }.fits(&letter));
    }

    #[test]
    fn a_letter_that_cannot_be_read_is_meant_unless_a_kind_is_asked_for() {
        let letter = letter("unreadable", "garbage");
        assert!(DeadFilter::default().fits(&letter));
        assert!(!DeadFilter { kind: Some("publish_post".into()), ..DeadFilter::default() }.fits(&letter));
    }
}
