//! The end of an attempt: deciding what happens to its job, and the script call that does it.

use std::time::Duration;

use perch_base::{Classified, Disposition, chain, settings::History};
use perch_job::RetryPolicy;
use serde_json::Value;

use crate::{EventData, Lease, Queue, QueueError, scripts};

/// How a failed attempt ended. A handler returns it; errors with a [`Disposition`] convert into it with `?`.
#[derive(Debug)]
pub enum Fail {
    /// Retry by the job's retry policy.
    Retry(String),
    /// Retry after this time. The attempt counts.
    RetryAfter(Duration, String),
    /// Snooze for this time. The attempt does not count.
    Snooze(Duration, String),
    /// Move to the dead letters, because a retry cannot help.
    Dead(String),
    /// The job was cancelled and has stopped.
    Cancelled(String),
}

impl Fail {
    /// Why the attempt failed.
    pub fn reason(&self) -> &str {
        match self {
            Self::Retry(reason)
            | Self::RetryAfter(_, reason)
            | Self::Snooze(_, reason)
            | Self::Dead(reason)
            | Self::Cancelled(reason) => reason,
        }
    }
}

impl<E: Classified> From<E> for Fail {
    fn from(error: E) -> Self {
        let message = chain(&error);
        match error.for_job() {
            Disposition::Retry => Self::Retry(message),
            Disposition::RetryAfter(after) => Self::RetryAfter(after, message),
            Disposition::Wait(wait) => Self::Snooze(wait, message),
            Disposition::Never => Self::Dead(message),
        }
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum AttemptResult {
    Succeeded(Value),
    Failed(Fail),
    Panicked(String),
    TimedOut(Duration),
    /// The worker shuts down, and its grace is over.
    Interrupted,
    /// The envelope or payload cannot be read.
    Unreadable(String),
    /// This worker does not know the kind or the version of the envelope; another release may.
    Unknown(String),
    /// The deadline passed before it started.
    Expired(String),
}

/// What happens to the job after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transition {
    Done,
    Retry(Duration),
    Snooze(Duration),
    Dead,
    Cancelled,
    Release,
    /// It waits for a worker that knows its kind, at most this long in all.
    AwaitKind(Duration),
}

impl Transition {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry(_) => "retry",
            Self::Snooze(_) => "snooze",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Release => "release",
            Self::AwaitKind(_) => "unknown",
        }
    }

    /// The same transition, with delays cut to `most`.
    pub fn within(self, most: Duration) -> Self {
        match self {
            Self::Retry(delay) => Self::Retry(delay.min(most)),
            Self::Snooze(delay) => Self::Snooze(delay.min(most)),
            other => other,
        }
    }

    fn delay(self) -> Duration {
        match self {
            Self::Retry(delay) | Self::Snooze(delay) | Self::AwaitKind(delay) => delay,
            _ => Duration::ZERO,
        }
    }
}

/// The rules that decide what happens to a job after an attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptRules {
    pub retry: RetryPolicy,
    /// How long a job waits for a worker that knows its kind.
    pub unknown_kind_wait: Duration,
}

/// Decides what happens to a job after attempt number `attempt`. `draw`, in 0.0..=1.0, sets where in its backoff range the retry
/// falls.
pub(crate) fn decide(
    ended: &AttemptResult,
    rules: &AttemptRules,
    attempt: u32,
    draw: f64,
) -> (Transition, Option<String>) {
    let policy = &rules.retry;
    let spent = attempt >= policy.max_attempts;
    let retry = |delay| if spent { Transition::Dead } else { Transition::Retry(delay) };
    match ended {
        AttemptResult::Succeeded(_) => (Transition::Done, None),
        AttemptResult::Failed(Fail::Retry(why)) => (retry(policy.delay(attempt, draw)), Some(why.clone())),
        AttemptResult::Failed(Fail::RetryAfter(after, why)) => (retry(*after), Some(why.clone())),
        AttemptResult::Failed(Fail::Snooze(delay, why)) => (Transition::Snooze(*delay), Some(why.clone())),
        AttemptResult::Failed(Fail::Dead(why)) | AttemptResult::Unreadable(why) | AttemptResult::Expired(why) => {
            (Transition::Dead, Some(why.clone()))
        }
        AttemptResult::Failed(Fail::Cancelled(why)) => (Transition::Cancelled, Some(why.clone())),
        AttemptResult::Unknown(why) => (Transition::AwaitKind(rules.unknown_kind_wait), Some(why.clone())),
        AttemptResult::Panicked(message) => {
            (retry(policy.delay(attempt, draw)), Some(format!("the handler panicked: {message}")))
        }
        AttemptResult::TimedOut(after) => {
            (retry(policy.delay(attempt, draw)), Some(format!("the attempt took longer than its timeout of {after:?}")))
        }
        AttemptResult::Interrupted => {
            (Transition::Release, Some("the worker shut down before the attempt was finished".into()))
        }
    }
}

/// The acknowledgement of an attempt: the lease, and what happens to its job.
#[derive(Debug)]
pub(crate) struct Ack {
    pub lease: Lease,
    pub transition: Transition,
    pub data: EventData,
}

/// Most acks in one script call.
pub(crate) const ACKS_AT_ONCE: usize = 500;

/// Whether `lease` ends without an event: its first attempt succeeded, and the queue keeps a history of failures only.
pub(crate) fn is_without_event(queue: &Queue, lease: &Lease, transition: Transition) -> bool {
    transition == Transition::Done && lease.attempt() == 1 && queue.settings().history == History::Failures
}

/// The section of the script arguments for an ack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AckSection {
    /// A success without an event.
    Plain,
    /// A success with its event.
    WithEvent,
    Other,
}

fn section(queue: &Queue, finish: &Ack) -> AckSection {
    match finish.transition {
        transition if is_without_event(queue, &finish.lease, transition) => AckSection::Plain,
        Transition::Done if queue.settings().history == History::Full => AckSection::WithEvent,
        _ => AckSection::Other,
    }
}

/// Applies acks. Returns for each whether its lease was still held; if not, it changed nothing.
pub(crate) async fn finish(queue: &Queue, batch: &[Ack]) -> Result<Vec<bool>, QueueError> {
    let of = |wanted| (0..batch.len()).filter(move |&place| section(queue, &batch[place]) == wanted);
    let [plain, told, others] =
        [AckSection::Plain, AckSection::WithEvent, AckSection::Other].map(|s| of(s).collect::<Vec<_>>());
    let mut call = queue.invocation(&scripts::FINISH);
    call.arg(plain.len());
    for &place in &plain {
        call.arg(batch[place].lease.member());
    }
    call.arg(told.len());
    for &place in &told {
        call.arg(batch[place].lease.member()).arg(encoded(&batch[place].data));
    }
    for Ack { lease, transition, data } in others.iter().map(|&place| &batch[place]) {
        call.arg(lease.member())
            .arg(transition.as_str())
            .arg(transition.delay().as_millis().to_string())
            .arg(encoded(data));
    }
    let lost: Vec<usize> = queue.run("finish", &call).await?;
    let places: Vec<usize> = [plain, told, others].concat();
    let mut held = vec![true; batch.len()];
    for place in lost {
        if let Some(place) = places.get(place.wrapping_sub(1)) {
            held[*place] = false;
        }
    }
    Ok(held)
}

fn encoded(data: &EventData) -> String {
    serde_json::to_string(data).expect("event data has text keys and values that JSON can hold")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: AttemptRules = AttemptRules {
        retry: RetryPolicy { max_attempts: 3, base_ms: 100, cap_ms: 1_000 },
        unknown_kind_wait: Duration::from_secs(60),
    };

    fn transition(ended: &AttemptResult, attempt: u32) -> Transition {
        decide(ended, &RULES, attempt, 1.0).0
    }

    #[test]
    fn a_failure_is_retried_until_the_attempts_are_spent() {
        let failed = AttemptResult::Failed(Fail::Retry("no".into()));
        assert_eq!(transition(&failed, 1), Transition::Retry(Duration::from_millis(100)));
        assert_eq!(transition(&failed, 2), Transition::Retry(Duration::from_millis(200)));
        assert_eq!(transition(&failed, 3), Transition::Dead);
    }

    #[test]
    fn a_panic_and_a_timeout_are_failures_like_any_other() {
        for ended in [AttemptResult::Panicked("boom".into()), AttemptResult::TimedOut(Duration::from_secs(1))] {
            assert!(matches!(transition(&ended, 1), Transition::Retry(_)));
            assert_eq!(transition(&ended, 3), Transition::Dead);
        }
    }

    #[test]
    fn what_can_never_work_is_dead_at_once() {
        for ended in [
            AttemptResult::Unreadable("x".into()),
            AttemptResult::Failed(Fail::Dead("x".into())),
            AttemptResult::Expired("x".into()),
        ] {
            assert_eq!(transition(&ended, 1), Transition::Dead);
        }
    }

    #[test]
    fn the_other_side_decides_when_it_says_retry_after() {
        let limited = AttemptResult::Failed(Fail::RetryAfter(Duration::from_secs(77), "429".into()));
        assert_eq!(transition(&limited, 1), Transition::Retry(Duration::from_secs(77)));
    }

    proptest! {
        #[test]
        fn snooze_and_release_never_spend_the_last_attempt(attempt in 1u32..10) {
            let snoozed = AttemptResult::Failed(Fail::Snooze(Duration::from_secs(5), "later".into()));
            prop_assert_eq!(transition(&snoozed, attempt), Transition::Snooze(Duration::from_secs(5)));
            prop_assert_eq!(transition(&AttemptResult::Interrupted, attempt), Transition::Release);
        }
    }
}
