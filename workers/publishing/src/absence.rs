//! What waits for what while Redis is away, so that nothing that fails or is held back delays anything else. Pure functions of the time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use perch_base::clock;
use perch_jobs::{AccountId, JobId, RetryPolicy};

/// How long acts are made before Redis is asked again whether it is there.
pub(crate) const TURN: Duration = Duration::from_secs(1);
/// How long a job that is held back waits at most: a brake may be lifted, or a limit raised.
pub(crate) const LONGEST_HOLD: Duration = Duration::from_secs(60);
/// How long the jobs of an account wait after failures of that account.
const AFTER_FAILURES: RetryPolicy = RetryPolicy::new(1, Duration::from_secs(1), LONGEST_HOLD);

/// When a job is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Once Redis is back: only Redis or its queue can decide about it, or nothing is left to do without them.
    WithRedis,
    /// After so long.
    In(Duration),
    /// After a failed attempt: as its policy has it, and not before so long. Once its attempts are used up, it waits for Redis.
    AfterFailure(RetryPolicy, Duration),
}

/// What is known of one absence of Redis.
#[derive(Debug, Default)]
pub struct Absence {
    jobs: HashMap<JobId, Waiting>,
    accounts: HashMap<AccountId, Waiting>,
    /// The next tick of each decision.
    pub(crate) ticks: Vec<Option<DateTime<Utc>>>,
    /// Whether the brake of everything was on.
    pub(crate) is_braked: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    failures: u32,
    /// `None` until Redis is back.
    until: Option<Instant>,
}

impl Absence {
    /// One that begins now, with so many decisions, all of which are due.
    pub(crate) fn new(decisions: usize) -> Self {
        Self { ticks: vec![Some(clock::now()); decisions], ..Self::default() }
    }

    /// The jobs that are not looked at now, and those that are looked at after all others, which have not been looked at yet.
    pub(crate) fn order(&self, now: Instant) -> (Vec<JobId>, Vec<JobId>) {
        let is_due = |waiting: &Waiting| waiting.until.is_some_and(|until| until <= now);
        let (mut due, later): (Vec<_>, Vec<_>) = self.jobs.iter().partition(|(_, waiting)| is_due(waiting));
        due.sort_by_key(|(id, waiting)| (waiting.until, **id));
        let ids = |jobs: Vec<(&JobId, &Waiting)>| jobs.into_iter().map(|(id, _)| *id).collect();
        (ids(later), ids(due))
    }

    pub(crate) fn put_off(&mut self, id: JobId, next: Next, now: Instant) {
        let waiting = self.jobs.entry(id).or_default();
        waiting.until = match next {
            Next::WithRedis => None,
            Next::In(wait) => Some(now + wait),
            Next::AfterFailure(policy, at_least) => {
                waiting.failures += 1;
                let wait = policy.ceiling(waiting.failures).max(at_least);
                (waiting.failures < policy.max_attempts).then_some(now + wait)
            }
        };
    }

    /// How long the jobs of an account still wait after its failures.
    pub(crate) fn account_waits(&self, account: &AccountId, now: Instant) -> Option<Duration> {
        let until = self.accounts.get(account)?.until?;
        Some(until.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    pub(crate) fn account_ended(&mut self, account: AccountId, failed: bool, now: Instant) {
        if failed {
            let waiting = self.accounts.entry(account).or_default();
            waiting.failures += 1;
            waiting.until = Some(now + AFTER_FAILURES.ceiling(waiting.failures));
        } else {
            self.accounts.remove(&account);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How long a failing attempt hangs.
    const HANGS: Duration = Duration::from_secs(60);

    proptest! {
        /// However many jobs of one account fail or are held back for however long, those of another account all get through; and no job is
        /// attempted more often than its policy has it.
        #[test]
        fn what_fails_or_is_held_back_keeps_nothing_else_from_being_done(
            broken in prop::collection::vec(prop::option::of(0u64..600), 1..30), healthy in 1usize..30, attempts in 1u32..6,
            starts in prop::collection::vec(any::<prop::sample::Index>(), 30),
        ) {
            let (began, policy) = (Instant::now(), RetryPolicy::new(attempts, Duration::from_secs(1), Duration::from_secs(300)));
            let [bad, good] = [AccountId::from_static("bad"), AccountId::from_static("good")];
            let mut outbox: Vec<(JobId, Option<Option<u64>>)> = broken.iter().map(|wait| Some(*wait)).map(|wait| (JobId::at(Utc::now()), wait)).collect();
            for start in starts.iter().take(healthy) {
                let at = start.index(outbox.len() + 1);
                outbox.insert(at, (JobId::at(Utc::now()), None));
            }
            let (mut absence, mut now, mut made, mut tries) = (Absence::default(), began, 0, HashMap::<JobId, u32>::new());
            for _ in 0..2_000 {
                let (skip, last) = absence.order(now);
                let fresh = outbox.iter().map(|(id, _)| *id).find(|id| !skip.contains(id) && !last.contains(id));
                let Some(id) = fresh.or_else(|| last.first().copied()) else {
                    now += TURN;
                    continue;
                };
                let breaks = outbox.iter().find(|(other, _)| *other == id).and_then(|(_, breaks)| *breaks);
                let account = if breaks.is_some() { &bad } else { &good };
                if let Some(wait) = absence.account_waits(account, now) {
                    absence.put_off(id, Next::In(wait), now);
                    continue;
                }
                let (next, failed) = match breaks {
                    Some(Some(wait)) => (Next::AfterFailure(policy, Duration::from_secs(wait)), Some(true)),
                    Some(None) => (Next::In(TURN), None),
                    None => (Next::WithRedis, Some(false)),
                };
                if failed == Some(true) {
                    // It hangs until it is given up.
                    now += HANGS;
                    *tries.entry(id).or_default() += 1;
                }
                if let Some(failed) = failed {
                    absence.account_ended(account.clone(), failed, now);
                }
                made += usize::from(breaks.is_none());
                absence.put_off(id, next, now);
                if made == healthy {
                    break;
                }
            }
            prop_assert_eq!(made, healthy);
            prop_assert!(tries.values().all(|tries| *tries <= attempts), "{:?}", tries);
            // One that hangs takes a minute; the others of its account wait meanwhile.
            prop_assert!(now - began <= HANGS * 2 * u32::try_from(healthy + 1).unwrap_or(0), "{:?}", now - began);
        }
    }
}
