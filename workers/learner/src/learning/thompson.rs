//! Thompson sampling (Thompson 1933; Russo et al., A Tutorial on Thompson Sampling, 2018).
//!
//! An arm holds what is believed of its reward. A choice draws once from each belief and takes the best draw, so an arm is tried as
//! often as it may be the best. [`choose`] does so from a logged seed and returns the probability of every arm; [`Bandit`] waits for the
//! reward of each post and counts it once.

mod bandit;
mod bernoulli;
mod choice;
mod gaussian;
mod ledger;

use rand::Rng;

pub use self::{
    bandit::Bandit,
    bernoulli::{Bernoulli, BetaPrior},
    choice::{Choice, ChoiceError, Exploration, choose},
    gaussian::{Belief, Gaussian, Moments, NormalPrior},
    ledger::{Join, Ledger},
};

/// A belief about the mean reward of an arm.
pub trait Posterior {
    /// One draw from the belief.
    fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> f64;

    /// The mean of the belief.
    fn mean(&self) -> f64;
}

impl<P: Posterior> Posterior for &P {
    fn draw<R: Rng + ?Sized>(&self, rng: &mut R) -> f64 {
        (**self).draw(rng)
    }

    fn mean(&self) -> f64 {
        (**self).mean()
    }
}

/// A belief that learns.
pub trait Arm: Posterior {
    /// What one post says of the arm.
    type Observation;

    /// Counts one observation.
    fn observe(&mut self, observation: Self::Observation);

    /// Multiplies the weight of all observations so far; the prior keeps its own.
    fn discount(&mut self, gamma: f64);
}

/// The arm whose draw is the highest; among equals the first. A draw that is no number is below all others. `None` if there is no arm.
pub fn best_draw<P: Posterior, R: Rng + ?Sized>(arms: &[P], rng: &mut R) -> Option<usize> {
    let mut best = None;
    for (arm, posterior) in arms.iter().enumerate() {
        let draw = posterior.draw(rng);
        if best.is_none_or(|(_, highest): (usize, f64)| draw > highest || (highest.is_nan() && !draw.is_nan())) {
            best = Some((arm, draw));
        }
    }
    best.map(|(arm, _)| arm)
}
