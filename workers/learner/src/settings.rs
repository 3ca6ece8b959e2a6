//! The settings of the bot: `config/bots/learner.toml`.

use std::time::Duration;

use perch_base::{
    Check, Environment, Section,
    settings::{FileSettings, Providers},
};
use serde::{Deserialize, Serialize};

use crate::learning::reward::Weights;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The learning poster. What one of them is stands in its row.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnerSettings {
    /// The providers of models that write candidates, in the order in which they are asked, for personas that name none.
    pub providers: Providers,
    /// The temperature of the model.
    pub temperature: f32,
    /// The longest answer of the model, in tokens.
    pub max_tokens: u32,
    /// How long before a slot its candidates are written.
    #[serde(with = "humantime_serde")]
    pub lead: Duration,
    /// How long after its time a slot is still filled.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// How long after the decision a post may be published.
    #[serde(with = "humantime_serde")]
    pub publish_within: Duration,
    /// How long a candidate is kept that was not chosen.
    #[serde(with = "humantime_serde")]
    pub candidates_expire: Duration,
    /// The age at which the reward of a post is frozen.
    #[serde(with = "humantime_serde")]
    pub reward_age: Duration,
    /// How long after that a measurement still counts.
    #[serde(with = "humantime_serde")]
    pub reward_within: Duration,
    /// How often followers and analytics are read.
    #[serde(with = "humantime_serde")]
    pub audience_every: Duration,
    /// What each action of a reader counts.
    pub weights: Weights,
}

impl Section for LearnerSettings {
    const NAME: &'static str = "learner";
    const VARIABLES: &'static [(&'static str, &'static str)] = &[];

    fn check(&self, all: &FileSettings, _: Environment, check: &mut Check) {
        check.providers("learner.providers", &self.providers, &all.models);
        check.range("learner.temperature", self.temperature, 0.0..=2.0);
        check.range("learner.max_tokens", self.max_tokens, 64..=16_000);
        check.duration("learner.lead", self.lead, MINUTE..=DAY);
        check.duration("learner.grace", self.grace, MINUTE..=DAY);
        check.duration("learner.publish_within", self.publish_within, MINUTE..=DAY);
        check.duration("learner.candidates_expire", self.candidates_expire, MINUTE..=30 * DAY);
        check.duration("learner.reward_age", self.reward_age, Duration::from_secs(1)..=2 * DAY);
        check.duration("learner.reward_within", self.reward_within, Duration::from_secs(1)..=7 * DAY);
        if self.weights.version.trim().is_empty() || self.weights.version.len() > 40 {
            check.refuse("learner.weights.version", "is empty or longer than 40 bytes".to_owned(), "a short name");
        }
        check.duration("learner.audience_every", self.audience_every, Duration::from_secs(1)..=DAY);
    }
}
