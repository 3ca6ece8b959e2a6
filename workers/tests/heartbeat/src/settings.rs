use std::time::Duration;

use perch_base::{Check, Environment, Section, settings::FileSettings};
use serde::{Deserialize, Serialize};

/// What `config/bots/heartbeat.toml` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatSettings {
    /// What it says each time.
    pub word: String,
    /// How long a beat is kept.
    #[serde(with = "humantime_serde")]
    pub kept: Duration,
}

impl Section for HeartbeatSettings {
    const NAME: &'static str = "heartbeat";

    fn check(&self, _: &FileSettings, _: Environment, check: &mut Check) {
        if self.word.trim().is_empty() || self.word.len() > 100 {
            check.refuse("heartbeat.word", "is empty or too long", "a text of 1 to 100 bytes");
        }
        let (hour, year) = (Duration::from_secs(3_600), Duration::from_secs(366 * 86_400));
        check.duration("heartbeat.kept", self.kept, hour..=year);
    }
}
