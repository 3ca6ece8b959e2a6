//! The metrics of a pool, looked up once for each kind instead of once for each job.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use metrics::{Counter, Histogram};
use perch_job::{JobKind, QueueName};

use crate::finish::Transition;

const OUTCOMES: [&str; 7] = ["succeeded", "retried", "snoozed", "dead", "cancelled", "released", "unknown_kind"];

fn outcome(transition: Transition) -> usize {
    match transition {
        Transition::Done => 0,
        Transition::Retry(_) => 1,
        Transition::Snooze(_) => 2,
        Transition::Dead => 3,
        Transition::Cancelled => 4,
        Transition::Release => 5,
        Transition::AwaitKind(_) => 6,
    }
}

struct KindMeters {
    attempts: [OnceLock<Counter>; OUTCOMES.len()],
    seconds: Histogram,
}

pub(super) struct Meters {
    queue: QueueName,
    waited: OnceLock<Histogram>,
    kinds: RwLock<BTreeMap<JobKind, Arc<KindMeters>>>,
}

impl Meters {
    pub fn new(queue: QueueName) -> Self {
        Self { queue, waited: OnceLock::new(), kinds: RwLock::default() }
    }

    /// Records how long a job was ready before its first attempt.
    pub fn waited(&self, time: Duration) {
        self.waited
            .get_or_init(|| metrics::histogram!("perch_wait_seconds", "queue" => self.queue.to_string()))
            .record(time.as_secs_f64());
    }

    /// Records an attempt at a job of `kind` that led to `transition` after `took`.
    pub fn ended(&self, kind: &JobKind, transition: Transition, took: Duration) {
        let meters = self.of(kind);
        let at = outcome(transition);
        meters.attempts[at].get_or_init(|| self.counter(kind, OUTCOMES[at])).increment(1);
        meters.seconds.record(took.as_secs_f64());
    }

    fn counter(&self, kind: &JobKind, outcome: &'static str) -> Counter {
        metrics::counter!("perch_attempts_total", "queue" => self.queue.to_string(), "kind" => kind.to_string(), "outcome" => outcome)
    }

    fn of(&self, kind: &JobKind) -> Arc<KindMeters> {
        if let Some(meters) = self.kinds.read().unwrap_or_else(PoisonError::into_inner).get(kind) {
            return meters.clone();
        }
        let seconds =
            metrics::histogram!("perch_attempt_seconds", "queue" => self.queue.to_string(), "kind" => kind.to_string());
        let meters = Arc::new(KindMeters { attempts: Default::default(), seconds });
        self.kinds.write().unwrap_or_else(PoisonError::into_inner).entry(kind.clone()).or_insert(meters).clone()
    }
}
