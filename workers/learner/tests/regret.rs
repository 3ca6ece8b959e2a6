//! The regret of Thompson sampling against the bands in which a good sampler lies.
//!
//! Regret is the sum over steps of the rate of the best arm minus the rate of the arm that was played. The bands are means over
//! simulated runs of 10,000 steps. The Lai–Robbins bound is asymptotic, and a good sampler lies below it here, so nothing is tested
//! against it.

use std::collections::VecDeque;

use perch_bot_learner::learning::thompson::{Arm as _, Bernoulli, best_draw};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

const STEPS: usize = 10_000;
const RUNS: u32 = 300;

/// A world of arms, and how the learner meets it.
struct World {
    rates: Vec<f64>,
    /// At this step, the first arm and the last swap their rates.
    swap_at: Option<usize>,
    discount: f64,
    delay: usize,
}

impl World {
    fn of(rates: &[f64]) -> Self {
        Self { rates: rates.to_vec(), swap_at: None, discount: 1.0, delay: 0 }
    }

    fn run(&self, seed: u64) -> f64 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut rates = self.rates.clone();
        let mut arms = vec![Bernoulli::default(); rates.len()];
        let mut waiting = VecDeque::new();
        let (mut regret, last) = (0.0, rates.len() - 1);
        for step in 0..STEPS {
            if self.swap_at == Some(step) {
                rates.swap(0, last);
            }
            let arm = best_draw(&arms, &mut rng).expect("there are arms");
            regret += rates.iter().copied().fold(0.0, f64::max) - rates[arm];
            waiting.push_back((arm, rng.random_bool(rates[arm])));
            if waiting.len() > self.delay {
                let (arm, success) = waiting.pop_front().expect("one waits");
                if self.discount < 1.0 {
                    for arm in &mut arms {
                        arm.discount(self.discount);
                    }
                }
                arms[arm].observe(success);
            }
        }
        regret
    }

    /// The mean regret over runs, and its standard error.
    fn regret(&self) -> (f64, f64) {
        let regrets: Vec<f64> = (0..RUNS).map(|run| self.run(u64::from(run))).collect();
        let runs = f64::from(RUNS);
        let mean = regrets.iter().sum::<f64>() / runs;
        let variance = regrets.iter().map(|regret| (regret - mean).powi(2)).sum::<f64>() / (runs - 1.0);
        (mean, (variance / runs).sqrt())
    }

    fn holds(&self, band: f64) {
        let (mean, error) = self.regret();
        println!("regret {mean:.1} ± {error:.1}, band {band}");
        assert!(mean <= band + 2.0 * error, "regret {mean:.1} ± {error:.1} is above the band of {band}");
    }
}

fn ladder() -> World {
    World::of(&[0.1, 0.05, 0.05, 0.05, 0.02, 0.02, 0.02, 0.01, 0.01, 0.01])
}

fn one_better() -> World {
    World::of(&[0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4])
}

#[test]
fn one_arm_slightly_better_than_nine_is_found_within_the_band() {
    one_better().holds(167.0);
}

#[test]
fn a_ladder_of_rare_successes_is_climbed_within_the_band() {
    ladder().holds(70.0);
}

#[test]
fn two_good_arms_are_told_apart_within_the_band() {
    World::of(&[0.9, 0.8]).holds(12.0);
}

#[test]
fn rewards_that_come_a_hundred_steps_late_cost_a_twentieth() {
    World { delay: 100, ..one_better() }.holds(167.0 * 1.05);
}

#[test]
fn a_discount_follows_when_the_best_arm_and_the_worst_swap() {
    let drift = |discount| World { swap_at: Some(STEPS / 2), discount, ..ladder() }.regret();
    let (plain, (mean, error)) = (drift(1.0).0, drift(0.9995));
    println!("regret {mean:.1} ± {error:.1}, at most 300, without a discount {plain:.1}");
    assert!(mean <= 300.0 && mean < plain, "regret {mean:.1} ± {error:.1}, without a discount {plain:.1}");
}
