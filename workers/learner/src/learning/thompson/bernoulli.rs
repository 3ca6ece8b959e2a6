use rand::Rng;
use rand_distr::{Beta, Distribution as _};
use serde::{Deserialize, Serialize};

use super::{Arm, Posterior};

/// What is believed of a rate before anything is seen: a Beta distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BetaPrior {
    /// Successes that are assumed, above 0.
    pub alpha: f64,
    /// Failures that are assumed, above 0.
    pub beta: f64,
}

impl BetaPrior {
    /// The prior of Jeffreys (1946), which says least about a rate.
    pub const JEFFREYS: Self = Self { alpha: 0.5, beta: 0.5 };

    /// How many observations the prior is worth.
    pub fn strength(self) -> f64 {
        self.alpha + self.beta
    }
}

impl Default for BetaPrior {
    fn default() -> Self {
        Self::JEFFREYS
    }
}

/// An arm that succeeds or fails: Beta prior, Bernoulli observations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bernoulli {
    prior: BetaPrior,
    successes: f64,
    failures: f64,
}

impl Bernoulli {
    /// An arm without observations.
    pub fn new(prior: BetaPrior) -> Self {
        Self { prior, successes: 0.0, failures: 0.0 }
    }

    /// The discounted number of observations.
    pub fn observed(&self) -> f64 {
        self.successes + self.failures
    }

    /// The discounted number of successes.
    pub fn successes(&self) -> f64 {
        self.successes
    }

    fn alpha(&self) -> f64 {
        self.prior.alpha + self.successes
    }

    fn beta(&self) -> f64 {
        self.prior.beta + self.failures
    }
}

impl Posterior for Bernoulli {
    fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        // A prior from a broken file has no distribution. Its arm is then never the best, and exploration alone shows it.
        Beta::new(self.alpha(), self.beta()).map_or(f64::NEG_INFINITY, |beta| beta.sample(rng))
    }

    fn mean(&self) -> f64 {
        self.alpha() / (self.alpha() + self.beta())
    }
}

impl Arm for Bernoulli {
    type Observation = bool;

    fn observe(&mut self, success: bool) {
        *(if success { &mut self.successes } else { &mut self.failures }) += 1.0;
    }

    fn discount(&mut self, gamma: f64) {
        self.successes *= gamma;
        self.failures *= gamma;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::generator;

    #[test]
    fn draws_have_the_mean_and_the_spread_of_the_posterior() {
        let mut arm = Bernoulli::default();
        (0..40).for_each(|i| arm.observe(i % 4 == 0));
        let mut rng = generator(1);
        let draws: Vec<f64> = (0..20_000).map(|_| arm.draw(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 20_000.0;
        let (alpha, beta): (f64, f64) = (10.5, 30.5);
        let expected = alpha * beta / ((alpha + beta).powi(2) * (alpha + beta + 1.0));
        assert!((mean - alpha / (alpha + beta)).abs() < 0.002, "{mean}");
        assert!((variance / expected - 1.0).abs() < 0.05, "{variance} against {expected}");
    }

    #[test]
    fn a_discount_forgets_observations_and_keeps_the_prior() {
        let mut arm = Bernoulli::new(BetaPrior { alpha: 2.0, beta: 6.0 });
        (0..10).for_each(|_| arm.observe(true));
        arm.discount(0.0);
        assert!((arm.mean() - 0.25).abs() < 1e-12);
        assert!(arm.observed() < 1e-12);
    }
}
