//! How much happened when: counts of the last minute, and the last events.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, JobKind, QueueName};
use perch_queue::{EventKind, JobEvent};

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
    failed: u64,
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
    seconds: BTreeMap<QueueName, VecDeque<Second>>,
    done: BTreeMap<QueueName, u64>,
    events: VecDeque<Happened>,
}

impl Activity {
    /// Takes in an event.
    pub fn take_in(&mut self, queue: &QueueName, event: &JobEvent, kind: Option<JobKind>) {
        let (done, failed) = match event.kind {
            EventKind::Succeeded => (1, 0),
            EventKind::Retried | EventKind::Dead | EventKind::Lost => (0, 1),
            _ => (0, 0),
        };
        if done + failed > 0 {
            self.count(queue, event.at().timestamp(), done, failed);
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

    fn count(&mut self, queue: &QueueName, at: i64, done: u64, failed: u64) {
        *self.done.entry(queue.clone()).or_default() += done;
        let seconds = self.seconds.entry(queue.clone()).or_default();
        match seconds.iter_mut().rev().find(|second| second.at == at) {
            Some(second) => {
                second.done += done;
                second.failed += failed;
            }
            None => seconds.push_back(Second { at, done, failed }),
        }
        while seconds.len() > 2 * SECONDS {
            seconds.pop_front();
        }
    }

    /// Jobs that succeeded in a queue since the view was opened.
    pub fn done(&self, queue: &QueueName) -> u64 {
        self.done.get(queue).copied().unwrap_or(0)
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

    /// Successes and failures a second over the last ten whole seconds.
    pub fn rates(&self, queue: &QueueName, now: DateTime<Utc>) -> (f64, f64) {
        const OVER: i64 = 10;
        let recent = self.seconds.get(queue).into_iter().flatten().filter(|second| {
            let age = now.timestamp() - second.at;
            (1..=OVER).contains(&age)
        });
        let (done, failed) = recent.fold((0, 0), |(done, failed), second| (done + second.done, failed + second.failed));
        #[expect(clippy::cast_precision_loss, reason = "counts of ten seconds are far below 2^52")]
        let per_second = |n: u64| n as f64 / OVER as f64;
        (per_second(done), per_second(failed))
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
        assert_eq!(activity.done(&queue), 4);
        let line = activity.sparkline(&queue, now);
        assert_eq!((line.len(), line[SECONDS - 1], line[SECONDS - 2], line[SECONDS - 11]), (SECONDS, 0, 1, 2));
        let (done, failed) = activity.rates(&queue, now);
        assert!((done - 0.4).abs() < 1e-9 && failed.abs() < 1e-9, "{done} {failed}");
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
