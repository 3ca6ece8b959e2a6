use serde::{Deserialize, Serialize};

use crate::learning::sigmoid;

/// Platt scaling: a logistic regression on the margin of a model (Platt 1999, with the targets of Lin, Lin & Weng 2007).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    /// What a margin is multiplied by.
    pub slope: f64,
    /// What is added to it.
    pub intercept: f64,
}

impl Default for Platt {
    /// Leaves probabilities as they are.
    fn default() -> Self {
        Self { slope: 1.0, intercept: 0.0 }
    }
}

/// Newton's method has converged long before; the bound is for data without a finite solution.
const STEPS: u32 = 100;

impl Platt {
    /// Fits margins to what happened. Without both outcomes there is nothing to fit, and margins stay as they are.
    pub fn fit(margins: &[(f64, bool)]) -> Self {
        let happened = margins.iter().filter(|(_, happened)| *happened).count() as f64;
        let not = margins.len() as f64 - happened;
        if happened == 0.0 || not == 0.0 {
            return Self::default();
        }
        // The targets stay a step away from 0 and 1, so that a perfect order does not drive the slope to infinity.
        let target = |is: bool| if is { (happened + 1.0) / (happened + 2.0) } else { 1.0 / (not + 2.0) };
        let targets: Vec<(f64, f64)> = margins.iter().map(|&(margin, is)| (margin, target(is))).collect();
        Self::newton(&targets, true)
    }

    /// Fits the slope alone, for margins whose sign is arbitrary: of two texts, either may be named first.
    pub fn fit_slope(margins: &[(f64, bool)]) -> Self {
        let edge = 1.0 / (margins.len() as f64 + 2.0);
        let targets: Vec<(f64, f64)> =
            margins.iter().map(|&(margin, is)| (margin, if is { 1.0 - edge } else { edge })).collect();
        Self::newton(&targets, false)
    }

    fn newton(targets: &[(f64, f64)], with_intercept: bool) -> Self {
        // A hair of ridge keeps the step finite where all margins are alike.
        const RIDGE: f64 = 1e-9;
        let mut fit = Self { slope: 0.0, intercept: 0.0 };
        for _ in 0..STEPS {
            let (mut gradient, mut curve) = ([0.0; 2], [RIDGE, 0.0, RIDGE]);
            for &(margin, target) in targets {
                let p = fit.apply(margin);
                let (error, bend) = (p - target, p * (1.0 - p));
                gradient = [gradient[0] + error * margin, gradient[1] + error];
                curve = [curve[0] + bend * margin * margin, curve[1] + bend * margin, curve[2] + bend];
            }
            if !with_intercept {
                (gradient[1], curve[1]) = (0.0, 0.0);
            }
            let determinant = curve[0] * curve[2] - curve[1] * curve[1];
            let slope = (curve[2] * gradient[0] - curve[1] * gradient[1]) / determinant;
            let intercept = (curve[0] * gradient[1] - curve[1] * gradient[0]) / determinant;
            if !(slope.is_finite() && intercept.is_finite()) {
                return Self::default();
            }
            fit = Self { slope: fit.slope - slope, intercept: fit.intercept - intercept };
            if slope.abs() + intercept.abs() < 1e-10 {
                break;
            }
        }
        fit
    }

    /// The calibrated probability of a margin.
    pub fn apply(&self, margin: f64) -> f64 {
        sigmoid(self.slope * margin + self.intercept)
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;
    use crate::learning::generator;

    #[test]
    fn an_overconfident_model_is_brought_back() {
        let mut rng = generator(2);
        let margins: Vec<(f64, bool)> = (0..20_000)
            .map(|_| {
                let margin: f64 = rng.random_range(-6.0..6.0);
                (margin, rng.random_bool(sigmoid(0.4 * margin - 0.5)))
            })
            .collect();
        let fit = Platt::fit(&margins);
        assert!((fit.slope - 0.4).abs() < 0.02 && (fit.intercept + 0.5).abs() < 0.06, "{fit:?}");
    }

    #[test]
    fn a_perfect_order_gives_a_finite_slope() {
        let fit = Platt::fit(&[(-2.0, false), (-1.0, false), (1.0, true), (2.0, true)]);
        assert!(fit.slope.is_finite() && fit.slope > 0.0, "{fit:?}");
    }

    #[test]
    fn a_slope_alone_gives_even_odds_to_a_margin_of_zero() {
        let fit = Platt::fit_slope(&[(2.0, true), (1.0, true), (-1.0, false), (0.5, false)]);
        assert!((fit.apply(0.0) - 0.5).abs() < 1e-12 && fit.slope > 0.0, "{fit:?}");
    }

    #[test]
    fn one_kind_of_outcome_leaves_margins_as_they_are() {
        assert_eq!(Platt::fit(&[(1.0, true), (2.0, true)]), Platt::default());
    }
}
