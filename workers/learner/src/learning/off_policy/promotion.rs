use std::fmt;

use serde::{Deserialize, Serialize};

use super::Evaluation;

/// What a policy must show before it takes over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bars {
    /// The least effective sample size.
    pub effective_sample_size: f64,
    /// The fewest days. With fewer, resampling days says little of how days differ; with one it says nothing.
    pub days: usize,
}

impl Default for Bars {
    fn default() -> Self {
        Self { effective_sample_size: 100.0, days: 7 }
    }
}

/// Whether a policy takes over. Written out, it gives the figures in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Promotion {
    /// It does.
    Granted(Evaluation),
    /// It does not, for these reasons.
    Refused(Evaluation, Vec<Refusal>),
}

/// A reason not to promote.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Refusal {
    /// The log holds too little of what the policy would do.
    TooLittleOverlap {
        /// The effective sample size there is.
        effective_sample_size: f64,
        /// The one that is needed.
        needed: f64,
    },
    /// The log covers too few days.
    TooFewDays {
        /// The days there are.
        days: usize,
        /// The days that are needed.
        needed: usize,
    },
    /// The policy may well be no better than the one that ran.
    NoProof {
        /// The lower bound of the difference.
        low: f64,
        /// The upper bound of the difference.
        high: f64,
    },
}

/// Decides whether a policy takes over: enough overlap, enough days, and a lower bound of the difference above 0.
pub fn promotion(evaluation: Evaluation, bars: &Bars) -> Promotion {
    let Evaluation { effective_sample_size, days, difference, .. } = evaluation;
    let mut refusals = Vec::new();
    // A figure that is no number refuses.
    let has_overlap = effective_sample_size >= bars.effective_sample_size;
    let has_proof = difference.low > 0.0;
    if !has_overlap {
        refusals.push(Refusal::TooLittleOverlap { effective_sample_size, needed: bars.effective_sample_size });
    }
    if days < bars.days {
        refusals.push(Refusal::TooFewDays { days, needed: bars.days });
    }
    if !has_proof {
        refusals.push(Refusal::NoProof { low: difference.low, high: difference.high });
    }
    if refusals.is_empty() { Promotion::Granted(evaluation) } else { Promotion::Refused(evaluation, refusals) }
}

impl Promotion {
    /// Whether the policy takes over.
    pub fn is_granted(&self) -> bool {
        matches!(self, Self::Granted(_))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLittleOverlap { effective_sample_size, needed } => {
                write!(
                    f,
                    "the log is worth {effective_sample_size:.0} decisions of this policy, {needed:.0} are needed"
                )
            }
            Self::TooFewDays { days, needed } => write!(f, "the log covers {days} days, {needed} are needed"),
            Self::NoProof { low, high } => {
                write!(f, "the difference lies between {low:+.4} and {high:+.4}, its lower end must be above 0")
            }
        }
    }
}

impl fmt::Display for Promotion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (evaluation, refusals) = match self {
            Self::Granted(evaluation) => (evaluation, [].as_slice()),
            Self::Refused(evaluation, refusals) => (evaluation, refusals.as_slice()),
        };
        if refusals.is_empty() {
            write!(f, "promoted")?;
        } else {
            let reasons: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            write!(f, "refused: {}", reasons.join("; "))?;
        }
        let Evaluation { decisions, days, logged, ips, snips, doubly_robust, .. } = evaluation;
        write!(f, ". {decisions} decisions on {days} days; logged {logged}; IPS {ips}; SNIPS {snips}")?;
        if let Some(doubly_robust) = doubly_robust {
            write!(f, "; doubly robust {doubly_robust}")?;
        }
        let Evaluation { difference, effective_sample_size, largest_weight, .. } = evaluation;
        write!(f, "; difference {difference}; ESS {effective_sample_size:.0}; largest weight {largest_weight:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::bootstrap::Estimate;

    fn evaluation(effective_sample_size: f64, days: usize, low: f64) -> Evaluation {
        let estimate = Estimate { value: low + 0.1, low, high: low + 0.2 };
        Evaluation {
            decisions: 1_000,
            days,
            logged: estimate,
            ips: estimate,
            snips: estimate,
            doubly_robust: None,
            difference: estimate,
            effective_sample_size,
            largest_weight: 4.0,
        }
    }

    #[test]
    fn a_policy_with_overlap_and_a_sure_gain_takes_over() {
        let decided = promotion(evaluation(100.0, 7, 0.001), &Bars::default());
        assert!(decided.is_granted() && decided.to_string().starts_with("promoted. 1000 decisions on 7 days"));
    }

    #[test]
    fn a_refusal_names_every_reason_with_its_figures() {
        let decided = promotion(evaluation(99.0, 2, -0.05), &Bars::default());
        let words = "refused: the log is worth 99 decisions of this policy, 100 are needed; the log covers 2 days, 7 are needed; \
                     the difference lies between -0.0500 and +0.1500, its lower end must be above 0. ";
        assert!(decided.to_string().starts_with(words), "{decided}");
    }

    #[test]
    fn a_figure_that_is_no_number_refuses() {
        assert!(!promotion(evaluation(f64::NAN, 30, 0.1), &Bars::default()).is_granted());
        assert!(!promotion(evaluation(500.0, 30, f64::NAN), &Bars::default()).is_granted());
    }
}
