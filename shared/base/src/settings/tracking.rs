//! What the tracking of picks asks of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What stands in where a post names no odds or no stake.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackingSettings {
    /// The odds, as people write them.
    pub assumed_odds: String,
    /// The stake in units.
    pub assumed_stake: f64,
    /// How long an open pick waits for a result.
    #[serde(with = "humantime_serde")]
    pub open_for: Duration,
}

impl Default for TrackingSettings {
    fn default() -> Self {
        Self { assumed_odds: "-110".into(), assumed_stake: 1.0, open_for: Duration::from_secs(30 * 86_400) }
    }
}

/// Where results of games are fetched from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResultsSettings {
    /// The whole URL; empty fetches none.
    pub url: String,
    /// How long one request may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for ResultsSettings {
    fn default() -> Self {
        Self { url: String::new(), timeout: Duration::from_secs(10) }
    }
}

/// The summary of a day.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SummarySettings {
    /// Whether it is posted.
    pub post: bool,
    /// The post. `{date}`, `{picks}`, `{bets}`, `{record}` and `{units}` are filled in.
    pub text: String,
}

impl Default for SummarySettings {
    fn default() -> Self {
        Self { post: false, text: "{date}: {picks} new picks, {bets} settled ({record}), {units} units".into() }
    }
}

impl SummarySettings {
    /// What may stand in braces in its text.
    pub const PLACES: [&'static str; 5] = ["{date}", "{picks}", "{bets}", "{record}", "{units}"];
}
