use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use perch_jobs::{AccountId, JobId, Mention, PostId};
use perch_store::row::{Moment, count, parsed, parsed_option, time, time_option, word};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow};
use utoipa::ToSchema;

/// The state of a mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema, ValueEnum)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum MentionState {
    /// It was read; its job is not enqueued yet.
    Seen,
    /// It is not answered, by a rule.
    #[value(alias = "left-out")]
    LeftOut,
    /// Its job is enqueued and has not decided on a reply yet.
    Queued,
    /// The reply is decided on, but not handed over to publishing yet.
    Decided,
    /// The reply was handed over to publishing.
    Sending,
    /// It waits for a person to decide.
    #[value(alias = "in-review")]
    InReview,
    /// The reply is published, or only rendered where nothing is sent.
    Answered,
    /// It is not answered, because the guard or a person rejected it.
    Rejected,
    /// Nobody decided in time, or the reply could not be published in time.
    Expired,
    /// Its job is dead; a replay continues it.
    Failed,
}

impl MentionState {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Seen,
        Self::LeftOut,
        Self::Queued,
        Self::Decided,
        Self::Sending,
        Self::InReview,
        Self::Answered,
        Self::Rejected,
        Self::Expired,
        Self::Failed,
    ];

    /// Its name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::LeftOut => "left_out",
            Self::Queued => "queued",
            Self::Decided => "decided",
            Self::Sending => "sending",
            Self::InReview => "in_review",
            Self::Answered => "answered",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// Whether a job has still to decide on a reply.
    pub const fn is_undecided(self) -> bool {
        matches!(self, Self::Seen | Self::Queued | Self::Failed)
    }
}

/// A mention and its state.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Mention)]
pub struct MentionRecord {
    /// The account that was mentioned.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// The mention as it was given to its job.
    #[serde(flatten)]
    pub mention: Mention,
    /// The handle of its author, where it is known.
    pub author: Option<String>,
    /// Its state.
    pub state: MentionState,
    /// Why it was left out, rejected or failed.
    pub reason: Option<String>,
    /// The reply that was decided on first.
    pub reply: Option<String>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// Tokens that the model read.
    pub prompt_tokens: u64,
    /// Tokens that it wrote.
    pub completion_tokens: u64,
    /// The key of the effect.
    pub effect_key: String,
    /// The job that decides.
    #[schema(value_type = Option<String>)]
    pub job_id: Option<JobId>,
    /// The job that publishes.
    #[schema(value_type = Option<String>)]
    pub publish_job_id: Option<JobId>,
    /// The id of the reply.
    pub external_id: Option<String>,
    /// Whether the reply was only rendered.
    pub simulated: bool,
    /// When the reply was decided on.
    pub decided_at: Option<DateTime<Utc>>,
    /// When it reached its final state.
    pub settled_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for MentionRecord {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            account: parsed(row, "account")?,
            mention: Mention {
                id: parsed(row, "id")?,
                text: row.try_get("text")?,
                author_id: row.try_get("author_id")?,
                conversation_id: parsed(row, "conversation_id")?,
                created_at: time(row, "created_at")?,
                processed_at: time(row, "processed_at")?,
                referenced_tweet_id: parsed_option(row, "referenced_tweet_id")?,
            },
            author: row.try_get("author")?,
            state: word(row, "state")?,
            reason: row.try_get("reason")?,
            reply: row.try_get("reply")?,
            model: row.try_get("model")?,
            prompt_tokens: count(row, "prompt_tokens")?,
            completion_tokens: count(row, "completion_tokens")?,
            effect_key: row.try_get("effect_key")?,
            job_id: parsed_option(row, "job_id")?,
            publish_job_id: parsed_option(row, "publish_job_id")?,
            external_id: row.try_get("external_id")?,
            simulated: row.try_get("simulated")?,
            decided_at: time_option(row, "decided_at")?,
            settled_at: time_option(row, "settled_at")?,
        })
    }
}

/// A mention that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenMention {
    /// The mention.
    pub mention: Mention,
    /// The handle of its author.
    pub author: Option<String>,
    /// Why it is left out; none when its job is to be enqueued.
    pub left_out: Option<&'static str>,
}

/// The reply of a model, and the tokens that it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenReply {
    /// The text; none when the model was not asked, or declined.
    pub text: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Tokens that it read.
    pub prompt_tokens: u64,
    /// Tokens that it wrote.
    pub completion_tokens: u64,
}

/// A filter for mentions. A field that is not set matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MentionFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// In this state.
    pub state: Option<MentionState>,
    /// Of this author, by id or handle.
    pub author: Option<String>,
}

/// Counts of the mentions of an account since some time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MentionCounts {
    /// By state.
    pub states: BTreeMap<String, u64>,
    /// Those left out, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Those that failed, were rejected or expired, by the first words of the reason.
    pub errors: BTreeMap<String, u64>,
    /// The median time from a mention to its reply, in milliseconds.
    pub latency_p50_ms: Option<u64>,
    /// The 95th percentile of the time from a mention to its reply, in milliseconds.
    pub latency_p95_ms: Option<u64>,
    /// Tokens that models read.
    pub prompt_tokens: u64,
    /// Tokens that they wrote.
    pub completion_tokens: u64,
    /// Replies that wait for a person, of any age.
    pub open_reviews: u64,
}

/// The mentions whose state changed in a settlement against the ledger and the jobs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SettledMentions {
    /// The time from mention to reply of each newly answered mention, in seconds.
    pub answered: Vec<f64>,
    /// Mentions whose job has become dead.
    pub failed: u64,
    /// Reviews that nobody decided in time, and replies that could not be published in time.
    pub expired: u64,
}

/// The state of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    /// It waits for a person.
    Open,
    /// The reply is published.
    Approved,
    /// The reply is not published.
    Rejected,
    /// Nobody decided in time.
    Expired,
}

impl ReviewState {
    /// Its name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// A reply that a person decides about.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Review {
    /// Its number.
    pub id: i64,
    /// Its state.
    pub state: ReviewState,
    /// The account that would reply.
    #[schema(value_type = String)]
    pub account: AccountId,
    /// The mention.
    #[schema(value_type = String)]
    pub mention_id: PostId,
    /// Its text.
    pub mention_text: String,
    /// The handle of its author, where it is known.
    pub author: Option<String>,
    /// The id of its author.
    pub author_id: String,
    /// What the model proposed; none when it was not asked, or declined.
    pub proposed: Option<String>,
    /// The findings of the guard in the mention or in the proposal: code, position in characters, and the text there.
    #[schema(value_type = Vec<Object>, example = json!([{ "code": "coarse", "at": { "start": 11, "end": 15 }, "found": "dick" }]))]
    pub reasons: serde_json::Value,
    /// The approved text.
    pub approved: Option<String>,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// Who decided.
    pub decided_by: Option<String>,
    /// The reason that the person gave.
    pub note: Option<String>,
}

impl FromRow<'_, PgRow> for Review {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            state: word(row, "state")?,
            account: parsed(row, "account")?,
            mention_id: parsed(row, "mention_id")?,
            mention_text: row.try_get("mention_text")?,
            author: row.try_get("author")?,
            author_id: row.try_get("author_id")?,
            proposed: row.try_get("proposed")?,
            reasons: row.try_get("reasons")?,
            approved: row.try_get("approved")?,
            created_at: time(row, "created_at")?,
            expires_at: time(row, "expires_at")?,
            decided_at: time_option(row, "decided_at")?,
            decided_by: row.try_get("decided_by")?,
            note: row.try_get("note")?,
        })
    }
}

/// A user who is not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow, ToSchema)]
pub struct BlockedUser {
    /// The handle in lower case, or the id.
    #[serde(rename = "user")]
    pub who: String,
    /// The id of the handle's user, once a mention has shown it; the user then stays blocked under another handle.
    pub author_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Who blocked the user.
    pub blocked_by: String,
    /// When; null for a user blocked by the configuration.
    #[sqlx(try_from = "Moment")]
    pub blocked_at: Option<DateTime<Utc>>,
}

impl BlockedUser {
    /// The stored form of a handle (1 to 15 letters, digits and `_`, with or without @) or an id (1 to 19 digits).
    pub fn name(text: &str) -> Option<String> {
        let name = text.strip_prefix('@').unwrap_or(text);
        let is_id = (1..=19).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_digit());
        let is_handle = (1..=15).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (is_id || is_handle).then(|| name.to_lowercase())
    }
}
