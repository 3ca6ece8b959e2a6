//! Which dead letters.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_jobs::{JobId, JobKind, QueueName};
use perch_queue::DeadLetter;
use serde_json::{Value, json};

use crate::parse::{job_id, time::duration};

/// Which dead letters; what is not given does not matter.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Filter {
    /// Of these queues
    #[arg(long, value_name = "QUEUE")]
    pub queue: Vec<QueueName>,
    /// Of this kind
    #[arg(long)]
    pub kind: Option<JobKind>,
    /// Whose last error contains this, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    pub error: Option<String>,
    /// That died longer ago than this, such as 2h
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub older_than: Option<Duration>,
    /// That died within this time, such as 30m
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    pub newer_than: Option<Duration>,
    /// Of this group
    #[arg(long)]
    pub group: Option<String>,
    /// With these ids
    #[arg(long, value_parser = job_id)]
    pub id: Vec<JobId>,
}

impl Filter {
    /// Whether it asks for this letter.
    pub fn wants(&self, letter: &DeadLetter, now: DateTime<Utc>) -> bool {
        let age = now - letter.died_at;
        let over = |limit: Duration| TimeDelta::from_std(limit).is_ok_and(|limit| age > limit);
        let needs_envelope = self.kind.is_some() || self.group.is_some();
        let envelope = if needs_envelope { letter.salvaged() } else { None };
        (self.id.is_empty() || self.id.contains(&letter.id))
            && self.older_than.is_none_or(over)
            && !self.newer_than.is_some_and(over)
            && self.error.as_ref().is_none_or(|text| contains(letter.last_error(), text))
            && self.kind.as_ref().is_none_or(|kind| envelope.as_ref().is_some_and(|e| e.kind == *kind))
            && self
                .group
                .as_ref()
                .is_none_or(|group| envelope.as_ref().is_some_and(|e| e.group.as_ref() == Some(group)))
    }

    /// Whether it asks for every letter.
    pub fn is_empty(&self) -> bool {
        self.as_json().as_object().is_some_and(serde_json::Map::is_empty)
    }

    /// What was asked for, for the audit log.
    pub fn as_json(&self) -> Value {
        let span = |d: Option<Duration>| d.map(|d| humantime::format_duration(d).to_string());
        let all = json!({
            "queue": self.queue,
            "kind": self.kind,
            "error": self.error,
            "older_than": span(self.older_than),
            "newer_than": span(self.newer_than),
            "group": self.group,
            "id": self.id,
        });
        match all {
            Value::Object(fields) => {
                let is_given = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
                fields.into_iter().filter(|(_, value)| is_given(value)).collect()
            }
            other => other,
        }
    }
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

#[cfg(test)]
mod tests {
    use perch_queue::EventData;

    use super::*;

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
            older_than: Some(Duration::from_secs(1_800)),
            newer_than: Some(Duration::from_secs(7_200)),
            group: Some("account:main".into()),
            id: vec![letter.id],
            ..Filter::default()
        };
        assert!(fits.wants(&letter, now) && Filter::default().wants(&letter, now));
        for one_off in [
            Filter { kind: Some(JobKind::from_static("extract_post")), ..Filter::default() },
            Filter { error: Some("429".into()), ..Filter::default() },
            Filter { older_than: Some(Duration::from_secs(7_200)), ..Filter::default() },
            Filter { newer_than: Some(Duration::from_secs(1_800)), ..Filter::default() },
            Filter { group: Some("account:other".into()), ..Filter::default() },
            Filter { id: vec![JobId::at(now)], ..Filter::default() },
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
        let filter =
            Filter { error: Some("503".into()), older_than: Some(Duration::from_secs(60)), ..Filter::default() };
        assert_eq!(filter.as_json(), json!({ "error": "503", "older_than": "1m" }));
    }
}
