//! Which hours of a day get a slot. Slots are randomised among the allowed hours, so that the time is an experiment too.

use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};

use super::{Knowledge, Policy, PolicyKind};
use crate::learning::{
    generator,
    timing::{Slot, Verdict},
};

/// The draws from which the probability of each hour comes.
const DRAWS: u32 = 1_000;
/// How much better an hour has to be, on the scale of rewards, to come about e times as often.
const TEMPERATURE: f64 = 0.25;

/// The plan of a day, with everything that it was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DayPlan {
    /// The hash of the policy.
    pub policy_hash: String,
    /// The hours that were chosen, in order, where the readers are.
    pub chosen: Vec<u8>,
    /// All allowed hours.
    pub hours: Vec<HourWeight>,
    /// Whether there is evidence that the time matters, in words.
    pub evidence: String,
    /// Whether the hours are chosen alike, for want of evidence or to explore.
    pub is_uniform: bool,
    /// The seed of everything that was drawn.
    pub seed: u64,
}

/// An hour in the plan of a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HourWeight {
    /// The hour.
    pub hour: u8,
    /// What a post at this hour is expected to earn.
    pub expected: f64,
    /// The probability with which the plan has it.
    pub propensity: f64,
}

/// Plans a day: `count` of the allowed hours at least `gap` hours apart, fewer where more do not fit. Without evidence that the time
/// matters, every hour is as good as another.
pub fn plan_day(
    policy: &Policy,
    known: &Knowledge,
    weekday: u8,
    (allowed, count, gap): (&[u8], usize, u8),
    seed: u64,
) -> DayPlan {
    let timing = known.timing();
    let has_evidence = matches!(timing.verdict(), Verdict::Evidence(_)) && policy.kind == PolicyKind::Thompson;
    let expected: Vec<f64> = allowed.iter().map(|hour| timing.expected(Slot { weekday, hour: *hour })).collect();
    let weights: Vec<f64> = if has_evidence {
        let top = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        expected.iter().map(|value| ((value - top) / TEMPERATURE).exp()).collect()
    } else {
        vec![1.0; allowed.len()]
    };
    let uniform = vec![1.0; allowed.len()];
    let (mut rng, epsilon) = (generator(seed), policy.exploration.epsilon.clamp(0.0, 1.0));
    let one = |rng: &mut dyn FnMut() -> f64| {
        let explores = rng() < epsilon;
        (pick(if explores { &uniform } else { &weights }, allowed, (count, gap), rng), explores)
    };
    let mut draw = || unit(&mut rng);
    let (mut chosen, explores) = one(&mut draw);
    let mut often = vec![0_u32; allowed.len()];
    for _ in 0..DRAWS {
        for hour in one(&mut draw).0 {
            often[hour] += 1;
        }
    }
    // The plan that was chosen counts as one more draw, so that no chosen hour has the probability 0.
    for hour in &chosen {
        often[*hour] += 1;
    }
    chosen.sort_by_key(|hour| allowed[*hour]);
    let weigh = |(at, hour): (usize, &u8)| HourWeight {
        hour: *hour,
        expected: expected[at],
        propensity: f64::from(often[at]) / f64::from(DRAWS + 1),
    };
    DayPlan {
        policy_hash: policy.hash(),
        chosen: chosen.iter().map(|hour| allowed[*hour]).collect(),
        hours: allowed.iter().enumerate().map(weigh).collect(),
        evidence: timing.verdict().to_string(),
        is_uniform: !has_evidence || explores,
        seed,
    }
}

fn unit<R: Rng>(rng: &mut R) -> f64 {
    rng.random::<f64>()
}

/// The places of hours that are drawn one after the other by their weights, each at least `gap` hours from the others.
fn pick(weights: &[f64], allowed: &[u8], (count, gap): (usize, u8), draw: &mut dyn FnMut() -> f64) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < count {
        let is_free = |at: usize| chosen.iter().all(|other| allowed[at].abs_diff(allowed[*other]) >= gap.max(1));
        let free: Vec<usize> = (0..allowed.len()).filter(|at| is_free(*at)).collect();
        let total: f64 = free.iter().map(|at| weights[*at]).sum();
        let Some(last) = free.last().copied() else { break };
        let mut left = draw() * total;
        let found = free.iter().copied().find(|at| {
            left -= weights[*at];
            left < 0.0
        });
        chosen.push(found.unwrap_or(last));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Lesson;

    fn known(lessons: &[Lesson]) -> Knowledge {
        Knowledge::learn(&Policy::default(), lessons, &[], Tz::UTC)
    }

    /// Posts of three hours on many days, of which one earns far more.
    fn history() -> Vec<Lesson> {
        let start: DateTime<Utc> = "2026-01-05T00:00:00Z".parse().expect("a time");
        let post = |n: i32| {
            let hour = [9, 13, 20][usize::try_from(n % 3).expect("small")];
            let noise = f64::from(n * 7 % 11) / 11.0 - 0.5;
            Lesson {
                arm: "a/single/claim/any".into(),
                text: "A text".into(),
                at: start + TimeDelta::days((n / 3).into()) + TimeDelta::hours(hour),
                reward: noise + if hour == 20 { 1.0 } else { -0.5 },
                follows: None,
            }
        };
        (0..600).map(post).collect()
    }

    #[test]
    fn without_evidence_every_hour_comes_about_as_often() {
        let plan = plan_day(&Policy::default(), &known(&[]), 0, (&[8, 12, 16, 20], 2, 1), 5);
        assert!(plan.is_uniform && plan.evidence.contains("posts"), "{}", plan.evidence);
        assert!(plan.hours.iter().all(|hour| (hour.propensity - 0.5).abs() < 0.1), "{:?}", plan.hours);
    }

    #[test]
    fn with_evidence_the_better_hour_comes_more_often_and_the_others_never_stop() {
        let known = known(&history());
        let often = |hour: u8| {
            let plan = plan_day(&Policy::default(), &known, 2, (&[9, 13, 20], 1, 1), 5);
            plan.hours.iter().find(|weight| weight.hour == hour).expect("it is allowed").propensity
        };
        assert!(often(20) > 0.8 && often(9) > 0.0, "{} {}", often(20), often(9));
    }

    proptest! {
        #[test]
        fn a_plan_has_allowed_hours_far_enough_apart_and_is_replayed_from_its_seed(
            seed: u64, hours in prop::collection::btree_set(0_u8..24, 1..20), count in 1_usize..8, gap in 0_u8..6,
        ) {
            let (known, hours): (_, Vec<u8>) = (known(&[]), hours.into_iter().collect());
            let plan = plan_day(&Policy::default(), &known, 0, (&hours, count, gap), seed);
            prop_assert!(!plan.chosen.is_empty() && plan.chosen.len() <= count);
            prop_assert!(plan.chosen.iter().all(|hour| hours.contains(hour)));
            prop_assert!(plan.chosen.windows(2).all(|two| two[1] - two[0] >= gap.max(1)));
            let chosen = |hour: &&HourWeight| plan.chosen.contains(&hour.hour);
            prop_assert!(plan.hours.iter().filter(chosen).all(|hour| hour.propensity > 0.0 && hour.propensity <= 1.0));
            prop_assert_eq!(&plan, &plan_day(&Policy::default(), &known, 0, (&hours, count, gap), seed));
        }
    }
}
