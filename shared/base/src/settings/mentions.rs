use std::time::Duration;

use perch_job::AccountId;
use serde::{Deserialize, Serialize};

/// The bot that answers mentions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MentionsSettings {
    /// The accounts whose mentions are answered.
    pub accounts: Vec<AccountId>,
    /// How often the mentions of an account are read, until somebody sets another interval at run time.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Mentions read in one request, 5 to 100 (the range of X's `max_results`).
    pub page: u8,
    /// Requests of one poll. What is left is read by the next.
    pub pages: u8,
    /// Older mentions are not answered.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// Mentions answered in one conversation.
    pub replies_per_conversation: u32,
    /// Mentions of one user answered in one day (UTC).
    pub replies_per_user_per_day: u32,
    /// Posts before the mention that the model is shown; 0 reads none.
    pub context: u8,
    /// Who the model is when it replies.
    pub persona: String,
    /// A file with the persona, in place of it; empty uses the text.
    pub persona_file: String,
    /// How freely the model writes.
    pub temperature: f32,
    /// The longest answer of the model, in tokens.
    pub max_tokens: u32,
    /// Which replies a person looks at first.
    pub review: ReviewMode,
    /// How long a reply waits for a person.
    #[serde(with = "humantime_serde")]
    pub review_expires: Duration,
    /// Words and phrases of topics that are left to people.
    pub banned_topics: Vec<String>,
    /// Hosts that a reply may link to.
    pub allowed_hosts: Vec<String>,
    /// Users who are not answered, by handle or id.
    pub blocked_users: Vec<String>,
    /// Further wordings of people in need of help.
    pub crisis_words: Vec<String>,
}

/// Which replies a person looks at before they are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewMode {
    /// None; what the guard objects to is dropped.
    None,
    /// Those that the guard objects to.
    Flagged,
    /// Every one.
    All,
}
