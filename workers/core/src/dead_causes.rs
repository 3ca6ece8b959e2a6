//! Dead letters by cause: the last error of a job without its numbers and ids.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, QueueName};
use perch_queue::DeadLetter;
use serde::Serialize;
use utoipa::ToSchema;

/// The dead letters of one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeadCause {
    /// Their queue.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Their last error without what differs from job to job.
    pub cause: String,
    /// How many letters there are.
    pub count: u64,
    /// Their kinds; `unreadable` where the envelope cannot be read.
    pub kinds: BTreeSet<String>,
    /// When the first of them died.
    pub oldest: DateTime<Utc>,
    /// When the last of them died.
    pub newest: DateTime<Utc>,
    /// The id of the newest.
    #[schema(value_type = String)]
    pub sample: JobId,
}

/// Dead letters by cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeadStats {
    /// The causes, the most frequent first.
    pub causes: Vec<DeadCause>,
    /// How many letters there are in all.
    pub letters: u64,
    /// False when a queue has more letters than were read.
    pub complete: bool,
}

/// Counts letters by cause.
#[derive(Debug, Default)]
pub struct Causes(BTreeMap<(QueueName, String), DeadCause>);

/// The kind of a letter, as far as its envelope can be read.
pub fn kind_of(letter: &DeadLetter) -> String {
    letter.salvaged().map_or_else(|| "unreadable".to_owned(), |envelope| envelope.kind.to_string())
}

impl Causes {
    /// Counts a letter of this queue.
    pub fn add(&mut self, queue: &QueueName, letter: &DeadLetter) {
        let cause = letter.cause();
        let of = self.0.entry((queue.clone(), cause.clone())).or_insert_with(|| DeadCause {
            queue: queue.clone(),
            cause,
            count: 0,
            kinds: BTreeSet::new(),
            oldest: letter.died_at,
            newest: letter.died_at,
            sample: letter.id,
        });
        of.count += 1;
        of.oldest = of.oldest.min(letter.died_at);
        if letter.died_at > of.newest {
            (of.newest, of.sample) = (letter.died_at, letter.id);
        }
        of.kinds.insert(kind_of(letter));
    }

    /// The counts. `complete` says whether all letters were read.
    pub fn stats(self, complete: bool) -> DeadStats {
        let mut causes: Vec<DeadCause> = self.0.into_values().collect();
        causes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| b.newest.cmp(&a.newest)));
        DeadStats { letters: causes.iter().map(|cause| cause.count).sum(), causes, complete }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use perch_queue::EventData;

    use super::*;

    #[test]
    fn letters_of_one_cause_are_counted_together_with_their_first_and_last() {
        let now = Utc::now();
        let letter = |kind: &str, error: &str, minutes: i64| DeadLetter {
            id: JobId::at(now),
            died_at: now - TimeDelta::minutes(minutes),
            envelope: Some(format!(r#"{{"kind":"{kind}","max":1,"payload":{{}}}}"#)),
            attempts: 1,
            errors: vec![EventData { error: Some(error.to_owned()), ..EventData::default() }],
        };
        let queue = QueueName::from_static("pending_posts");
        let letters = [
            letter("publish_post", "post 1849212345678901234: 503", 30),
            letter("publish_post", "post 1849299999999999999: 503", 10),
            letter("publish_post", "refused: 403", 20),
        ];
        let mut causes = Causes::default();
        for letter in &letters {
            causes.add(&queue, letter);
        }
        let DeadStats { causes, letters: all, complete } = causes.stats(true);
        assert_eq!((causes.iter().map(|cause| cause.count).collect::<Vec<_>>(), all, complete), (vec![2, 1], 3, true));
        assert_eq!((causes[0].oldest, causes[0].newest), (letters[0].died_at, letters[1].died_at));
        assert_eq!(causes[0].sample, letters[1].id);
    }
}
