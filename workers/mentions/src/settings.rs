//! The settings of the bot: `config/bots/mentions.toml`.

use std::time::Duration;

use perch_base::{
    Check, Environment, Section,
    settings::{FileSettings, Providers},
};
use perch_jobs::AccountId;
use perch_safety::Rules;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The bot that answers mentions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MentionsSettings {
    /// The accounts whose mentions are answered.
    pub accounts: Vec<AccountId>,
    /// How often the mentions of an account are read, unless another interval is set at run time.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Mentions read in one request, 5 to 100 (the range of X's `max_results`).
    pub page: u8,
    /// The most requests of one poll. The next poll reads the rest.
    pub pages: u8,
    /// The greatest age of a mention that is answered.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// The most mentions answered in one conversation.
    pub replies_per_conversation: u32,
    /// The most mentions of one user answered in one day (UTC).
    pub replies_per_user_per_day: u32,
    /// The most posts before the mention that the model is given; 0 reads none.
    pub context: u8,
    /// The persona in which the model replies.
    pub persona: String,
    /// A file with the persona, which replaces `persona`; empty for none.
    pub persona_file: String,
    /// The providers of models that write replies, in the order in which they are asked.
    pub providers: Providers,
    /// The temperature of the model.
    pub temperature: f32,
    /// The longest answer of the model, in tokens.
    pub max_tokens: u32,
    /// Which replies a person reviews before they are published.
    pub review: ReviewMode,
    /// How long a reply waits for a person before it expires.
    #[serde(with = "humantime_serde")]
    pub review_expires: Duration,
    /// Words and phrases of topics that are left to people.
    pub banned_topics: Vec<String>,
    /// Hosts that a reply may link to.
    pub allowed_hosts: Vec<String>,
    /// Users who are not answered, by handle or id.
    pub blocked_users: Vec<String>,
    /// Further phrases of people in need of help.
    pub crisis_words: Vec<String>,
}

/// Which replies a person reviews before they are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewMode {
    /// None; replies that the guard objects to are dropped.
    None,
    /// Those that the guard objects to.
    Flagged,
    /// Every one.
    All,
}

impl MentionsSettings {
    /// Rules for the guard besides its own.
    pub fn rules(&self) -> Rules {
        Rules {
            banned_topics: self.banned_topics.clone(),
            crisis: self.crisis_words.clone(),
            allowed_hosts: self.allowed_hosts.clone(),
        }
    }
}

impl Section for MentionsSettings {
    const NAME: &'static str = "mentions";

    fn check(&self, all: &FileSettings, _: Environment, check: &mut Check) {
        accounts(check, self, all);
        check.duration("mentions.interval", self.interval, SECOND..=DAY);
        check.range("mentions.page", self.page, 5..=100);
        check.range("mentions.pages", self.pages, 1..=8);
        check.duration("mentions.max_age", self.max_age, MINUTE..=30 * DAY);
        check.range("mentions.replies_per_conversation", self.replies_per_conversation, 1..=1_000);
        check.range("mentions.replies_per_user_per_day", self.replies_per_user_per_day, 1..=1_000);
        check.range("mentions.context", self.context, 0..=10);
        if self.persona.trim().is_empty() && self.persona_file.trim().is_empty() {
            check.refuse("mentions.persona", "is empty, and so is mentions.persona_file", "a text, or a file with one");
        }
        check.providers("mentions.providers", &self.providers, &all.models);
        check.range("mentions.temperature", self.temperature, 0.0..=2.0);
        check.range("mentions.max_tokens", self.max_tokens, 16..=4_000);
        check.duration("mentions.review_expires", self.review_expires, MINUTE..=30 * DAY);
        lists(check, self);
    }
}

fn accounts(check: &mut Check, mentions: &MentionsSettings, settings: &FileSettings) {
    for (at, account) in mentions.accounts.iter().enumerate() {
        let key = format!("mentions.accounts.{at}");
        if !settings.x.accounts.contains_key(account) {
            let known: Vec<&str> = settings.x.accounts.keys().map(AccountId::as_str).collect();
            check.refuse(
                key,
                format!("is {:?}, which [x.accounts] does not have", account.as_str()),
                if known.is_empty() { "an account, once there is one".into() } else { known.join(", ") },
            );
        } else if mentions.accounts[..at].contains(account) {
            check.refuse(key, format!("is {:?} a second time", account.as_str()), "each account once");
        }
    }
}

fn lists(check: &mut Check, mentions: &MentionsSettings) {
    let phrases = [("banned_topics", &mentions.banned_topics), ("crisis_words", &mentions.crisis_words)];
    for (name, list) in phrases {
        for (at, phrase) in list.iter().enumerate() {
            let letters = phrase.chars().filter(|c| c.is_alphanumeric()).count();
            let braces_match = phrase.matches('{').count() == phrase.matches('}').count();
            if letters < 2 || !braces_match {
                check.refuse(
                    format!("mentions.{name}.{at}"),
                    format!("is {phrase:?}"),
                    "a word or phrase of at least two letters; {a|b} stands for either of its parts",
                );
            }
        }
    }
    for (at, host) in mentions.allowed_hosts.iter().enumerate() {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
        if !host.contains('.') || !host.chars().all(fits) {
            check.refuse(format!("mentions.allowed_hosts.{at}"), format!("is {host:?}"), "a host, such as example.com");
        }
    }
    for (at, user) in mentions.blocked_users.iter().enumerate() {
        let is_id = (1..=19).contains(&user.len()) && user.bytes().all(|b| b.is_ascii_digit());
        if !is_id {
            check.handle(format!("mentions.blocked_users.{at}"), user);
        }
    }
}
