//! What the tracking of picks asks of the configuration.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize, Serializer};

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
    pub url: SourceUrl,
    /// How long one request may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for ResultsSettings {
    fn default() -> Self {
        Self { url: SourceUrl::default(), timeout: Duration::from_secs(10) }
    }
}

/// A URL whose query may hold a key, as sources of results ask for it: it is not shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SourceUrl(String);

impl SourceUrl {
    /// The whole of it, for the request itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn shown(&self) -> String {
        match self.0.split_once('?') {
            Some((url, _)) => format!("{url}?***"),
            None => self.0.clone(),
        }
    }
}

impl From<&str> for SourceUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Serialize for SourceUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
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
