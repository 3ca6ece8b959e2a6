//! How much happened when: counts of the last minute, and the last events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use perch_base::settings::History;
use perch_jobs::{JobId, JobKind, QueueName};
use perch_queue::{EventKind, JobEvent, Queue};

/// Seconds that are kept.
pub const SECONDS: usize = 60;
/// Events that are kept.
const EVENTS: usize = 200;

/// What ended in one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Second {
    /// Seconds since 1970.
    at: i64,
    done: u64,
}

/// An event as a live view shows it.
#[derive(Debug, Clone)]
pub struct Happened {
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
    /// Queues whose history keeps only failures: nothing tells of their successes.
    silent: BTreeSet<QueueName>,
    seconds: BTreeMap<QueueName, VecDeque<Second>>,
    done: BTreeMap<QueueName, u64>,
    events: VecDeque<Happened>,
}

impl Activity {
    /// Nothing has happened yet.
    pub fn of(queues: &[Queue]) -> Self {
        let silent = queues.iter().filter(|queue| queue.settings().history == History::Failures);
        Self { silent: silent.map(|queue| queue.name().clone()).collect(), ..Self::default() }
    }

    /// Takes in an event.
    pub fn take_in(&mut self, queue: &QueueName, event: &JobEvent, kind: Option<JobKind>) {
        if event.kind == EventKind::Succeeded {
            self.count(queue, event.at().timestamp());
        }
        let data = event.data();
        self.events.push_front(Happened {
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

    fn count(&mut self, queue: &QueueName, at: i64) {
        *self.done.entry(queue.clone()).or_default() += 1;
        let seconds = self.seconds.entry(queue.clone()).or_default();
        match seconds.iter_mut().rev().find(|second| second.at == at) {
            Some(second) => second.done += 1,
            None => seconds.push_back(Second { at, done: 1 }),
        }
        while seconds.len() > 2 * SECONDS {
            seconds.pop_front();
        }
    }

    /// Jobs that succeeded in a queue since the view was opened; `None` when its history does not say.
    pub fn done(&self, queue: &QueueName) -> Option<u64> {
        (!self.silent.contains(queue)).then(|| self.done.get(queue).copied().unwrap_or(0))
    }

    /// Jobs that succeeded in each of the last [`SECONDS`] seconds, the oldest first. The current second counts too.
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

    /// Successes a second over the last ten whole seconds; `None` when the history of the queue does not say.
    pub fn rate(&self, queue: &QueueName, now: DateTime<Utc>) -> Option<f64> {
        const OVER: i64 = 10;
        if self.silent.contains(queue) {
            return None;
        }
        let seconds = self.seconds.get(queue).into_iter().flatten();
        let recent = seconds.filter(|second| (1..=OVER).contains(&(now.timestamp() - second.at)));
        #[expect(clippy::cast_precision_loss, reason = "counts of ten seconds are far below 2^52")]
        let rate = recent.map(|second| second.done).sum::<u64>() as f64 / OVER as f64;
        Some(rate)
    }

    /// The last events, the latest first.
    pub fn events(&self) -> impl Iterator<Item = &Happened> {
        self.events.iter()
    }
}

#[cfg(test)]
mod tests {
    use perch_queue::EntryId;

    use super::*;

    fn succeeded(at_ms: u64) -> JobEvent {
        let entry = EntryId { ms: at_ms, seq: 0 };
        let id = JobId::at(entry.at());
        JobEvent::read(entry, 0, &format!("succeeded {id}"), "{}".into()).expect("an event")
    }

    #[test]
    fn successes_are_counted_by_the_second_they_fell_into() {
        let queue = QueueName::from_static("extraction");
        let mut activity = Activity::default();
        for ms in [1_000_000, 1_000_900, 1_001_000, 1_009_000] {
            activity.take_in(&queue, &succeeded(ms), None);
        }
        let now = DateTime::from_timestamp(1_010, 0).expect("a valid time");
        assert_eq!(activity.done(&queue), Some(4));
        let line = activity.sparkline(&queue, now);
        assert_eq!((line.len(), line[SECONDS - 1], line[SECONDS - 2], line[SECONDS - 11]), (SECONDS, 0, 1, 2));
        let rate = activity.rate(&queue, now).expect("its history says");
        assert!((rate - 0.4).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn only_so_much_is_remembered() {
        let queue = QueueName::from_static("extraction");
        let mut activity = Activity::default();
        for second in 0..1_000 {
            activity.take_in(&queue, &succeeded(second * 1_000), None);
        }
        assert_eq!(activity.events().count(), EVENTS);
        assert!(activity.seconds[&queue].len() <= 2 * SECONDS);
    }
}
