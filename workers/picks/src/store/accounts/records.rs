//! Records of watched accounts, their polls, and changes to them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, JobState, PostId};
use perch_store::row::{parsed, parsed_option, small_count, time, time_option, word};
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow};

/// How a poll of an account ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PollOutcome {
    /// Its posts were read.
    Polled,
    /// No account has this handle.
    NotFound,
    /// X has suspended the account.
    Suspended,
    /// The account shows its posts only to approved followers.
    Protected,
}

impl PollOutcome {
    /// The word for it in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polled => "polled",
            Self::NotFound => "not_found",
            Self::Suspended => "suspended",
            Self::Protected => "protected",
        }
    }
}

/// What Postgres knows of a watched account: its settings and the state of its polls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// Its handle in lower case.
    pub username: String,
    /// Its handle as it was given.
    pub handle: String,
    /// Who added it; `None` while only the configuration names it.
    pub added_by: Option<String>,
    /// When.
    pub added_at: Option<DateTime<Utc>>,
    /// Who removed it.
    pub removed_by: Option<String>,
    /// When.
    pub removed_at: Option<DateTime<Utc>>,
    /// False while it is not polled, without being removed.
    pub enabled: bool,
    /// What an operator wrote about it.
    pub note: Option<String>,
    /// A schedule of its own, as cron fields.
    pub schedule: Option<String>,
    /// The time zone of that schedule.
    pub timezone: Option<String>,
    /// Posts on a page, where it differs from the configuration.
    pub posts_per_poll: Option<u8>,
    /// The most pages of a poll, where it differs.
    pub pages: Option<u8>,
    /// The age in milliseconds from which posts are skipped, where it differs.
    pub max_age_ms: Option<u64>,
    /// Ticks of its own schedule up to this time are done.
    pub scheduled_to: Option<DateTime<Utc>>,
    /// When it was last polled.
    pub last_poll: Option<DateTime<Utc>>,
    /// How that ended.
    pub last_outcome: Option<PollOutcome>,
    /// What X said if the account could not be read.
    pub last_error: Option<String>,
    /// Polls in a row that could not read it.
    pub failures: u32,
    /// How many further ticks it is passed over because of those failures.
    pub passes_over: u32,
    /// The newest post up to which everything is done.
    pub since_id: Option<PostId>,
    /// Posts from before this time have been processed.
    pub read_to: Option<DateTime<Utc>>,
    /// Its id on X.
    pub user_id: Option<String>,
    /// When that was looked up.
    pub user_id_at: Option<DateTime<Utc>>,
}

impl AccountRecord {
    /// The record of an account that only the configuration names.
    pub fn named(handle: &str) -> Self {
        Self {
            username: handle.to_lowercase(),
            handle: handle.to_owned(),
            added_by: None,
            added_at: None,
            removed_by: None,
            removed_at: None,
            enabled: true,
            note: None,
            schedule: None,
            timezone: None,
            posts_per_poll: None,
            pages: None,
            max_age_ms: None,
            scheduled_to: None,
            last_poll: None,
            last_outcome: None,
            last_error: None,
            failures: 0,
            passes_over: 0,
            since_id: None,
            read_to: None,
            user_id: None,
            user_id_at: None,
        }
    }
}

impl FromRow<'_, PgRow> for AccountRecord {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let small = |column| row.try_get::<Option<i32>, _>(column).map(|n| n.and_then(|n| u8::try_from(n).ok()));
        let outcome: Option<String> = row.try_get("last_outcome")?;
        Ok(Self {
            username: row.try_get("username")?,
            handle: row.try_get("handle")?,
            added_by: row.try_get("added_by")?,
            added_at: time_option(row, "added_at")?,
            removed_by: row.try_get("removed_by")?,
            removed_at: time_option(row, "removed_at")?,
            enabled: row.try_get("enabled")?,
            note: row.try_get("note")?,
            schedule: row.try_get("schedule")?,
            timezone: row.try_get("timezone")?,
            posts_per_poll: small("posts_per_poll")?,
            pages: small("pages")?,
            max_age_ms: row.try_get::<Option<i64>, _>("max_age_ms")?.and_then(|ms| u64::try_from(ms).ok()),
            scheduled_to: time_option(row, "scheduled_to")?,
            last_poll: time_option(row, "last_poll")?,
            last_outcome: outcome.map(|_| word(row, "last_outcome")).transpose()?,
            last_error: row.try_get("last_error")?,
            failures: small_count(row, "failures")?,
            passes_over: small_count(row, "passes_over")?,
            since_id: parsed_option(row, "since_id")?,
            read_to: time_option(row, "read_to")?,
            user_id: row.try_get("user_id")?,
            user_id_at: time_option(row, "user_id_at")?,
        })
    }
}

/// A change to a watched account. `None` leaves a setting as it is; `Some(None)` resets it to the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountChange {
    /// Whether it is polled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A note about it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub note: Option<Option<String>>,
    /// A schedule of its own, as cron fields.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub schedule: Option<Option<String>>,
    /// The time zone of that schedule; a schedule without one is in UTC.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub timezone: Option<Option<String>>,
    /// Posts on a page.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub posts_per_poll: Option<Option<u8>>,
    /// The most pages of a poll.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub pages: Option<Option<u8>>,
    /// The age in milliseconds from which posts are skipped.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub max_age_ms: Option<Option<u64>>,
}

/// Distinguishes a null from an absent field.
#[expect(
    clippy::option_option,
    reason = "a null goes back to the configuration, a field that is not there stays as it is"
)]
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(d).map(Some)
}

/// What a poll records about its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollNote {
    /// The handle, in any case.
    pub username: String,
    /// When the poll ended.
    pub at: DateTime<Utc>,
    /// How.
    pub outcome: PollOutcome,
    /// What X said if the account could not be read.
    pub error: Option<String>,
    /// The newest post up to which everything is done.
    pub since_id: Option<PostId>,
    /// The poll has processed the posts from before this time.
    pub read_to: Option<DateTime<Utc>>,
    /// Its id on X, as far as it is known.
    pub user_id: Option<String>,
}

/// A poll in the history of jobs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PollJob {
    /// The job.
    pub job: JobId,
    /// Where it stands.
    pub state: JobState,
    /// When it was enqueued.
    pub at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What it found.
    pub result: Option<serde_json::Value>,
    /// Why its last attempt failed.
    pub error: Option<String>,
}

impl FromRow<'_, PgRow> for PollJob {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            job: parsed(row, "id")?,
            state: word(row, "state")?,
            at: time(row, "created_at")?,
            finished_at: time_option(row, "finished_at")?,
            result: row.try_get("result")?,
            error: row.try_get("last_error")?,
        })
    }
}

/// The totals of the polls of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PollTotals {
    /// Polls that succeeded.
    pub polls: u64,
    /// Posts that X returned.
    pub read: u64,
    /// Of these, handed on to extraction.
    pub taken: u64,
    /// Posts that were skipped, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Picks in its posts.
    pub picks: u64,
    /// Of these, picks that it posted before anyone else.
    pub picks_first: u64,
}
