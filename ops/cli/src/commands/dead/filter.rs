//! Filters for dead letters.

use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use perch_queue::DeadLetter;
use serde_json::{Value, json};

use crate::{commands::filter::Filter, parse::job_id};

/// Which dead letters; what is not given does not matter.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DeadLetterFilter {
    #[command(flatten)]
    pub of: Filter,
    /// With these ids
    #[arg(long, value_parser = job_id)]
    pub id: Vec<JobId>,
}

impl DeadLetterFilter {
    /// Whether the filter selects this letter.
    pub fn wants(&self, letter: &DeadLetter, now: DateTime<Utc>) -> bool {
        (self.id.is_empty() || self.id.contains(&letter.id)) && self.of.wants(letter, now)
    }

    /// Whether the filter selects every letter.
    pub fn is_empty(&self) -> bool {
        self.id.is_empty() && self.of.is_empty()
    }

    /// The filter, for the audit log.
    pub fn as_json(&self) -> Value {
        let mut asked = self.of.as_json();
        if !self.id.is_empty() {
            asked["id"] = json!(self.id);
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_letters_that_fit_those_with_an_id_are_wanted_and_the_audit_log_says_which() {
        let now = Utc::now();
        let letter = DeadLetter { id: JobId::at(now), died_at: now, envelope: None, attempts: 1, errors: Vec::new() };
        let wanted = |id: Vec<JobId>| DeadLetterFilter { id, ..DeadLetterFilter::default() };
        assert!(wanted(vec![letter.id]).wants(&letter, now) && wanted(Vec::new()).wants(&letter, now));
        assert!(!wanted(vec![JobId::at(now)]).wants(&letter, now));
        assert!(DeadLetterFilter::default().is_empty() && !wanted(vec![letter.id]).is_empty());
        assert_eq!(wanted(vec![letter.id]).as_json(), json!({ "id": [letter.id] }));
        let dead = Filter { error: Some("503".into()), ..Filter::default() };
        assert!(!DeadLetterFilter { of: dead, id: vec![letter.id] }.wants(&letter, now));
    }
}
