//! Recent activity: counts of the last minute, and the last events.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, JobKind, QueueName};
use perch_queue::{EventKind, JobEvent, QueueStats};

/// Seconds that are kept.
pub const SECONDS: usize = 60;
/// Events that are kept.
const EVENTS: usize = 200;

/// The jobs that ended in one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Second {
    /// Seconds since 1970.
    at: i64,
    done: u64,
}

/// An event as a live view shows it.
#[derive(Debug, Clone)]
pub struct LiveEvent {
    pub at: DateTime<Utc>,
    pub queue: QueueName,
    pub job: JobId,
    pub kind: Option<JobKind>,
    pub what: EventKind,
    pub error: Option<String>,
    pub ms: Option<u64>,
}

/// Counts by queue, and the last events of all queues.
#[derive(Debug, Default)]
pub struct Activity {
    /// How many jobs of each queue had succeeded at the last update.
    succeeded: BTreeMap<QueueName, u64>,
    seconds: BTreeMap<QueueName, VecDeque<Second>>,
    events: VecDeque<LiveEvent>,
}

impl Activity {
    /// Adds the numbers of the queues at one moment. Jobs that succeeded since the last call count for this second.
    pub fn take_stats(&mut self, all: &[QueueStats], now: DateTime<Utc>) {
        for stats in all {
            let last = self.succeeded.insert(stats.queue.clone(), stats.succeeded);
            let done = stats.succeeded.saturating_sub(last.unwrap_or(stats.succeeded));
            self.count(&stats.queue, now.timestamp(), done);
        }
    }

    /// Adds an event.
    pub fn take_in(&mut self, queue: &QueueName, event: &JobEvent, kind: Option<JobKind>) {
        let data = event.data();
        self.events.push_front(LiveEvent {
            at: event.at(),
            queue: queue.clone(),
            job: event.job,
            kind,
            what: event.kind,
            error: data.error,
            ms: data.ms,
        });
        self.events.truncate(EVENTS);
    }

    fn count(&mut self, queue: &QueueName, at: i64, done: u64) {
        let seconds = self.seconds.entry(queue.clone()).or_default();
        match seconds.back_mut().filter(|second| second.at == at) {
            Some(second) => second.done += done,
            None => seconds.push_back(Second { at, done }),
        }
        while seconds.len() > 2 * SECONDS {
            seconds.pop_front();
        }
    }

    /// Jobs that succeeded in each of the last [`SECONDS`] seconds, including the current one, oldest first.
    pub fn sparkline(&self, queue: &QueueName, now: DateTime<Utc>) -> Vec<u64> {
        let mut line = vec![0; SECONDS];
        for second in self.seconds.get(queue).into_iter().flatten() {
            let age = usize::try_from(now.timestamp() - second.at).unwrap_or(usize::MAX);
            if let Some(place) = line.iter_mut().rev().nth(age) {
                *place = second.done;
            }
        }
        line
    }

    /// Successes a second over the last ten whole seconds.
    pub fn rate(&self, queue: &QueueName, now: DateTime<Utc>) -> f64 {
        const OVER: i64 = 10;
        let seconds = self.seconds.get(queue).into_iter().flatten();
        let recent = seconds.filter(|second| (1..=OVER).contains(&(now.timestamp() - second.at)));
        #[expect(clippy::cast_precision_loss, reason = "counts of ten seconds are far below 2^52")]
        let rate = recent.map(|second| second.done).sum::<u64>() as f64 / OVER as f64;
        rate
    }

    /// The last events, the latest first.
    pub fn events(&self) -> impl Iterator<Item = &LiveEvent> {
        self.events.iter()
    }
}

#[cfg(test)]
mod tests {
    use perch_queue::EntryId;

    use super::*;
    use crate::commands::queues::numbers;

    #[test]
    fn successes_are_counted_by_the_second_in_which_they_were_seen() {
        let queue = QueueName::from_static("extraction");
        let mut activity = Activity::default();
        let at = |second| DateTime::from_timestamp(second, 0).expect("a valid time");
        for (second, succeeded) in [(1_000, 500), (1_001, 503), (1_009, 504)] {
            activity.take_stats(&[QueueStats { succeeded, ..numbers(&queue) }], at(second));
        }
        let now = at(1_010);
        let line = activity.sparkline(&queue, now);
        assert_eq!((line.len(), line[SECONDS - 1], line[SECONDS - 2], line[SECONDS - 10]), (SECONDS, 0, 1, 3));
        let rate = activity.rate(&queue, now);
        assert!((rate - 0.4).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn only_so_much_is_remembered() {
        let queue = QueueName::from_static("extraction");
        let mut activity = Activity::default();
        for second in 0..1_000 {
            let entry = EntryId { ms: second * 1_000, seq: 0 };
            let id = JobId::at(entry.at());
            let event = JobEvent::read(entry, 0, &format!("succeeded {id}"), "{}".into()).expect("an event");
            activity.take_in(&queue, &event, None);
            activity.take_stats(&[numbers(&queue)], entry.at());
        }
        assert_eq!(activity.events().count(), EVENTS);
        assert!(activity.seconds[&queue].len() <= 2 * SECONDS);
    }
}
