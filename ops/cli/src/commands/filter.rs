//! Filters for unfinished jobs and dead letters.

use chrono::{DateTime, Utc};
use perch_jobs::{JobKind, QueueName};
use perch_queue::{DeadLetter, Envelope, JobView};
use serde_json::{Value, json};

use crate::parse::time::{PointInTime, when};

/// Which jobs; what is not given does not matter.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filter {
    /// Of these queues
    #[arg(long, value_name = "QUEUE")]
    pub queue: Vec<QueueName>,
    /// Of this kind
    #[arg(long)]
    pub kind: Option<JobKind>,
    /// Of this group
    #[arg(long)]
    pub group: Option<String>,
    /// Whose last error contains this, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    pub error: Option<String>,
    /// From then on: how long ago, such as 30m, a day, or a time; dead letters by when they died, others by when they were enqueued
    #[arg(long, value_parser = when, value_name = "TIME")]
    pub since: Option<PointInTime>,
    /// Before then, in the same way
    #[arg(long, value_parser = when, value_name = "TIME")]
    pub until: Option<PointInTime>,
}

/// A job or dead letter that a filter can be applied to.
pub trait Filterable {
    /// When it was enqueued, or when it died.
    fn since(&self) -> DateTime<Utc>;
    /// Its last error; empty when it has none.
    fn last_error(&self) -> &str;
    /// Its envelope, if it can be read.
    fn envelope(&self) -> Option<Envelope>;
}

impl Filterable for JobView {
    fn since(&self) -> DateTime<Utc> {
        self.id.created_at()
    }

    fn last_error(&self) -> &str {
        self.errors.first().and_then(|error| error.error.as_deref()).unwrap_or_default()
    }

    fn envelope(&self) -> Option<Envelope> {
        self.salvaged()
    }
}

impl Filterable for DeadLetter {
    fn since(&self) -> DateTime<Utc> {
        self.died_at
    }

    fn last_error(&self) -> &str {
        self.last_error()
    }

    fn envelope(&self) -> Option<Envelope> {
        self.salvaged()
    }
}

impl Filter {
    /// Whether the filter selects this job.
    pub fn wants(&self, job: &impl Filterable, now: DateTime<Utc>) -> bool {
        let at = job.since();
        self.since.is_none_or(|since| at >= since.from(now))
            && self.until.is_none_or(|until| at < until.from(now))
            && self.error.as_ref().is_none_or(|text| contains(job.last_error(), text))
            && self.wants_envelope(|| job.envelope())
    }

    /// Whether kind and group fit. A job with an unreadable envelope has neither.
    fn wants_envelope(&self, envelope: impl FnOnce() -> Option<Envelope>) -> bool {
        if self.kind.is_none() && self.group.is_none() {
            return true;
        }
        envelope().is_some_and(|envelope| {
            self.kind.as_ref().is_none_or(|kind| envelope.kind == *kind)
                && self.group.as_ref().is_none_or(|group| envelope.group.as_ref() == Some(group))
        })
    }

    /// Whether the filter selects every job.
    pub fn is_empty(&self) -> bool {
        self.as_json().as_object().is_some_and(serde_json::Map::is_empty)
    }

    /// The filter, for the audit log.
    pub fn as_json(&self) -> Value {
        given(&json!({
            "queue": self.queue,
            "kind": self.kind,
            "group": self.group,
            "error": self.error,
            "since": self.since.map(|since| since.to_string()),
            "until": self.until.map(|until| until.to_string()),
        }))
    }
}

/// An object without its fields that are null or empty lists.
fn given(all: &Value) -> Value {
    let is_given = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
    let given = all.as_object().into_iter().flatten().filter(|(_, value)| is_given(value));
    given.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;
    use perch_jobs::JobId;
    use perch_queue::EventData;

    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as a filter has it")]
    fn ago(seconds: u64) -> Option<PointInTime> {
        Some(PointInTime::Ago(Duration::from_secs(seconds)))
    }

    fn letter(kind: &str, error: &str, minutes_ago: i64, now: DateTime<Utc>) -> DeadLetter {
        DeadLetter {
            id: JobId::at(now),
            died_at: now - TimeDelta::minutes(minutes_ago),
            envelope: Some(format!(r#"{{"kind":"{kind}","max":3,"group":"account:main","payload":{{}}}}"#)),
            attempts: 3,
            errors: vec![EventData { error: Some(error.to_owned()), ..EventData::default() }],
        }
    }

    #[test]
    fn a_letter_is_wanted_when_everything_that_was_asked_for_fits() {
        let now = Utc::now();
        let letter = letter("publish_post", "X answered 503 Service Unavailable", 60, now);
        let kind = Some(JobKind::from_static("publish_post"));
        let fits = Filter {
            kind: kind.clone(),
            error: Some("service unavailable".into()),
            until: ago(1_800),
            since: ago(7_200),
            group: Some("account:main".into()),
            ..Filter::default()
        };
        assert!(fits.wants(&letter, now) && Filter::default().wants(&letter, now));
        for one_off in [
            Filter { kind: Some(JobKind::from_static("extract_post")), ..Filter::default() },
            Filter { error: Some("429".into()), ..Filter::default() },
            Filter { until: ago(7_200), ..Filter::default() },
            Filter { since: ago(1_800), ..Filter::default() },
            Filter { group: Some("account:other".into()), ..Filter::default() },
        ] {
            assert!(!one_off.wants(&letter, now), "{one_off:?}");
        }
    }

    #[test]
    fn a_letter_whose_envelope_cannot_be_read_is_of_no_kind() {
        let now = Utc::now();
        let corrupt = DeadLetter { envelope: Some("{".into()), ..letter("a", "b", 1, now) };
        let filter = Filter { kind: Some(JobKind::from_static("publish_post")), ..Filter::default() };
        assert!(!filter.wants(&corrupt, now) && Filter::default().wants(&corrupt, now));
    }

    #[test]
    fn the_audit_log_holds_what_was_asked_for_and_nothing_else() {
        let filter = Filter { error: Some("503".into()), until: ago(60), ..Filter::default() };
        assert_eq!(filter.as_json(), json!({ "error": "503", "until": "1m" }));
    }
}
