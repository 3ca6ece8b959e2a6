use rand::Rng;
use rand_distr::{Distribution as _, Gamma, StandardNormal};
use serde::{Deserialize, Serialize};

use super::{Arm, Posterior};

/// Number, mean and squared deviations of values, kept in one pass (Welford 1962).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// How many values, discounted.
    pub count: f64,
    /// Their mean.
    pub mean: f64,
    /// The sum of their squared deviations from the mean, discounted.
    pub squares: f64,
}

impl Moments {
    /// Counts one more value.
    pub fn push(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    /// Multiplies the weight of all values so far.
    pub fn discount(&mut self, gamma: f64) {
        self.count *= gamma;
        self.squares *= gamma;
    }

    /// The unbiased variance; `None` from less than two values.
    pub fn variance(&self) -> Option<f64> {
        (self.count >= 2.0).then(|| self.squares / (self.count - 1.0))
    }
}

impl FromIterator<f64> for Moments {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        values.into_iter().fold(Self::default(), |mut moments, value| {
            moments.push(value);
            moments
        })
    }
}

/// What is believed of mean and variance before anything is seen: a Normal–inverse-gamma distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NormalPrior {
    /// The mean that is assumed.
    pub mean: f64,
    /// How many observations that mean is worth, above 0.
    pub strength: f64,
    /// Half the number of observations that the variance is worth, above 0.
    pub shape: f64,
    /// The variance that is assumed, times `shape`.
    pub scale: f64,
}

impl Default for NormalPrior {
    /// One observation of a reward of 0, which is what the account expects, with a standard deviation around 1.
    fn default() -> Self {
        Self { mean: 0.0, strength: 1.0, shape: 1.5, scale: 1.5 }
    }
}

/// An arm with a reward on the whole line: Normal–inverse-gamma prior, normal observations of unknown variance
/// (Murphy, Conjugate Bayesian analysis of the Gaussian distribution, 2007, section 3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Gaussian {
    prior: NormalPrior,
    seen: Moments,
}

impl Gaussian {
    /// An arm without observations.
    pub fn new(prior: NormalPrior) -> Self {
        Self { prior, seen: Moments::default() }
    }

    /// What the arm has seen.
    pub fn seen(&self) -> &Moments {
        &self.seen
    }

    /// What is believed now, to draw from many times.
    pub fn belief(&self) -> Belief {
        let NormalPrior { mean, strength, shape, scale } = self.posterior();
        Belief { mean, strength, precisions: Gamma::new(shape, 1.0 / scale).ok() }
    }

    fn posterior(&self) -> NormalPrior {
        let Self { prior, seen } = self;
        let strength = prior.strength + seen.count;
        let off = seen.mean - prior.mean;
        NormalPrior {
            mean: prior.mean + off * seen.count / strength,
            strength,
            shape: prior.shape + seen.count / 2.0,
            scale: prior.scale + 0.5 * (seen.squares + off * off * prior.strength * seen.count / strength),
        }
    }
}

impl Posterior for Gaussian {
    fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        self.belief().draw(rng)
    }

    fn mean(&self) -> f64 {
        self.posterior().mean
    }
}

/// What is believed of an arm at one moment, worked out once for many draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Belief {
    mean: f64,
    strength: f64,
    /// A prior from a broken file has no distribution.
    precisions: Option<Gamma<f64>>,
}

impl Posterior for Belief {
    fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        // Without a distribution the arm is never the best, and exploration alone shows it.
        let Some(precisions) = &self.precisions else { return f64::NEG_INFINITY };
        let normal: f64 = StandardNormal.sample(rng);
        self.mean + normal / (precisions.sample(rng) * self.strength).sqrt()
    }

    fn mean(&self) -> f64 {
        self.mean
    }
}

impl Arm for Gaussian {
    type Observation = f64;

    /// Counts the reward of one post. One that is not finite says nothing and is left out.
    fn observe(&mut self, reward: f64) {
        if reward.is_finite() {
            self.seen.push(reward);
        }
    }

    fn discount(&mut self, gamma: f64) {
        self.seen.discount(gamma);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::generator;

    #[test]
    fn the_posterior_mean_lies_between_prior_and_data_by_their_weights() {
        let mut arm = Gaussian::new(NormalPrior { mean: 0.0, strength: 2.0, shape: 1.0, scale: 1.0 });
        (0..8).for_each(|_| arm.observe(1.0));
        assert!((arm.mean() - 0.8).abs() < 1e-12);
    }

    #[test]
    fn draws_of_a_known_arm_lie_around_its_mean_with_the_error_of_the_mean() {
        let mut arm = Gaussian::default();
        (0..10_000).for_each(|i| arm.observe(if i % 2 == 0 { 2.5 } else { 3.5 }));
        let mut rng = generator(3);
        let draws: Moments = (0..5_000).map(|_| arm.draw(&mut rng)).collect();
        let spread = draws.variance().expect("many draws").sqrt();
        assert!((draws.mean - 3.0).abs() < 0.001, "{draws:?}");
        assert!((spread / 0.005 - 1.0).abs() < 0.1, "{spread}");
    }

    #[test]
    fn a_reward_that_is_no_number_is_left_out() {
        let mut arm = Gaussian::default();
        arm.observe(f64::NAN);
        arm.observe(f64::INFINITY);
        assert_eq!(arm, Gaussian::default());
    }
}
