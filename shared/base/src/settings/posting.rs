//! What an account may publish, and when.

use std::time::Duration;

use chrono::NaiveTime;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// What every account may publish, unless its own block says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostingSettings {
    /// The least time between two posts, replies or retweets; zero means none.
    #[serde(with = "humantime_serde")]
    pub min_interval: Duration,
    /// Most posts, replies and retweets a day, together; 0 means no limit.
    pub per_day: u32,
    /// Of these, most replies; 0 means no separate limit.
    pub replies_per_day: u32,
    /// Of these, most retweets; 0 means no separate limit.
    pub retweets_per_day: u32,
    /// Most posts, replies and retweets in any three hours, together; 0 means no limit.
    pub per_three_hours: u32,
    /// The time zone at whose midnight the day of these limits begins.
    pub timezone: Tz,
    /// When nothing is published.
    pub quiet: QuietSettings,
    /// How long Redis has to be away before what is due is decided and published through Postgres alone; zero means never. The same for all
    /// accounts.
    #[serde(with = "humantime_serde", default)]
    pub without_redis_after: Duration,
    /// Which of the texts that are handed over for publishing the guard stops.
    #[serde(default)]
    pub guard: GuardMode,
    /// What happens to a post that says nearly what another account has published.
    #[serde(default)]
    pub similar: SimilarMode,
}

/// What happens to a post of an account in nearly the words that another account has published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimilarMode {
    /// It is refused: X forbids such posts.
    #[default]
    Refuse,
    /// It is published.
    Allow,
}

/// Which of the texts that a bot, another service or a person hands over for publishing the guard stops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardMode {
    /// Texts that the guard refuses, and texts that it flags for a person.
    #[default]
    All,
    /// Texts that the guard refuses.
    Refused,
    /// None: the guard does not check them. A bot may still drop what `Refused` would stop.
    Off,
}

/// Hours of the day in which nothing is published. None when both ends are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietSettings {
    /// When they begin, in local time.
    #[serde(with = "time_of_day")]
    pub from: NaiveTime,
    /// When they end. Earlier than `from`: on the next day.
    #[serde(with = "time_of_day")]
    pub to: NaiveTime,
    /// The time zone of these hours; default: that of the day of the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<Tz>,
}

impl QuietSettings {
    /// Whether there are quiet hours.
    pub fn are_set(&self) -> bool {
        self.from != self.to
    }
}

/// What one account may publish, if it differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountPostingSettings {
    /// The least time between two posts, replies or retweets.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub min_interval: Option<Duration>,
    /// Most posts, replies and retweets a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u32>,
    /// Most replies a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replies_per_day: Option<u32>,
    /// Most retweets a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retweets_per_day: Option<u32>,
    /// Most posts, replies and retweets in any three hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_three_hours: Option<u32>,
    /// The time zone at whose midnight the day of these limits begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<Tz>,
    /// When nothing is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<QuietSettings>,
    /// Which texts the guard stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardMode>,
    /// What happens to a post that says nearly what another account has published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similar: Option<SimilarMode>,
}

impl AccountPostingSettings {
    /// Whether it changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

mod time_of_day {
    use chrono::NaiveTime;
    use serde::{Deserialize, Deserializer, Serializer, de};

    const FORM: &str = "%H:%M";

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
    pub fn serialize<S: Serializer>(time: &NaiveTime, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&time.format(FORM))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<NaiveTime, D::Error> {
        let text = String::deserialize(d)?;
        NaiveTime::parse_from_str(&text, FORM)
            .map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &"a time of day such as \"23:00\""))
    }
}
