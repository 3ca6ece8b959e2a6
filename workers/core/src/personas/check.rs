//! Checks a persona before it is written. Every problem names its field.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use perch_base::{CronSchedule, settings::FileSettings};
use perch_clients::text::{LONG_POST_UNITS, POST_UNITS, post_units};
use perch_jobs::AccountId;
use serde::Serialize;
use url::Url;

use super::PersonaSpec;

/// The longest prompt, in characters.
const PROMPT: usize = 8_000;
/// The longest name of a topic, and the longest tone or style, in characters.
const WORDS: usize = 400;
/// The most topics, sources and cron expressions.
const TOPICS: usize = 50;
const SOURCES: usize = 20;
const SCHEDULES: usize = 24;
/// The shortest limit of a post that a model can work with.
const SHORTEST_POST: u16 = 40;
/// The times after which a post may be used again.
const SHORTEST_COOL_DOWN: Duration = Duration::from_secs(7 * 86_400);
const LONGEST_COOL_DOWN: Duration = Duration::from_secs(3_650 * 86_400);
/// The most a day, in USD.
const MOST_USD: f64 = 1_000.0;

/// A field of a persona that cannot be so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// The field, as in `topics[1].weight`.
    pub field: String,
    /// What is wrong with it, and what is allowed.
    pub reason: String,
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// What a deployment allows personas to name.
#[derive(Debug, Clone, Default)]
pub struct PersonaLimits {
    /// Each with its longest post, by X's weighted count.
    accounts: BTreeMap<AccountId, u16>,
    providers: BTreeSet<String>,
}

impl PersonaLimits {
    /// The accounts and providers of these settings.
    pub fn of(settings: &FileSettings) -> Self {
        let accounts = settings.x.accounts.iter();
        Self {
            accounts: accounts.map(|(name, account)| (name.clone(), units(post_units(account.long_posts)))).collect(),
            providers: settings.models.providers.keys().cloned().collect(),
        }
    }

    /// The same with another account, whose longest post has so many units.
    #[must_use]
    pub fn with_account(mut self, account: AccountId, longest_post: u16) -> Self {
        self.accounts.insert(account, longest_post);
        self
    }

    /// The accounts, by name.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountId> {
        self.accounts.keys()
    }

    /// The longest post of an account, by X's weighted count.
    pub fn longest_post(&self, account: &AccountId) -> u16 {
        self.accounts.get(account).copied().unwrap_or(units(POST_UNITS))
    }

    /// Every problem of a persona; none when it may be written.
    pub fn problems(&self, spec: &PersonaSpec) -> Vec<FieldProblem> {
        let mut found = Problems::default();
        if !self.accounts.contains_key(&spec.account) {
            let known = self.accounts().map(AccountId::as_str).collect::<Vec<_>>().join(", ");
            found.add(
                "account",
                format!("is {:?}, which [x.accounts] does not have; there are {known}", spec.account.as_str()),
            );
        }
        voice(&mut found, spec, self.longest_post(&spec.account));
        topics(&mut found, spec);
        times(&mut found, spec);
        sources(&mut found, spec);
        for (at, provider) in spec.providers.iter().enumerate() {
            let field = format!("providers[{at}]");
            if !self.providers.contains(provider) {
                let known = self.providers.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                found.add(field, format!("is {provider:?}, which [models.providers] does not have; there are {known}"));
            } else if spec.providers[..at].contains(provider) {
                found.add(field, format!("names {provider:?} twice; name each provider once"));
            }
        }
        if let Some(usd) = spec.usd_per_day.filter(|usd| !(0.0..=MOST_USD).contains(usd)) {
            found.add("usd_per_day", format!("is {usd}; allowed: 0 to {MOST_USD}"));
        }
        let allowed = SHORTEST_COOL_DOWN..=LONGEST_COOL_DOWN;
        if let Some(evergreen) = spec.evergreen.filter(|evergreen| !allowed.contains(&evergreen.after)) {
            found.add("evergreen.after", format!("is {evergreen}; allowed: 7d to 3650d"));
        }
        found.0
    }
}

#[derive(Default)]
struct Problems(Vec<FieldProblem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.0.push(FieldProblem { field: field.into(), reason: reason.into() });
    }

    /// A text of at least `least` and at most `most` characters.
    fn text(&mut self, field: impl Into<String>, text: &str, least: usize, most: usize) {
        let (field, length) = (field.into(), text.trim().chars().count());
        if !(least..=most).contains(&length) {
            self.add(field, format!("has {length} characters; allowed: {least} to {most}"));
        } else if text.contains('\0') {
            self.add(field, "has a NUL character, which no text here has");
        }
    }

    fn most(&mut self, field: &str, count: usize, most: usize) {
        if count > most {
            self.add(field, format!("has {count} entries; allowed: at most {most}"));
        }
    }
}

fn units(units: usize) -> u16 {
    u16::try_from(units).unwrap_or(u16::MAX)
}

fn voice(found: &mut Problems, spec: &PersonaSpec, most: u16) {
    found.text("prompt", &spec.prompt, 1, PROMPT);
    found.text("tone", &spec.tone, 0, WORDS);
    found.text("style", &spec.style, 0, WORDS);
    if !(SHORTEST_POST..=most).contains(&spec.max_length) {
        let is_for_long = (SHORTEST_POST..=units(LONG_POST_UNITS)).contains(&spec.max_length);
        let (account, units) = (&spec.account, spec.max_length);
        let hint = if is_for_long {
            format!("; where X lets {account} write long posts, set x.accounts.{account}.long_posts")
        } else {
            String::new()
        };
        found.add("max_length", format!("is {units}; allowed: {SHORTEST_POST} to {most}{hint}"));
    }
    if let Some(language) = &spec.language {
        let mut parts = language.split('-');
        let primary = parts.next().unwrap_or_default();
        let fits = (2..=3).contains(&primary.len())
            && primary.bytes().all(|b| b.is_ascii_lowercase())
            && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        if !fits || language.len() > 35 {
            let given: String = language.chars().take(40).collect();
            found.add("language", format!("is {given:?}; allowed: a BCP 47 tag such as en or de-AT"));
        }
    }
}

fn topics(found: &mut Problems, spec: &PersonaSpec) {
    found.most("topics", spec.topics.len(), TOPICS);
    for (at, topic) in spec.topics.iter().enumerate() {
        found.text(format!("topics[{at}].name"), &topic.name, 1, WORDS);
        if !(topic.weight > 0.0 && topic.weight <= 1_000.0) {
            found.add(format!("topics[{at}].weight"), format!("is {}; allowed: above 0, up to 1000", topic.weight));
        }
        let same = |other: &super::Topic| other.name.trim().to_lowercase() == topic.name.trim().to_lowercase();
        if spec.topics[..at].iter().any(same) {
            found.add(format!("topics[{at}].name"), format!("is {:?} a second time; name each topic once", topic.name));
        }
    }
}

fn times(found: &mut Problems, spec: &PersonaSpec) {
    found.most("schedule", spec.schedule.len(), SCHEDULES);
    for (at, expression) in spec.schedule.iter().enumerate() {
        let field = format!("schedule[{at}]");
        match CronSchedule::parse(expression, spec.timezone) {
            Err(error) => found.add(field, error.to_string()),
            Ok(_) if expression.split_whitespace().count() != 5 => {
                found.add(field, format!("{expression:?} has seconds; a slot has five fields, to the minute"));
            }
            Ok(_) => {}
        }
    }
}

fn sources(found: &mut Problems, spec: &PersonaSpec) {
    found.most("sources", spec.sources.len(), SOURCES);
    for (at, source) in spec.sources.iter().enumerate() {
        let field = format!("sources[{at}]");
        match Url::parse(source) {
            Err(error) => found.add(field, format!("is no URL: {error}")),
            Ok(url) if url.scheme() != "https" => found.add(field, "does not begin with https://; only such are read"),
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                found.add(field, "holds a user name or a password; use an address without");
            }
            Ok(_) => {}
        }
        if spec.sources[..at].contains(source) {
            found.add(format!("sources[{at}]"), "is there a second time; name each source once");
        }
    }
}
