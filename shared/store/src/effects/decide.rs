//! The decision on a claim: a function of the stored effect, the request, and the age of the last permit.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{EffectIntent, EffectState, Resolution, StoredEffect};

/// How long a permit is assumed to be in use: longer than an attempt with an effect may run.
/// After this time, a claim that finds the effect unsettled asks the outside service instead of waiting.
pub const IN_FLIGHT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Issue the next permit.
    Grant,
    /// It has happened: return the stored answer.
    Done,
    /// The outside service has to be asked.
    Ask,
    /// Another job may be acting, for so long at most.
    Wait(Duration),
    /// A later attempt of this job is acting.
    Stop,
    /// The key belongs to another request.
    Mismatch,
}

/// `age` is the time since the last permit was issued, by the clock of Postgres.
pub(super) fn decide(stored: &StoredEffect, intent: &EffectIntent, age: Duration) -> Decision {
    if stored.state == EffectState::Failed {
        return Decision::Grant;
    }
    if stored.digest != intent.digest {
        return Decision::Mismatch;
    }
    match stored.state {
        EffectState::Failed => Decision::Grant,
        EffectState::Confirmed => Decision::Done,
        // The attempt that acted has reported an unknown outcome; it acts no more.
        EffectState::Unknown => Decision::Ask,
        EffectState::Intended if age >= IN_FLIGHT => Decision::Ask,
        EffectState::Intended if stored.job_id != intent.job => Decision::Wait(IN_FLIGHT.saturating_sub(age)),
        // The engine starts an attempt only when the one before has lost its lease.
        EffectState::Intended if stored.attempt <= intent.attempt => Decision::Ask,
        EffectState::Intended => Decision::Stop,
    }
}

/// When a job was accepted, as far as known.
#[derive(Debug, Clone, Copy)]
pub(super) struct AcceptedAt {
    /// When Postgres stored it, by the clock of Postgres. `None` if unknown, or if the stored time is in the future.
    pub kept_at: Option<DateTime<Utc>>,
    /// The time in its id, which a caller chose or else the clock of Redis gave.
    pub by_id: DateTime<Utc>,
}

impl AcceptedAt {
    /// How far the time in an id may be ahead of the job's acceptance.
    const AHEAD: TimeDelta = TimeDelta::days(1);

    /// Whether the job may have acted before `lost_at`, so that its effect may be lost. That is so whenever the time in its id is before
    /// the loss. Where Postgres has no time for the job either, it counts as later than the loss only if the time in its id is at least a
    /// day after the loss and not later than `now`.
    pub fn is_before(self, lost_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        match self.kept_at {
            _ if self.by_id < lost_at => true,
            Some(at) => at < lost_at,
            None => self.by_id - lost_at < Self::AHEAD || self.by_id > now,
        }
    }

    /// The earliest time at which the job, whose permit is of `intended_at`, may have acted. Where Postgres has no time for the job, the
    /// time in its id is trusted unless it is later than `now`: X shows a limited number of posts, so looking too far back gains nothing.
    pub fn earliest(self, intended_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        let known = self.by_id.min(intended_at);
        match self.kept_at {
            Some(at) => known.min(at),
            None if self.by_id > now => known.checked_sub_signed(Self::AHEAD).unwrap_or(known),
            None => known,
        }
    }
}

/// Why a person may not settle an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResolveRefusal {
    /// It is confirmed, and the answer is stored.
    Confirmed,
    /// The ledger already says that it did not happen.
    Failed,
    /// An attempt may still be acting, for so long at most.
    InUse(Duration),
}

/// Whether a person may settle an effect whose last permit was issued `age` ago.
pub(super) fn may_resolve(state: EffectState, resolution: &Resolution, age: Duration) -> Result<(), ResolveRefusal> {
    match (state, resolution) {
        (EffectState::Confirmed, _) => Err(ResolveRefusal::Confirmed),
        (EffectState::Failed, Resolution::NotDone) => Err(ResolveRefusal::Failed),
        (EffectState::Intended, _) if age < IN_FLIGHT => Err(ResolveRefusal::InUse(IN_FLIGHT.saturating_sub(age))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use perch_jobs::JobId;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_job_is_after_a_loss_only_where_postgres_says_so_and_its_id_does_not_deny_it() {
        let at = |minute: i64| DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::minutes(minute);
        let accepted = |kept: Option<i64>, id: i64| AcceptedAt { kept_at: kept.map(at), by_id: at(id) };
        let (days, lost_at) = (|days: i64| days * 24 * 60, at(5));
        let is_before = |accepted: AcceptedAt| accepted.is_before(lost_at, at(days(9)));
        assert!(!is_before(accepted(Some(6), 6)));
        assert!(!is_before(accepted(Some(6), 66)), "callers choose ids");
        assert!(is_before(accepted(Some(4), 66)));
        assert!(is_before(accepted(Some(6), 4)), "its row was written anew");
        assert!(is_before(accepted(None, 66)), "nobody knows");
        assert!(is_before(accepted(None, days(400))), "its id lies ahead");
        assert!(!is_before(accepted(None, days(8))), "a loss is over for those that are enqueued days after it");
        let earliest = |accepted: AcceptedAt| accepted.earliest(at(7), at(8));
        assert_eq!(earliest(accepted(Some(4), 66)), at(4));
        assert_eq!(earliest(accepted(Some(4), 3)), at(3));
        assert_eq!(earliest(accepted(None, 6)), at(6), "X may not show what is older");
        assert!(earliest(accepted(None, 66)) < at(0), "it was accepted long before, perhaps");
    }

    fn stored(state: EffectState, job_id: JobId, attempt: u32, digest: u8) -> StoredEffect {
        StoredEffect {
            key: "post:1".into(),
            kind: "post".into(),
            account: "main".into(),
            state,
            fence: 1,
            digest: vec![digest; 32],
            job_id,
            attempt,
            holder: "w1".into(),
            live: true,
            external_id: None,
            response: None,
            error: None,
            created_at: Utc::now(),
            intended_at: Utc::now(),
            settled_at: None,
        }
    }

    fn intent(job: JobId, attempt: u32, digest: u8) -> EffectIntent {
        EffectIntent {
            key: "post:1".into(),
            kind: "post".into(),
            account: "main".into(),
            digest: [digest; 32],
            job,
            attempt,
            holder: "w2".into(),
            live: true,
        }
    }

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn the_next_attempt_of_a_job_asks_and_an_older_one_stops() {
        let job = JobId::at(Utc::now());
        let open = stored(EffectState::Intended, job, 2, 0);
        assert_eq!(decide(&open, &intent(job, 3, 0), NOW), Decision::Ask);
        assert_eq!(decide(&open, &intent(job, 2, 0), NOW), Decision::Ask);
        assert_eq!(decide(&open, &intent(job, 1, 0), NOW), Decision::Stop);
    }

    #[test]
    fn another_job_waits_while_the_first_may_be_acting_and_asks_afterwards() {
        let open = stored(EffectState::Intended, JobId::at(Utc::now()), 1, 0);
        let other = intent(JobId::at(Utc::now()), 1, 0);
        assert_eq!(decide(&open, &other, Duration::from_secs(20)), Decision::Wait(Duration::from_secs(100)));
        assert_eq!(decide(&open, &other, IN_FLIGHT), Decision::Ask);
    }

    #[test]
    fn a_replayed_job_whose_attempts_start_again_is_not_locked_out_for_ever() {
        let job = JobId::at(Utc::now());
        assert_eq!(decide(&stored(EffectState::Unknown, job, 8, 0), &intent(job, 1, 0), NOW), Decision::Ask);
        assert_eq!(decide(&stored(EffectState::Intended, job, 8, 0), &intent(job, 1, 0), IN_FLIGHT), Decision::Ask);
    }

    #[test]
    fn a_key_that_was_used_for_another_request_is_free_again_only_when_that_failed() {
        let job = JobId::at(Utc::now());
        for state in [EffectState::Confirmed, EffectState::Intended, EffectState::Unknown] {
            assert_eq!(decide(&stored(state, job, 1, 0), &intent(job, 2, 1), NOW), Decision::Mismatch);
        }
        assert_eq!(decide(&stored(EffectState::Failed, job, 1, 0), &intent(job, 2, 1), NOW), Decision::Grant);
    }

    #[test]
    fn a_person_decides_what_is_open_and_changes_nothing_that_is_known() {
        let confirmed = Resolution::Confirmed { external_id: None };
        for resolution in [&confirmed, &Resolution::NotDone] {
            assert_eq!(may_resolve(EffectState::Confirmed, resolution, IN_FLIGHT), Err(ResolveRefusal::Confirmed));
            assert_eq!(may_resolve(EffectState::Unknown, resolution, NOW), Ok(()));
            assert_eq!(may_resolve(EffectState::Intended, resolution, IN_FLIGHT), Ok(()));
            assert_eq!(may_resolve(EffectState::Intended, resolution, NOW), Err(ResolveRefusal::InUse(IN_FLIGHT)));
        }
        assert_eq!(may_resolve(EffectState::Failed, &Resolution::NotDone, NOW), Err(ResolveRefusal::Failed));
        assert_eq!(may_resolve(EffectState::Failed, &confirmed, NOW), Ok(()));
    }

    proptest! {
        #[test]
        fn nothing_that_may_have_happened_is_ever_granted_unasked(
            state in prop::sample::select(vec![EffectState::Intended, EffectState::Confirmed, EffectState::Unknown]),
            same_job in any::<bool>(), stored_attempt in 1u32..9, attempt in 1u32..9, digest in 0u8..2, age in 0u64..300,
        ) {
            let job = JobId::at(Utc::now());
            let other = if same_job { job } else { JobId::at(Utc::now()) };
            let decision = decide(
                &stored(state, job, stored_attempt, 0),
                &intent(other, attempt, digest),
                Duration::from_secs(age),
            );
            prop_assert_ne!(decision, Decision::Grant);
        }
    }
}
