//! Plans the days of a bot: each local day once, with its slots at minutes drawn within the chosen hours.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use perch_core::personas::Persona;
use perch_queue::Fail;
use serde_json::json;

use crate::{
    Learner,
    choosing::{Taught, seed_of},
    policy::{DayPlan, plan_day},
    store::{LearnerBot, LearnerStore as _},
};

/// Plans today and tomorrow, where the readers are. Answers how many days were planned now.
pub(crate) async fn plan(
    bot: &Learner,
    learner: &LearnerBot,
    persona: &Persona,
    now: DateTime<Utc>,
) -> Result<u64, Fail> {
    let today = now.with_timezone(&persona.spec.timezone).date_naive();
    let mut planned = 0;
    let mut taught = None;
    for day in [Some(today), today.checked_add_days(Days::new(1))].into_iter().flatten() {
        if bot.store.learner().is_planned(&learner.bot, day).await? {
            continue;
        }
        if taught.is_none() {
            taught = Some(Taught::of(bot, learner, persona).await?);
        }
        let Some(taught) = &taught else { break };
        planned += u64::from(plan_one(bot, learner, persona, taught, (day, now)).await?);
    }
    Ok(planned)
}

async fn plan_one(
    bot: &Learner,
    learner: &LearnerBot,
    persona: &Persona,
    taught: &Taught,
    (day, now): (NaiveDate, DateTime<Utc>),
) -> Result<bool, Fail> {
    let spec = &learner.spec;
    let weekday = u8::try_from(day.weekday().num_days_from_monday()).unwrap_or(0);
    let gap = u8::try_from(spec.min_gap_minutes.div_ceil(60)).unwrap_or(u8::MAX);
    let seed = seed_of(&learner.bot, &day.to_string());
    let mut hours = spec.hours.clone();
    hours.sort_unstable();
    let wanted = (hours.as_slice(), usize::from(spec.posts_per_day), gap);
    let plan = plan_day(&taught.policy.policy, &taught.known, weekday, wanted, seed);
    // What is left of the day a bot is added on; a slot of the past is never made up for.
    let slots: Vec<(DateTime<Utc>, f64)> =
        times(&plan, day, persona.spec.timezone).into_iter().filter(|(at, _)| *at > now).collect();
    let kept = json!({ "plan": plan, "timezone": persona.spec.timezone.name() });
    Ok(bot.store.learner().plan(&learner.bot, day, taught.policy.version, &kept, &slots).await?)
}

/// The times of a plan with their propensities, in order. An hour that a change of the clock leaves out has none; of one that comes twice
/// the first counts.
pub(crate) fn times(plan: &DayPlan, day: NaiveDate, timezone: Tz) -> Vec<(DateTime<Utc>, f64)> {
    let one = |(nth, hour): (usize, &u8)| {
        let minute = u32::try_from(mixed(plan.seed, nth as u64) % 60).unwrap_or(0);
        let local = day.and_time(NaiveTime::from_hms_opt(u32::from(*hour), minute, 0)?);
        let at = local.and_local_timezone(timezone).earliest()?.with_timezone(&Utc);
        let weight = plan.hours.iter().find(|weight| weight.hour == *hour)?;
        Some((at, weight.propensity))
    };
    let mut times: Vec<(DateTime<Utc>, f64)> = plan.chosen.iter().enumerate().filter_map(one).collect();
    times.sort_by_key(|(at, _)| *at);
    times.dedup_by(|next, before| next.0 - before.0 < TimeDelta::minutes(1));
    times
}

/// A number from a seed and a place (the finalizer of `SplitMix64`, Steele et al. 2014).
pub(crate) fn mixed(seed: u64, nth: u64) -> u64 {
    let mut z = seed.wrapping_add(nth.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use chrono::Timelike as _;
    use chrono_tz::{America::New_York, Europe::Berlin};
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Knowledge, Policy};

    fn plan_of(seed: u64) -> DayPlan {
        let known = Knowledge::learn(&Policy::default(), &[], &[], Tz::UTC);
        let hours: Vec<u8> = (0..24).collect();
        plan_day(&Policy::default(), &known, 6, (&hours, 24, 1), seed)
    }

    #[test]
    fn over_both_changes_of_the_clock_every_local_hour_has_at_most_one_slot() {
        for (zone, spring, autumn) in [(Berlin, "2026-03-29", "2026-10-25"), (New_York, "2026-03-08", "2026-11-01")] {
            for (day, hours) in [(spring, 23), (autumn, 24)] {
                let day: NaiveDate = day.parse().expect("a day");
                let times = times(&plan_of(3), day, zone);
                assert_eq!(times.len(), hours, "{zone} on {day}");
                let mut local: Vec<u32> = times.iter().map(|(at, _)| at.with_timezone(&zone).hour()).collect();
                local.dedup();
                assert_eq!(local.len(), hours, "{zone} on {day}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_slot_lies_on_its_day_where_the_readers_are(seed: u64, day in 0_i64..730) {
            let start: NaiveDate = "2026-01-01".parse().expect("a day");
            let day = start + TimeDelta::days(day);
            for zone in [Berlin, New_York] {
                let times = times(&plan_of(seed), day, zone);
                prop_assert!(times.iter().all(|(at, _)| at.with_timezone(&zone).date_naive() == day));
                prop_assert!(times.windows(2).all(|two| two[0].0 < two[1].0));
            }
        }
    }
}
