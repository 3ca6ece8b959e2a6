use std::{collections::BTreeSet, fmt, sync::LazyLock, time::Duration};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use perch_base::{CronSchedule, ScheduleError, settings::Providers};
use perch_jobs::{AccountId, PersonaName};
use perch_store::row::{count, parsed, time, undecodable};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow, types::Json};
use utoipa::ToSchema;

/// A persona with its name and its history.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Persona {
    /// Its name.
    #[schema(value_type = String)]
    pub name: PersonaName,
    /// Whether it posts.
    pub enabled: bool,
    /// What it is.
    #[serde(flatten)]
    pub spec: PersonaSpec,
    /// Goes up with each change.
    pub version: u64,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Who changed it last.
    pub updated_by: String,
}

/// The fields of a persona that this release knows.
pub(super) static KNOWN: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let schema = schema_for!(PersonaSpec).to_value();
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
});

impl FromRow<'_, PgRow> for Persona {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Json(mut spec): Json<serde_json::Value> = row.try_get("spec")?;
        // A later release may know more fields.
        if let Some(fields) = spec.as_object_mut() {
            fields.retain(|name, _| KNOWN.contains(name));
        }
        Ok(Self {
            name: parsed(row, "name")?,
            enabled: row.try_get("enabled")?,
            spec: serde_json::from_value(spec).map_err(|error| undecodable("spec", error))?,
            version: count(row, "version")?,
            created_at: time(row, "created_at")?,
            updated_at: time(row, "updated_at")?,
            updated_by: row.try_get("updated_by")?,
        })
    }
}

/// What a persona is: its voice, its topics, its times. As JSON, and as TOML in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonaSpec {
    /// The account that it speaks as, by its name in `[x.accounts]`.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// Who it is, as the model is told.
    pub prompt: String,
    /// What it writes about, each with a weight. Without any, the model chooses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<Topic>,
    /// The tone of its posts, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tone: String,
    /// The style of its posts, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub style: String,
    /// The longest post, by X's weighted count: at most 280, or 25,000 where the account has long posts.
    #[serde(default = "max_length")]
    pub max_length: u16,
    /// Addresses of feeds, pages and text files whose content is material for posts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The language of its posts, as a BCP 47 tag such as `en` or `de-AT`. Without one, the model chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// When it posts, as cron expressions of five fields. Without any it posts only when told to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedule: Vec<String>,
    /// The time zone of the schedule.
    #[serde(default = "timezone")]
    #[schemars(with = "String")]
    #[schema(value_type = String, example = "Europe/Berlin")]
    pub timezone: Tz,
    /// What becomes of a slot that was missed.
    #[serde(default)]
    pub catch_up: CatchUpPolicy,
    /// Which of its posts a person reviews.
    #[serde(default)]
    pub review: ReviewPolicy,
    /// The providers of models, in the order in which they are asked. Without any, the bot has its own.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(with = "Vec<String>")]
    #[schema(value_type = Vec<String>)]
    pub providers: Providers,
    /// The most that models may cost it in a day (UTC), in USD. Without one, only the budgets of the providers hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_day: Option<f64>,
    /// Whether posts are said again in other words, and after what time. Without it none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evergreen: Option<Evergreen>,
}

/// Posts that are said again, each in other words, and at most once in the time `after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evergreen {
    /// How long ago a post was last used before it may be used again, as a duration such as `60d`.
    #[serde(with = "in_days")]
    #[schemars(with = "String")]
    #[schema(value_type = String, example = "60d")]
    pub after: Duration,
}

impl fmt::Display for Evergreen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_days::text(self.after))
    }
}

/// A duration in days, where it is whole days: nobody reads `1month 29days 13h` as what was written.
mod in_days {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    const DAY: u64 = 86_400;

    pub fn text(duration: Duration) -> String {
        match duration.as_secs() {
            seconds if seconds % DAY == 0 && duration.subsec_nanos() == 0 => format!("{}d", seconds / DAY),
            _ => humantime::format_duration(duration).to_string(),
        }
    }

    pub fn serialize<S: Serializer>(duration: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&text(*duration))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(d)?;
        humantime::parse_duration(&text)
            .map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &"a duration such as \"60d\""))
    }
}

fn max_length() -> u16 {
    280
}

fn timezone() -> Tz {
    Tz::UTC
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl PersonaSpec {
    /// A persona with this voice, and the default of everything else.
    pub fn new(account: AccountId, prompt: String) -> Self {
        Self {
            account,
            prompt,
            topics: Vec::new(),
            tone: String::new(),
            style: String::new(),
            max_length: max_length(),
            sources: Vec::new(),
            language: None,
            schedule: Vec::new(),
            timezone: timezone(),
            catch_up: CatchUpPolicy::default(),
            review: ReviewPolicy::default(),
            providers: Providers::default(),
            usd_per_day: None,
            evergreen: None,
        }
    }

    /// Its schedules, in its time zone.
    pub fn schedules(&self) -> Result<Vec<CronSchedule>, ScheduleError> {
        self.schedule.iter().map(|expression| CronSchedule::parse(expression, self.timezone)).collect()
    }

    /// Its voice, as a model is told: who it is, its tone, its style, its language.
    pub fn voice(&self) -> String {
        let language = self.language.as_deref().unwrap_or_default();
        let more = [("Tone", &*self.tone), ("Style", &*self.style), ("Language", language)];
        let said = more.into_iter().filter(|(_, value)| !value.trim().is_empty());
        let lines = said.map(|(name, value)| format!("{name}: {}", value.trim()));
        [self.prompt.trim().to_owned()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
    }
}

/// Something that a persona writes about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Its name, as the model is told.
    pub name: String,
    /// How often it comes, relative to the others.
    #[serde(default = "weight")]
    pub weight: f64,
}

fn weight() -> f64 {
    1.0
}

/// What becomes of a slot whose time passed while nothing could be posted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum CatchUpPolicy {
    /// It is left out.
    #[default]
    Skip,
    /// The latest of them is filled late; the others are left out.
    Latest,
}

/// Which posts of a persona a person reviews before they are published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum ReviewPolicy {
    /// None; posts that the guard objects to are dropped.
    None,
    /// Those that the guard objects to.
    #[default]
    Flagged,
    /// Every one.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cool_down_is_written_as_it_was_read() {
        for text in ["60d", "7d", "36h 30m"] {
            let read: Evergreen = serde_json::from_value(serde_json::json!({ "after": text })).expect("a duration");
            assert_eq!(serde_json::from_value::<Evergreen>(serde_json::json!(read)).expect("a duration"), read);
        }
        let read: Evergreen = serde_json::from_str(r#"{"after": "60 days"}"#).expect("a duration");
        assert_eq!(read.to_string(), "60d");
        assert!(serde_json::from_str::<Evergreen>(r#"{"after": "soon"}"#).is_err());
    }

    #[test]
    fn every_field_of_a_persona_is_known() {
        let spec = PersonaSpec {
            topics: vec![Topic { name: "rye".into(), weight: 1.0 }],
            tone: "dry".into(),
            style: "short".into(),
            sources: vec!["https://example.com/feed".into()],
            language: Some("en".into()),
            schedule: vec!["0 9 * * *".into()],
            providers: ["grok"].into(),
            usd_per_day: Some(1.0),
            evergreen: Some(Evergreen { after: Duration::from_secs(60 * 86_400) }),
            ..PersonaSpec::new(AccountId::from_static("main"), "You are kind.".into())
        };
        let written = serde_json::to_value(&spec).expect("JSON");
        for name in written.as_object().expect("an object").keys() {
            assert!(KNOWN.contains(name), "{name}");
        }
    }
}
