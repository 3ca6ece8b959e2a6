//! The settings of the bot: `config/bots/personas.toml`.

use std::time::Duration;

use perch_base::{
    Check, Environment, Section,
    settings::{FileSettings, Providers},
};
use serde::{Deserialize, Serialize};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The bot that posts as personas. What a persona is stands in its row.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonasSettings {
    /// The providers of models that write posts, in the order in which they are asked, for personas that name none.
    pub providers: Providers,
    /// The temperature of the model.
    pub temperature: f32,
    /// The longest answer of the model, in tokens.
    pub max_tokens: u32,
    /// A persona with fewer ready posts than this gets a batch.
    pub low_water: u32,
    /// The posts of one batch.
    pub batch: u32,
    /// How long after its time a slot is still filled.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// How late a missed slot is filled where the persona says `catch_up = "latest"`.
    #[serde(with = "humantime_serde")]
    pub catch_up_within: Duration,
    /// How long after it was reserved a post may be published.
    #[serde(with = "humantime_serde")]
    pub publish_within: Duration,
    /// How long a post waits for a person before it expires.
    #[serde(with = "humantime_serde")]
    pub review_expires: Duration,
    /// How long a ready post is kept before it expires.
    #[serde(with = "humantime_serde")]
    pub stock_expires: Duration,
}

impl Section for PersonasSettings {
    const NAME: &'static str = "personas";

    fn check(&self, all: &FileSettings, _: Environment, check: &mut Check) {
        check.providers("personas.providers", &self.providers, &all.models);
        check.range("personas.temperature", self.temperature, 0.0..=2.0);
        check.range("personas.max_tokens", self.max_tokens, 64..=16_000);
        check.range("personas.low_water", self.low_water, 1..=1_000);
        check.range("personas.batch", self.batch, 1..=50);
        check.duration("personas.grace", self.grace, MINUTE..=DAY);
        check.duration("personas.catch_up_within", self.catch_up_within, MINUTE..=7 * DAY);
        check.duration("personas.publish_within", self.publish_within, MINUTE..=DAY);
        check.duration("personas.review_expires", self.review_expires, MINUTE..=90 * DAY);
        check.duration("personas.stock_expires", self.stock_expires, DAY..=3_650 * DAY);
    }
}
