use chrono::{DateTime, Utc};
use clap::ValueEnum;
use perch_jobs::{JobId, PersonaName};
use perch_safety::Reason;
use perch_store::row::{parsed, parsed_option, time, time_option, undecodable, word};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow, types::Json};
use utoipa::ToSchema;

/// The state of a post in the stock of a persona.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema, ValueEnum)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum PostState {
    /// A model wrote it; it is not checked yet.
    Drafted,
    /// It waits for a person to decide.
    #[value(alias = "in-review")]
    InReview,
    /// It can be published.
    Ready,
    /// A slot has it.
    Reserved,
    /// It is published, or only rendered where nothing is sent.
    Published,
    /// Its publication failed; a replay of its job continues it.
    Failed,
    /// The guard or a person rejected it, or it is too similar to another post.
    Rejected,
    /// It was not used, or not published, in time.
    Expired,
}

impl PostState {
    /// Its name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drafted => "drafted",
            Self::InReview => "in_review",
            Self::Ready => "ready",
            Self::Reserved => "reserved",
            Self::Published => "published",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// A post of a persona.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StockPost {
    /// Its number.
    pub id: i64,
    /// The persona.
    #[schema(value_type = String)]
    pub persona: PersonaName,
    /// Its text.
    pub text: String,
    /// The topic that it was asked for.
    pub topic: Option<String>,
    /// Its state.
    pub state: PostState,
    /// What the guard objects to.
    #[schema(value_type = Vec<Object>)]
    pub reasons: Vec<Reason>,
    /// Why it was rejected, expired or failed.
    pub reason: Option<String>,
    /// Its share of the cost of the call that wrote it, in USD.
    pub usd: Option<f64>,
    /// Its share of the tokens of that call, read and written.
    pub tokens: Option<i64>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// When it is dropped if it is not used.
    pub expires_at: Option<DateTime<Utc>>,
    /// Who decided about it.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
    /// The slot that it fills.
    pub slot_at: Option<DateTime<Utc>>,
    /// The key of the effect.
    pub effect_key: Option<String>,
    /// The job that publishes it.
    #[schema(value_type = Option<String>)]
    pub publish_job_id: Option<JobId>,
    /// Its id on X.
    pub external_id: Option<String>,
    /// Whether it was only rendered.
    pub simulated: bool,
    /// When it was published.
    pub published_at: Option<DateTime<Utc>>,
    /// The published post that it says in other words.
    pub evergreen_of: Option<i64>,
}

impl FromRow<'_, PgRow> for StockPost {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Json(reasons): Json<serde_json::Value> = row.try_get("reasons")?;
        Ok(Self {
            id: row.try_get("id")?,
            persona: parsed(row, "bot_id")?,
            text: row.try_get("content")?,
            topic: row.try_get("category")?,
            state: word(row, "state")?,
            reasons: serde_json::from_value(reasons).map_err(|error| undecodable("reasons", error))?,
            reason: row.try_get("reason")?,
            usd: row.try_get("generation_cost")?,
            tokens: row.try_get("generation_tokens")?,
            model: row.try_get("generation_model")?,
            created_at: time(row, "created_at")?,
            updated_at: time(row, "updated_at")?,
            expires_at: time_option(row, "expires_at")?,
            decided_by: row.try_get("decided_by")?,
            decided_at: time_option(row, "decided_at")?,
            slot_at: time_option(row, "slot_at")?,
            effect_key: row.try_get("effect_key")?,
            publish_job_id: parsed_option(row, "publish_job_id")?,
            external_id: row.try_get("external_id")?,
            simulated: row.try_get("simulated")?,
            published_at: time_option(row, "published_at")?,
            evergreen_of: row.try_get("evergreen_of")?,
        })
    }
}

/// A text for the stock that was not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Its text.
    pub text: String,
    /// The topic that it was asked for.
    pub topic: Option<String>,
    /// Its share of the cost of the call that wrote it, in USD.
    pub usd: Option<f64>,
    /// Its share of the tokens of that call.
    pub tokens: Option<i64>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// The published post that it says in other words.
    pub evergreen_of: Option<i64>,
}

/// A draft as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredDraft {
    /// Its number.
    pub id: i64,
    /// Its text.
    #[sqlx(rename = "content")]
    pub text: String,
    /// The published post that it says in other words.
    pub evergreen_of: Option<i64>,
    /// The text of that post.
    pub original: Option<String>,
}

/// How many posts of a persona are in each state that counts for its stock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StockCounts {
    /// Not checked yet.
    pub drafted: u64,
    /// Waiting for a person.
    pub in_review: u64,
    /// Ready.
    pub ready: u64,
    /// In a slot.
    pub reserved: u64,
}

/// A slot of a persona.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Slot {
    /// When.
    pub slot_at: DateTime<Utc>,
    /// Its state.
    pub state: SlotState,
    /// The post that fills it.
    pub post_id: Option<i64>,
    /// Why it was missed or failed.
    pub reason: Option<String>,
}

impl FromRow<'_, PgRow> for Slot {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            slot_at: time(row, "slot_at")?,
            state: word(row, "state")?,
            post_id: row.try_get("post_id")?,
            reason: row.try_get("reason")?,
        })
    }
}

/// The state of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// It is due, and there is no post for it yet.
    Empty,
    /// It has a post, which is to be published.
    Reserved,
    /// Its post is published.
    Published,
    /// Its post could not be published.
    Failed,
    /// Its time passed without a post.
    Missed,
}

/// How far a persona is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Slots up to here are known.
    pub slots_until: DateTime<Utc>,
    /// Batches in a row that added nothing.
    pub fruitless: u32,
    /// When the last of them was.
    pub fruitless_at: Option<DateTime<Utc>>,
}
