//! Which slots are due, and which are too late. Pure functions.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::CronSchedule;
use perch_core::personas::CatchUpPolicy;

/// The most slots that are looked at in one run. A persona that was away longer misses the rest in the next runs.
const MOST: usize = 1_000;

/// Slots of a persona by what is to be done with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DueSlots {
    /// To be filled, oldest first.
    pub(super) fill: Vec<DateTime<Utc>>,
    /// Given up, oldest first.
    pub(super) missed: Vec<DateTime<Utc>>,
    /// Up to where the slots are known now.
    pub(super) until: DateTime<Utc>,
}

/// How late a slot may be filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lateness {
    /// Any slot.
    pub(super) grace: Duration,
    /// The latest slot, where the policy is to catch up.
    pub(super) catch_up: Duration,
    pub(super) policy: CatchUpPolicy,
}

/// The times of these schedules after `after` and up to `now`, each once, oldest first; and up to where they are known.
fn times(schedules: &[CronSchedule], after: DateTime<Utc>, now: DateTime<Utc>) -> (Vec<DateTime<Utc>>, DateTime<Utc>) {
    let mut times: Vec<DateTime<Utc>> =
        schedules.iter().flat_map(|schedule| schedule.ticks_between(after, now, MOST)).collect();
    times.sort_unstable();
    times.dedup();
    // Each schedule stops at its own limit, so only the first times of all are known to be complete.
    let is_cut = times.len() >= MOST;
    times.truncate(MOST);
    let until = times.last().copied().filter(|_| is_cut).unwrap_or(now);
    (times, until)
}

/// What is to be done with the slots after `after`, and with those that are `empty` since an earlier run.
pub(super) fn due(
    schedules: &[CronSchedule],
    empty: &[DateTime<Utc>],
    (after, now): (DateTime<Utc>, DateTime<Utc>),
    lateness: Lateness,
) -> DueSlots {
    let (new, until) = times(schedules, after, now);
    let mut all: Vec<DateTime<Utc>> = empty.iter().copied().chain(new).collect();
    all.sort_unstable();
    all.dedup();
    let latest = all.last().copied();
    let is_in_time = |slot: &DateTime<Utc>| {
        let late = now - *slot;
        let within = |limit: Duration| late <= TimeDelta::from_std(limit).unwrap_or(TimeDelta::MAX);
        let catches_up = lateness.policy == CatchUpPolicy::Latest && Some(*slot) == latest;
        within(lateness.grace) || (catches_up && within(lateness.catch_up))
    };
    let (fill, missed) = all.into_iter().partition(is_in_time);
    DueSlots { fill, missed, until }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono_tz::{America::New_York, Europe::Berlin, Tz};
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("tests write valid times")
    }

    fn schedule(expression: &str, zone: Tz) -> Vec<CronSchedule> {
        vec![CronSchedule::parse(expression, zone).expect("a schedule")]
    }

    fn lateness(policy: CatchUpPolicy) -> Lateness {
        Lateness { grace: Duration::from_secs(300), catch_up: Duration::from_secs(10_800), policy }
    }

    #[test]
    fn after_an_outage_the_policy_decides_whether_the_latest_slot_is_filled_late() {
        let hourly = schedule("0 * * * *", Tz::UTC);
        let (after, now) = (at("2026-11-01T08:30:00Z"), at("2026-11-01T12:20:00Z"));
        let skip = due(&hourly, &[], (after, now), lateness(CatchUpPolicy::Skip));
        assert_eq!((skip.fill.len(), skip.missed.len(), skip.until), (0, 4, now));
        let latest = due(&hourly, &[], (after, now), lateness(CatchUpPolicy::Latest));
        assert_eq!((latest.fill.as_slice(), latest.missed.len()), (&[at("2026-11-01T12:00:00Z")][..], 3));
        let (now, after) = (at("2026-11-01T16:00:00Z"), at("2026-11-01T15:59:30Z"));
        let empty = [at("2026-11-01T12:00:00Z")];
        let later = due(&hourly, &empty, (after, now), lateness(CatchUpPolicy::Latest));
        assert_eq!((later.fill.as_slice(), later.missed.as_slice()), (&[now][..], &empty[..]));
    }

    #[test]
    fn two_schedules_that_meet_are_one_slot() {
        let both = [schedule("0 9 * * *", Tz::UTC), schedule("0 */3 * * *", Tz::UTC)].concat();
        let due =
            due(&both, &[], (at("2026-11-01T08:59:00Z"), at("2026-11-01T09:01:00Z")), lateness(CatchUpPolicy::Skip));
        assert_eq!(due.fill, [at("2026-11-01T09:00:00Z")]);
    }

    /// Runs every minute of some days, and collects what was to be filled.
    fn filled(schedules: &[CronSchedule], from: &str, days: i64, step: i64) -> Vec<DateTime<Utc>> {
        let (from, mut after, mut all) = (at(from), at(from), Vec::new());
        for minute in (0..=days * 24 * 60).step_by(usize::try_from(step).expect("a step")) {
            let now = from + TimeDelta::minutes(minute);
            let due = due(schedules, &[], (after, now), lateness(CatchUpPolicy::Skip));
            assert!(due.missed.is_empty());
            all.extend(due.fill);
            after = due.until;
        }
        all
    }

    #[test]
    fn over_both_changes_of_the_clock_a_daily_slot_comes_once_a_day_at_its_local_hour() {
        for (zone, spring, autumn) in [
            (Berlin, "2026-03-27T00:00:00Z", "2026-10-23T00:00:00Z"),
            (New_York, "2026-03-06T00:00:00Z", "2026-10-30T00:00:00Z"),
        ] {
            for from in [spring, autumn] {
                for hour in [1, 2, 9] {
                    let slots = filled(&schedule(&format!("30 {hour} * * *"), zone), from, 4, 3);
                    let days: BTreeSet<_> = slots.iter().map(|slot| slot.with_timezone(&zone).date_naive()).collect();
                    // Four days of UTC hold three to five local ones.
                    assert!((3..=5).contains(&slots.len()), "{zone} from {from} at {hour}: {slots:?}");
                    assert_eq!(days.len(), slots.len(), "{zone} from {from} at {hour}: {slots:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn however_runs_are_spaced_every_slot_is_filled_or_missed_once(gaps in prop::collection::vec(0_i64..400, 1..40)) {
            let schedules = schedule("*/20 * * * *", Berlin);
            let start = at("2026-10-25T00:00:00Z");
            let (mut after, mut now, mut seen) = (start, start, Vec::new());
            for gap in gaps {
                now += TimeDelta::minutes(gap);
                let due = due(&schedules, &[], (after, now), lateness(CatchUpPolicy::Latest));
                seen.extend(due.fill.iter().chain(&due.missed).copied());
                after = due.until;
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, schedules[0].ticks_between(start, after, usize::MAX));
        }
    }
}
