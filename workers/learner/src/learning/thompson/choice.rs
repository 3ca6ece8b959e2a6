use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::{Posterior, best_draw};
use crate::learning::generator;

/// The fewest draws that propensities may be estimated from.
pub const FEWEST_DRAWS: u32 = 1_000;

/// How much a policy explores, and how its propensities are found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exploration {
    /// The share of choices made uniformly, 0 to 1. It stays for good, so that the log can judge other policies.
    pub epsilon: f64,
    /// No arm is ever chosen with less than this probability. More arms raise `epsilon` as far as that needs.
    pub floor: f64,
    /// How many draws the propensities are estimated from, at least 1,000.
    pub draws: u32,
}

impl Default for Exploration {
    fn default() -> Self {
        Self { epsilon: 0.06, floor: 0.01, draws: 2 * FEWEST_DRAWS }
    }
}

/// A choice among arms, with all that replays it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The chosen arm.
    pub arm: usize,
    /// Whether the uniform part of the policy chose it.
    pub explored: bool,
    /// The probability of each arm at this choice. They sum to 1.
    pub propensities: Vec<f64>,
    /// The seed it was drawn from.
    pub seed: u64,
    /// How many draws the propensities come from.
    pub draws: u32,
    /// The share of uniform choices that applied.
    pub epsilon: f64,
}

impl Choice {
    /// The probability with which the chosen arm was chosen.
    pub fn propensity(&self) -> f64 {
        self.propensities[self.arm]
    }
}

/// Why no arm can be chosen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChoiceError {
    /// There is nothing to choose from.
    #[error("there is no arm to choose from; allow at least one")]
    NoArms,
    /// The floor cannot hold for so many arms.
    #[error("{arms} arms cannot each have a probability of {floor}; use fewer arms or a lower floor")]
    TooManyArms {
        /// How many arms there are.
        arms: usize,
        /// The floor that was asked for.
        floor: f64,
    },
    /// A setting out of its range.
    #[error("{setting} is {value}; it must be {range}")]
    BadSetting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

/// Chooses an arm. The same arms, exploration and seed give the same choice.
///
/// The probability that an arm has the best draw has no closed form, so it is estimated from `draws` draws. The choice is then one of
/// these draws at random, which is Thompson sampling and makes the estimate the very distribution that the arm was chosen from: weights
/// of the log are exact, not noisy.
pub fn choose<P: Posterior>(arms: &[P], exploration: &Exploration, seed: u64) -> Result<Choice, ChoiceError> {
    let epsilon = exploration.epsilon_for(arms.len())?;
    let mut rng = generator(seed);
    let winners: Vec<usize> = (0..exploration.draws).filter_map(|_| best_draw(arms, &mut rng)).collect();
    let uniform = 1.0 / arms.len() as f64;
    let mut propensities = vec![epsilon * uniform; arms.len()];
    for &winner in &winners {
        propensities[winner] += (1.0 - epsilon) / winners.len() as f64;
    }
    let explored = rng.random_bool(epsilon);
    let arm = if explored { rng.random_range(0..arms.len()) } else { winners[rng.random_range(0..winners.len())] };
    Ok(Choice { arm, explored, propensities, seed, draws: exploration.draws, epsilon })
}

impl Exploration {
    fn epsilon_for(&self, arms: usize) -> Result<f64, ChoiceError> {
        let bad = |setting, value, range| Err(ChoiceError::BadSetting { setting, value, range });
        if arms == 0 {
            return Err(ChoiceError::NoArms);
        }
        if !(0.0..=1.0).contains(&self.epsilon) {
            return bad("epsilon", self.epsilon, "from 0 to 1");
        }
        if !(0.0..=1.0).contains(&self.floor) {
            return bad("floor", self.floor, "from 0 to 1");
        }
        if self.draws < FEWEST_DRAWS {
            return bad("draws", f64::from(self.draws), "at least 1000");
        }
        let needed = self.floor * arms as f64;
        if needed > 1.0 {
            return Err(ChoiceError::TooManyArms { arms, floor: self.floor });
        }
        Ok(self.epsilon.max(needed))
    }
}
