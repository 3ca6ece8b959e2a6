//! Whether a predicted probability is one: fitting on a kept-back window, and the measures of the result.
//!
//! Fit on outcomes that the model has not learned from, or the fit only repeats its confidence.

mod isotonic;
mod platt;

use serde::{Deserialize, Serialize};

pub use self::{isotonic::Isotonic, platt::Platt};

/// A prediction and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The probability that was predicted.
    pub predicted: f64,
    /// Whether it happened.
    pub happened: bool,
}

impl Outcome {
    fn actual(self) -> f64 {
        f64::from(u8::from(self.happened))
    }
}

/// How good predictions are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// How many outcomes there are.
    pub outcomes: usize,
    /// The mean squared error (Brier 1950); 0.25 for a coin.
    pub brier: f64,
    /// The mean of `-ln` of the probability of what happened; 0.693 for a coin.
    pub log_loss: f64,
    /// The expected calibration error; see [`ece`].
    pub ece: f64,
}

impl Scores {
    /// The scores of outcomes; `None` if there are none.
    pub fn of(outcomes: &[Outcome]) -> Option<Self> {
        if outcomes.is_empty() {
            return None;
        }
        let mean = |of: fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>() / outcomes.len() as f64;
        let brier = mean(|outcome| (outcome.predicted - outcome.actual()).powi(2));
        let log_loss = mean(|outcome| log_loss(outcome.predicted, outcome.happened));
        Some(Self { outcomes: outcomes.len(), brier, log_loss, ece: ece(outcomes, BINS) })
    }
}

/// In how many bins [`Scores`] measures calibration.
pub const BINS: usize = 10;

/// The loss of one prediction. A certainty that fails would cost all, so probabilities count as at least 1e-12 from 0 and 1.
pub fn log_loss(predicted: f64, happened: bool) -> f64 {
    let of_what_happened = if happened { predicted } else { 1.0 - predicted };
    -of_what_happened.max(1e-12).ln()
}

/// The expected calibration error (Naeini et al. 2015): the distance between predicted and actual share in bins of equal width, weighted
/// by how much each holds. 0 without outcomes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a probability times a number of bins")]
pub fn ece(outcomes: &[Outcome], bins: usize) -> f64 {
    let bins = bins.max(1);
    let mut off = vec![0.0; bins];
    for outcome in outcomes {
        let bin = (outcome.predicted.clamp(0.0, 1.0) * bins as f64) as usize;
        off[bin.min(bins - 1)] += outcome.predicted - outcome.actual();
    }
    off.iter().map(|off: &f64| off.abs()).sum::<f64>() / outcomes.len().max(1) as f64
}

/// The newest part of a history, kept back from learning, and the part before it. Both keep their order.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
pub fn keep_back<T>(history: &[T], share: f64) -> (&[T], &[T]) {
    let kept = (history.len() as f64 * share.clamp(0.0, 1.0)).round() as usize;
    history.split_at(history.len() - kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(of: &[(f64, bool)]) -> Vec<Outcome> {
        of.iter().map(|&(predicted, happened)| Outcome { predicted, happened }).collect()
    }

    #[test]
    fn a_coin_scores_as_a_coin() {
        let scores = Scores::of(&outcomes(&[(0.5, true), (0.5, false)])).expect("two outcomes");
        assert!((scores.brier - 0.25).abs() < 1e-12);
        assert!((scores.log_loss - 0.5_f64.ln().abs()).abs() < 1e-12);
        assert!(scores.ece < 1e-12);
    }

    #[test]
    fn overconfidence_shows_in_the_calibration_error() {
        let three_of_four = outcomes(&[(0.95, true), (0.95, true), (0.95, true), (0.95, false)]);
        assert!((ece(&three_of_four, BINS) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn a_certainty_that_fails_costs_much_but_not_all() {
        assert!(log_loss(0.0, true).is_finite() && log_loss(0.0, true) > 20.0);
    }

    #[test]
    fn the_window_kept_back_is_the_newest() {
        assert_eq!(keep_back(&[1, 2, 3, 4, 5], 0.4), ([1, 2, 3].as_slice(), [4, 5].as_slice()));
    }
}
