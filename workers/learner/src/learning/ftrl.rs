//! Logistic regression that learns from one post at a time and knows how sure it is.
//!
//! The weights are learned by FTRL-Proximal with a learning rate per coordinate (`McMahan` et al., Ad click prediction: a view from the
//! trenches, KDD 2013, algorithm 1). Around them lies the diagonal Laplace posterior of Chapelle & Li (An empirical evaluation of
//! Thompson sampling, NIPS 2011, algorithm 3), from which weights can be drawn.

use std::collections::BTreeMap;

use rand_distr::{Distribution as _, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::learning::{features::Features, generator, sigmoid};

/// How the model learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// The learning rate of a coordinate at its start.
    pub alpha: f64,
    /// How slowly that rate falls; above 0.
    pub beta: f64,
    /// The L1 penalty: weights with less evidence are exactly 0.
    pub l1: f64,
    /// The L2 penalty.
    pub l2: f64,
    /// The precision of a weight before anything is seen.
    pub prior_precision: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self { alpha: 0.1, beta: 1.0, l1: 0.0, l2: 1.0, prior_precision: 1.0 }
    }
}

/// What is known of one coordinate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Coordinate {
    /// The sum of gradients, less the proximal terms (`z` in algorithm 1).
    pull: f64,
    /// The sum of squared gradients (`n` in algorithm 1).
    squares: f64,
    /// The curvature of the likelihood seen so far.
    curvature: f64,
}

/// An online logistic regression. Its state is small: one entry per feature that was ever seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ftrl {
    rates: Rates,
    coordinates: BTreeMap<u32, Coordinate>,
}

impl Ftrl {
    /// A model that has seen nothing.
    pub fn new(rates: Rates) -> Self {
        Self { rates, coordinates: BTreeMap::new() }
    }

    /// How many features have been seen.
    pub fn len(&self) -> usize {
        self.coordinates.len()
    }

    /// Whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.coordinates.is_empty()
    }

    /// The weight of a feature.
    pub fn weight(&self, index: u32) -> f64 {
        self.coordinates.get(&index).map_or(0.0, |coordinate| self.weight_of(coordinate))
    }

    fn weight_of(&self, coordinate: &Coordinate) -> f64 {
        let Rates { alpha, beta, l1, l2, .. } = self.rates;
        if coordinate.pull.abs() <= l1 {
            return 0.0;
        }
        -(coordinate.pull - l1.copysign(coordinate.pull)) / ((beta + coordinate.squares.sqrt()) / alpha + l2)
    }

    /// The logarithmic odds of success.
    pub fn margin(&self, features: &Features) -> f64 {
        features.iter().map(|(index, value)| self.weight(index) * value).sum()
    }

    /// The probability of success, before calibration.
    pub fn predict(&self, features: &Features) -> f64 {
        sigmoid(self.margin(features))
    }

    /// Learns from one outcome between 0 and 1 that counts `weight` times. What is no number says nothing and is left out.
    pub fn learn(&mut self, features: &Features, outcome: f64, weight: f64) {
        let predicted = self.predict(features);
        self.step(features, (predicted - outcome) * weight, predicted * (1.0 - predicted) * weight);
    }

    /// Learns that the margin is to be `value`, by least squares; it counts `weight` times. A model learns by this or by [`Ftrl::learn`], not by
    /// both.
    pub fn learn_margin(&mut self, features: &Features, value: f64, weight: f64) {
        self.step(features, (self.margin(features) - value) * weight, weight);
    }

    /// One step of FTRL-Proximal, for a loss with this slope and this curvature in the margin.
    fn step(&mut self, features: &Features, error: f64, bend: f64) {
        if !error.is_finite() {
            return;
        }
        for (index, value) in features.iter() {
            let before = self.coordinates.get(&index).copied().unwrap_or_default();
            let gradient = error * value;
            let squares = before.squares + gradient * gradient;
            let shift = (squares.sqrt() - before.squares.sqrt()) / self.rates.alpha;
            let pull = before.pull + gradient - shift * self.weight_of(&before);
            let curvature = before.curvature + bend * value * value;
            self.coordinates.insert(index, Coordinate { pull, squares, curvature });
        }
    }

    /// The logarithmic odds under weights drawn from the posterior. One seed is one draw of all weights: candidates that share a word
    /// share its draw, so score all candidates of a decision with the seed of that decision.
    pub fn sampled_margin(&self, features: &Features, seed: u64) -> f64 {
        let drawn = |(index, value): (u32, f64)| {
            let coordinate = self.coordinates.get(&index).copied().unwrap_or_default();
            let precision = self.rates.prior_precision + coordinate.curvature;
            // An odd factor spreads neighbouring indexes over the seeds (Knuth's multiplicative hashing).
            let mut rng = generator(seed ^ u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let normal: f64 = StandardNormal.sample(&mut rng);
            value * (self.weight_of(&coordinate) + normal / precision.sqrt())
        };
        features.iter().map(drawn).sum()
    }

    /// The standard deviation of the logarithmic odds under the posterior.
    pub fn doubt(&self, features: &Features) -> f64 {
        let variance = |(index, value): (u32, f64)| {
            let curvature = self.coordinates.get(&index).map_or(0.0, |coordinate| coordinate.curvature);
            value * value / (self.rates.prior_precision + curvature)
        };
        features.iter().map(variance).sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    fn features(of: &[(u32, f64)]) -> Features {
        of.iter().copied().collect()
    }

    fn trained(posts: u32) -> Ftrl {
        let mut model = Ftrl::new(Rates { alpha: 0.5, ..Rates::default() });
        let mut rng = generator(11);
        for _ in 0..posts {
            let (x, y) = (rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0));
            let succeeds = rng.random_bool(sigmoid(2.0 * x - y));
            model.learn(&features(&[(1, x), (2, y)]), f64::from(u8::from(succeeds)), 1.0);
        }
        model
    }

    #[test]
    fn the_weights_behind_the_outcomes_are_found() {
        let model = trained(20_000);
        assert!((model.weight(1) - 2.0).abs() < 0.15, "{}", model.weight(1));
        assert!((model.weight(2) + 1.0).abs() < 0.15, "{}", model.weight(2));
    }

    #[test]
    fn margins_are_learned_as_they_are() {
        let mut model = Ftrl::new(Rates { alpha: 0.05, ..Rates::default() });
        let mut rng = generator(3);
        for _ in 0..20_000 {
            let (x, y) = (rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0));
            model.learn_margin(&features(&[(1, x), (2, y)]), 0.3 * x - 0.1 * y + rng.random_range(-0.2..0.2), 1.0);
        }
        assert!((model.weight(1) - 0.3).abs() < 0.05 && (model.weight(2) + 0.1).abs() < 0.05);
    }

    #[test]
    fn doubt_falls_with_posts_and_draws_spread_as_it_says() {
        let both = features(&[(1, 1.0), (2, 1.0)]);
        let (young, old) = (trained(50), trained(5_000));
        assert!(young.doubt(&both) > 3.0 * old.doubt(&both));
        let draws: Vec<f64> = (0..4_000).map(|seed| old.sampled_margin(&both, seed) - old.margin(&both)).collect();
        let spread = (draws.iter().map(|draw| draw * draw).sum::<f64>() / 4_000.0).sqrt();
        assert!((spread / old.doubt(&both) - 1.0).abs() < 0.05, "{spread} against {}", old.doubt(&both));
    }

    #[test]
    fn one_seed_draws_the_same_weights_for_all_candidates() {
        let model = trained(100);
        let margin = |of: &[(u32, f64)]| model.sampled_margin(&features(of), 5);
        assert!((margin(&[(1, 1.0)]) + margin(&[(2, 1.0)]) - margin(&[(1, 1.0), (2, 1.0)])).abs() < 1e-12);
    }

    #[test]
    fn a_strong_l1_penalty_keeps_rare_words_at_exactly_zero() {
        let mut model = Ftrl::new(Rates { l1: 5.0, ..Rates::default() });
        model.learn(&features(&[(9, 1.0)]), 1.0, 1.0);
        assert!(model.weight(9) == 0.0 && model.len() == 1);
    }

    #[test]
    fn a_model_goes_on_after_it_was_stored() {
        let model = trained(200);
        let stored = serde_json::to_string(&model).expect("a model is JSON");
        let read: Ftrl = serde_json::from_str(&stored).expect("it reads what it wrote");
        // The shortest decimal that JSON keeps of a number may read back as its neighbour.
        assert!(read.len() == model.len() && (read.weight(1) - model.weight(1)).abs() < 1e-12);
    }
}
