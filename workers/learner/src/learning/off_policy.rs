//! What another policy would have earned, from the log of the one that ran.
//!
//! Each logged decision counts by how much more often the other policy would have made it: the weight `target / propensity`. Estimators:
//! inverse propensity (Horvitz & Thompson 1952), self-normalised (Swaminathan & Joachims 2015) and doubly robust (Dudík et al. 2011).
//! [`promotion()`] says whether the other policy may take over.

mod estimate;
mod promotion;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

pub use self::{
    estimate::{Evaluation, evaluate},
    promotion::{Bars, Promotion, Refusal, promotion},
};

/// One logged decision, seen by the policy that is to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The day of the decision; days are resampled as a whole.
    pub day: NaiveDate,
    /// What came of it.
    pub reward: f64,
    /// The probability with which it was made, above 0.
    pub propensity: f64,
    /// The probability with which the other policy would have made it.
    pub target: f64,
    /// What a model predicts, for the doubly robust estimate.
    pub predicted: Option<Predicted>,
}

/// What a model of the reward predicts for a decision. It must not have learned from that decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// The reward of the arm that was chosen.
    pub chosen: f64,
    /// The mean reward over all arms that were offered, each with its probability under the other policy.
    pub target: f64,
}

/// Why a log cannot be evaluated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LogError {
    /// There is nothing in it.
    #[error("the log has no decision with a reward; wait until posts are a day old")]
    Empty,
    /// A number out of its range.
    #[error("decision {number} has {field} {value}; it must be {range}")]
    BadValue {
        /// Which decision, counted from 1.
        number: usize,
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

impl Decision {
    /// How much the decision counts for the other policy.
    pub fn weight(&self) -> f64 {
        self.target / self.propensity
    }

    fn check(&self, number: usize) -> Result<(), LogError> {
        let predicted = self.predicted.unwrap_or(Predicted { chosen: 0.0, target: 0.0 });
        let checks = [
            ("propensity", self.propensity, self.propensity > 0.0 && self.propensity <= 1.0, "above 0 and at most 1"),
            ("target", self.target, (0.0..=1.0).contains(&self.target), "from 0 to 1"),
            ("reward", self.reward, self.reward.is_finite(), "a number"),
            ("predicted.chosen", predicted.chosen, predicted.chosen.is_finite(), "a number"),
            ("predicted.target", predicted.target, predicted.target.is_finite(), "a number"),
        ];
        match checks.into_iter().find(|(_, _, is_valid, _)| !is_valid) {
            Some((field, value, _, range)) => Err(LogError::BadValue { number, field, value, range }),
            None => Ok(()),
        }
    }
}
