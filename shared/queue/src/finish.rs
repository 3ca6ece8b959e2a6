//! What an attempt leads to: the decision, apart from the script that carries it out.

use std::time::Duration;

use perch_base::{Classified, Disposition, chain, settings::History};
use perch_job::RetryPolicy;
use serde_json::Value;

use crate::{EventData, Lease, Queue, QueueError, scripts};

/// How an attempt ended that did not succeed. A handler returns it; errors that know their [`Disposition`] turn into it
/// with `?`.
#[derive(Debug)]
pub enum Fail {
    /// Try again by the job's retry policy.
    Retry(String),
    /// Try again after this time. The attempt counts.
    RetryAfter(Duration, String),
    /// Put off for this time. The attempt does not count.
    Snooze(Duration, String),
    /// Trying again cannot help: to the dead letters.
    Dead(String),
    /// The job was cancelled and has stopped.
    Cancelled(String),
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
pub(crate) enum Ended {
    Succeeded(Value),
    Failed(Fail),
    Panicked(String),
    TimedOut(Duration),
    /// The worker shuts down and its grace is over.
    Interrupted,
    /// The envelope or payload cannot be read.
    Unreadable(String),
    /// This worker does not know the kind, or the version of the envelope; another release may.
    Unknown(String),
    /// The deadline passed before it started.
    Expired(String),
}

/// What happens to the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Retry(Duration),
    Snooze(Duration),
    Dead,
    Cancelled,
    Release,
    /// It waits for a worker that knows its kind, so long in all.
    AwaitKind(Duration),
}

impl Verdict {
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

    /// The same, with no delay over `most`.
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

/// What decides about attempts of a job besides how they ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub retry: RetryPolicy,
    /// How long a job waits for a worker that knows its kind.
    pub unknown_kind_wait: Duration,
}

/// Decides what happens to a job whose attempt `attempt` ended so. `draw` in 0.0..=1.0 places the retry in its backoff.
pub(crate) fn decide(ended: &Ended, rules: &Rules, attempt: u32, draw: f64) -> (Verdict, Option<String>) {
    let policy = &rules.retry;
    let spent = attempt >= policy.max_attempts;
    let retry = |delay| if spent { Verdict::Dead } else { Verdict::Retry(delay) };
    match ended {
        Ended::Succeeded(_) => (Verdict::Done, None),
        Ended::Failed(Fail::Retry(why)) => (retry(policy.delay(attempt, draw)), Some(why.clone())),
        Ended::Failed(Fail::RetryAfter(after, why)) => (retry(*after), Some(why.clone())),
        Ended::Failed(Fail::Snooze(delay, why)) => (Verdict::Snooze(*delay), Some(why.clone())),
        Ended::Failed(Fail::Dead(why)) | Ended::Unreadable(why) | Ended::Expired(why) => {
            (Verdict::Dead, Some(why.clone()))
        }
        Ended::Failed(Fail::Cancelled(why)) => (Verdict::Cancelled, Some(why.clone())),
        Ended::Unknown(why) => (Verdict::AwaitKind(rules.unknown_kind_wait), Some(why.clone())),
        Ended::Panicked(message) => {
            (retry(policy.delay(attempt, draw)), Some(format!("the handler panicked: {message}")))
        }
        Ended::TimedOut(after) => {
            (retry(policy.delay(attempt, draw)), Some(format!("the attempt took longer than its timeout of {after:?}")))
        }
        Ended::Interrupted => (Verdict::Release, Some("the worker shut down before the attempt was finished".into())),
    }
}

/// A verdict on its way to Redis.
#[derive(Debug)]
pub(crate) struct Finish {
    pub lease: Lease,
    pub verdict: Verdict,
    pub data: EventData,
}

/// Most verdicts in one script call.
pub(crate) const FINISHED_AT_ONCE: usize = 500;

/// Whether nothing is told of the success of `lease`: the first attempt of a job whose queue keeps a history of failures.
pub(crate) fn untold(queue: &Queue, lease: &Lease, verdict: Verdict) -> bool {
    verdict == Verdict::Done && lease.attempt() == 1 && queue.settings().history == History::Failures
}

/// How the script is told of a verdict.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    /// A success that no event tells of.
    Plain,
    /// A success with its event.
    Told,
    Other,
}

fn section(queue: &Queue, finish: &Finish) -> Section {
    match finish.verdict {
        verdict if untold(queue, &finish.lease, verdict) => Section::Plain,
        Verdict::Done if queue.settings().history == History::Full => Section::Told,
        _ => Section::Other,
    }
}

/// Carries out verdicts; answers for each whether its lease was still held.
pub(crate) async fn finish(queue: &Queue, batch: &[Finish]) -> Result<Vec<bool>, QueueError> {
    let of = |wanted| (0..batch.len()).filter(move |&place| section(queue, &batch[place]) == wanted);
    let [plain, told, others] = [Section::Plain, Section::Told, Section::Other].map(|s| of(s).collect::<Vec<_>>());
    let mut call = queue.invocation(&scripts::FINISH);
    call.arg(plain.len());
    for &place in &plain {
        call.arg(batch[place].lease.member());
    }
    call.arg(told.len());
    for &place in &told {
        call.arg(batch[place].lease.member()).arg(encoded(&batch[place].data));
    }
    for Finish { lease, verdict, data } in others.iter().map(|&place| &batch[place]) {
        call.arg(lease.member()).arg(verdict.as_str()).arg(verdict.delay().as_millis().to_string()).arg(encoded(data));
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

    const RULES: Rules = Rules {
        retry: RetryPolicy { max_attempts: 3, base_ms: 100, cap_ms: 1_000 },
        unknown_kind_wait: Duration::from_secs(60),
    };

    fn verdict(ended: &Ended, attempt: u32) -> Verdict {
        decide(ended, &RULES, attempt, 1.0).0
    }

    #[test]
    fn a_failure_is_retried_until_the_attempts_are_spent() {
        let failed = Ended::Failed(Fail::Retry("no".into()));
        assert_eq!(verdict(&failed, 1), Verdict::Retry(Duration::from_millis(100)));
        assert_eq!(verdict(&failed, 2), Verdict::Retry(Duration::from_millis(200)));
        assert_eq!(verdict(&failed, 3), Verdict::Dead);
    }

    #[test]
    fn a_panic_and_a_timeout_are_failures_like_any_other() {
        for ended in [Ended::Panicked("boom".into()), Ended::TimedOut(Duration::from_secs(1))] {
            assert!(matches!(verdict(&ended, 1), Verdict::Retry(_)));
            assert_eq!(verdict(&ended, 3), Verdict::Dead);
        }
    }

    #[test]
    fn what_can_never_work_is_dead_at_once() {
        for ended in [Ended::Unreadable("x".into()), Ended::Failed(Fail::Dead("x".into())), Ended::Expired("x".into())]
        {
            assert_eq!(verdict(&ended, 1), Verdict::Dead);
        }
    }

    #[test]
    fn the_other_side_decides_when_it_says_retry_after() {
        let limited = Ended::Failed(Fail::RetryAfter(Duration::from_secs(77), "429".into()));
        assert_eq!(verdict(&limited, 1), Verdict::Retry(Duration::from_secs(77)));
    }

    proptest! {
        #[test]
        fn snooze_and_release_never_spend_the_last_attempt(attempt in 1u32..10) {
            let snoozed = Ended::Failed(Fail::Snooze(Duration::from_secs(5), "later".into()));
            prop_assert_eq!(verdict(&snoozed, attempt), Verdict::Snooze(Duration::from_secs(5)));
            prop_assert_eq!(verdict(&Ended::Interrupted, attempt), Verdict::Release);
        }
    }
}
