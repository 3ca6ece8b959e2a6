use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::learning::{features::Extractor, ftrl::Rates, thompson::Exploration};

/// How a policy chooses among arms and hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum PolicyKind {
    /// By what it believes of them.
    #[default]
    Thompson,
    /// All alike.
    Uniform,
}

/// A policy. A version of it is kept as JSON and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How it chooses.
    pub kind: PolicyKind,
    /// How much it explores, and how its propensities are found.
    pub exploration: Exploration,
    /// What each reward multiplies the weight of all before it by. 1 never forgets.
    pub discount: f64,
    /// What the logarithm of a post's follows counts beside its reward.
    pub growth_weight: f64,
    /// Whether candidates are scored with weights drawn from the posterior of the model, and not with its best ones.
    pub samples_scores: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            kind: PolicyKind::default(),
            exploration: Exploration::default(),
            discount: 0.9995,
            growth_weight: 0.0,
            samples_scores: true,
        }
    }
}

impl Policy {
    /// The hash of what it is, and of how texts become numbers for it.
    pub fn hash(&self) -> String {
        let all = (self, Extractor::default(), Rates::default());
        // Numbers and names always become JSON.
        perch_core::short_hash(&serde_json::to_string(&all).unwrap_or_default())
    }

    /// What is wrong with it, if anything: the field, and what is allowed.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let Exploration { epsilon, floor, draws } = self.exploration;
        if !(0.05..=0.5).contains(&epsilon) {
            return Some(("exploration.epsilon", format!("is {epsilon}; allowed: 0.05 to 0.5, which stays for good")));
        }
        if !(0.01..=0.1).contains(&floor) {
            return Some(("exploration.floor", format!("is {floor}; allowed: 0.01 to 0.1")));
        }
        if !(1_000..=100_000).contains(&draws) {
            return Some(("exploration.draws", format!("is {draws}; allowed: 1,000 to 100,000")));
        }
        if !(0.9..=1.0).contains(&self.discount) {
            return Some(("discount", format!("is {}; allowed: 0.9 to 1", self.discount)));
        }
        (!(0.0..=10.0).contains(&self.growth_weight))
            .then(|| ("growth_weight", format!("is {}; allowed: 0 to 10", self.growth_weight)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_policy_has_another_hash() {
        let policy = Policy::default();
        assert_eq!(policy.hash(), Policy::default().hash());
        assert_ne!(policy.hash(), Policy { growth_weight: 0.5, ..policy }.hash());
        assert_eq!(policy.problem(), None);
        assert_eq!(Policy { discount: 0.5, ..policy }.problem().map(|(field, _)| field), Some("discount"));
    }
}
