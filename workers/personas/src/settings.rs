//! The settings of the bot: `config/bots/personas.toml`.

use std::time::Duration;

use perch_base::{
    Check, Environment, Section,
    settings::{FileSettings, Providers},
};
use perch_core::personas::{FieldProblem, PersonaLimits, PersonaSpec};
use perch_jobs::PersonaName;
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
    /// The name of a persona that is added at start; empty for none.
    pub bot_name: String,
    /// Its prompt.
    pub bot_personality: String,
    /// Its schedule, five cron fields.
    pub posting_schedule: String,
}

impl Section for PersonasSettings {
    const NAME: &'static str = "personas";
    const VARIABLES: &'static [(&'static str, &'static str)] =
        &[("BOT_NAME", "bot_name"), ("BOT_PERSONALITY", "bot_personality"), ("POSTING_SCHEDULE", "posting_schedule")];

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
        if !self.bot_name.is_empty() {
            self.check_bot(all, check);
        }
    }
}

impl PersonasSettings {
    /// The persona that the settings describe, if they do: it speaks as the first account.
    pub(crate) fn configured(&self, all: &FileSettings) -> Option<(PersonaName, PersonaSpec)> {
        let name = self.bot_name.parse().ok()?;
        let account = all.x.accounts.keys().next()?.clone();
        let schedule = Some(self.posting_schedule.clone()).filter(|schedule| !schedule.is_empty());
        let spec = PersonaSpec::new(account, self.bot_personality.clone());
        Some((name, PersonaSpec { schedule: schedule.into_iter().collect(), ..spec }))
    }

    fn check_bot(&self, all: &FileSettings, check: &mut Check) {
        if let Err(error) = self.bot_name.parse::<PersonaName>() {
            check.refuse("personas.bot_name", error.to_string(), "another name");
        }
        let Some((_, spec)) = self.configured(all) else { return };
        for FieldProblem { field, reason } in PersonaLimits::of(all).problems(&spec) {
            let key = match field.as_str() {
                "prompt" => "personas.bot_personality",
                "schedule[0]" => "personas.posting_schedule",
                _ => "personas.bot_name",
            };
            check.refuse(key, reason, "a persona as docs/personas.md describes it");
        }
    }
}
