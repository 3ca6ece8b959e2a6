use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{Decision, LogError};
use crate::learning::bootstrap::{Estimate, by_group};

/// What the other policy would have earned a decision, by each estimator, with 95 % intervals over days.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How many decisions the log has.
    pub decisions: usize,
    /// On how many days.
    pub days: usize,
    /// The mean reward of the policy that ran.
    pub logged: Estimate,
    /// Inverse propensity scoring.
    pub ips: Estimate,
    /// Self-normalised inverse propensity scoring.
    pub snips: Estimate,
    /// Doubly robust; `None` unless every decision has a prediction.
    pub doubly_robust: Option<Estimate>,
    /// What the other policy earns more than the one that ran: doubly robust where there are predictions, self-normalised otherwise.
    pub difference: Estimate,
    /// How many decisions of the other policy the log is worth: `(Σw)² / Σw²` (Kish 1965).
    pub effective_sample_size: f64,
    /// The weight of the decision that counts most.
    pub largest_weight: f64,
}

/// Sums over decisions; those of several days add up.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    decisions: f64,
    reward: f64,
    weight: f64,
    weighted_reward: f64,
    doubly_robust: f64,
}

impl Sums {
    fn of(decision: &Decision) -> Self {
        let weight = decision.weight();
        let doubly_robust = decision
            .predicted
            .map_or(f64::NAN, |predicted| predicted.target + weight * (decision.reward - predicted.chosen));
        let weighted_reward = weight * decision.reward;
        Self { decisions: 1.0, reward: decision.reward, weight, weighted_reward, doubly_robust }
    }

    fn add(mut self, other: &Self) -> Self {
        self.decisions += other.decisions;
        self.reward += other.reward;
        self.weight += other.weight;
        self.weighted_reward += other.weighted_reward;
        self.doubly_robust += other.doubly_robust;
        self
    }

    /// Logged, IPS, SNIPS, doubly robust, and the difference of the last two from the first.
    fn values(&self) -> [f64; 6] {
        let logged = self.reward / self.decisions;
        let ips = self.weighted_reward / self.decisions;
        let snips = self.weighted_reward / self.weight;
        let doubly_robust = self.doubly_robust / self.decisions;
        [logged, ips, snips, doubly_robust, snips - logged, doubly_robust - logged]
    }
}

/// Evaluates the other policy on a log, with `resamples` resamplings of whole days from a seed.
pub fn evaluate(log: &[Decision], resamples: u32, seed: u64) -> Result<Evaluation, LogError> {
    if log.is_empty() {
        return Err(LogError::Empty);
    }
    for (at, decision) in log.iter().enumerate() {
        decision.check(at + 1)?;
    }
    let mut by_day: BTreeMap<NaiveDate, Sums> = BTreeMap::new();
    for decision in log {
        let day = by_day.entry(decision.day).or_default();
        *day = day.add(&Sums::of(decision));
    }
    let days: Vec<Sums> = by_day.into_values().collect();
    let values = |drawn: &[usize]| drawn.iter().fold(Sums::default(), |sums, &day| sums.add(&days[day])).values();
    let [logged, ips, snips, doubly_robust, snips_gain, doubly_robust_gain] =
        by_group(days.len(), resamples, seed, values);
    let has_model = log.iter().all(|decision| decision.predicted.is_some());
    let weights = log.iter().map(Decision::weight);
    let squares: f64 = weights.clone().map(|weight| weight * weight).sum();
    let sum: f64 = weights.clone().sum();
    Ok(Evaluation {
        decisions: log.len(),
        days: days.len(),
        logged,
        ips,
        snips,
        doubly_robust: has_model.then_some(doubly_robust),
        difference: if has_model { doubly_robust_gain } else { snips_gain },
        effective_sample_size: if squares > 0.0 { sum * sum / squares } else { 0.0 },
        largest_weight: weights.fold(0.0, f64::max),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::learning::off_policy::Predicted;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 1, 1 + number).expect("a day of January")
    }

    fn decision(number: u32, reward: f64, propensity: f64, target: f64) -> Decision {
        Decision { day: day(number), reward, propensity, target, predicted: None }
    }

    fn log() -> impl Strategy<Value = Vec<Decision>> {
        let one = (0_u32..10, -1.0..1.0, 0.05..1.0, 0.0..1.0);
        proptest::collection::vec(one.prop_map(|(d, reward, p, t)| decision(d, reward, p, t)), 2..60)
    }

    #[test]
    fn a_decision_that_the_other_policy_never_makes_counts_nothing() {
        let log = [decision(0, 1.0, 0.5, 0.0), decision(1, 0.0, 0.5, 1.0)];
        let found = evaluate(&log, 200, 1).expect("a log");
        assert!(found.ips.value == 0.0 && found.snips.value == 0.0);
        assert!((found.effective_sample_size - 1.0).abs() < 1e-12 && (found.largest_weight - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_perfect_model_needs_no_weights() {
        // Two arms of reward 1 and 0. The log takes both alike, the other policy the first one with 0.9.
        let with = |reward: f64, target: f64, number: u32| Decision {
            predicted: Some(Predicted { chosen: reward, target: 0.9 }),
            ..decision(number, reward, 0.5, target)
        };
        let log: Vec<Decision> = (0..10).flat_map(|n| [with(1.0, 0.9, n), with(0.0, 0.1, n)]).collect();
        let found = evaluate(&log, 200, 1).expect("a log");
        let doubly_robust = found.doubly_robust.expect("every decision has a prediction");
        assert!((doubly_robust.value - 0.9).abs() < 1e-12 && doubly_robust.high - doubly_robust.low < 1e-12);
        assert!((found.difference.value - 0.4).abs() < 1e-12);
    }

    #[test]
    fn a_propensity_of_zero_is_refused_with_its_decision() {
        let log = [decision(0, 1.0, 0.5, 0.5), decision(0, 1.0, 0.0, 0.5)];
        let error = evaluate(&log, 10, 1).expect_err("no weight exists");
        assert_eq!(error.to_string(), "decision 2 has propensity 0; it must be above 0 and at most 1");
        assert_eq!(evaluate(&[], 10, 1), Err(LogError::Empty));
    }

    proptest! {
        #[test]
        fn a_copy_of_the_policy_shows_no_difference(mut log in log()) {
            for decision in &mut log {
                decision.target = decision.propensity;
            }
            let found = evaluate(&log, 50, 3).expect("a log");
            prop_assert!(found.difference.low.abs() < 1e-12 && found.difference.high.abs() < 1e-12);
            prop_assert!((found.effective_sample_size - log.len() as f64).abs() < 1e-6);
        }

        #[test]
        fn self_normalised_estimates_do_not_change_with_the_scale_of_the_weights(log in log(), scale in 0.1_f64..1.0) {
            let scaled = |decision: &Decision| Decision { target: decision.target * scale, ..*decision };
            let other: Vec<Decision> = log.iter().map(scaled).collect();
            let (one, two) = (evaluate(&log, 20, 3).expect("a log"), evaluate(&other, 20, 3).expect("a log"));
            prop_assert!((one.snips.value - two.snips.value).abs() < 1e-9);
            prop_assert!((one.effective_sample_size - two.effective_sample_size).abs() < 1e-6);
            prop_assert!((one.ips.value * scale - two.ips.value).abs() < 1e-9);
        }

        #[test]
        fn the_effective_sample_size_never_exceeds_the_log(log in log()) {
            let found = evaluate(&log, 20, 3).expect("a log");
            prop_assert!(found.effective_sample_size <= log.len() as f64 + 1e-9);
        }

        #[test]
        fn the_order_of_the_log_does_not_matter(log in log()) {
            let reversed: Vec<Decision> = log.iter().rev().copied().collect();
            let (one, two) = (evaluate(&log, 20, 3).expect("a log"), evaluate(&reversed, 20, 3).expect("a log"));
            prop_assert!((one.ips.low - two.ips.low).abs() < 1e-9 && (one.snips.high - two.snips.high).abs() < 1e-9);
        }
    }
}
