use chrono::{DateTime, Utc};
use perch_jobs::{AccountId, JobId, PostId};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use crate::{
    Recorded, Store, StoreError, json, query, query_as,
    record::millis,
    row::{parsed, parsed_option, readable_rows, time, word},
    sql,
};

/// What a bot did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// It replied to the post.
    Comment,
    /// It retweeted the post.
    Retweet,
    /// It wrote a post of its own.
    Post,
    /// It deleted a post of its own.
    Deletion,
}

/// The state of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// Not done yet: it waits for its turn, its budget or the emergency brake, or for another attempt.
    Pending,
    /// It was rendered and not sent: `live_posts` is off.
    Simulated,
    /// It is published.
    Published,
    /// It was refused permanently, or its job is a dead letter.
    Failed,
}

/// Something a bot did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// The key of the effect, at most 512 bytes.
    pub key: String,
    /// What it is.
    pub kind: ActionKind,
    /// The account that acted.
    pub account: AccountId,
    /// The subject, as the bot names it.
    pub subject: Option<String>,
    /// The post it answers.
    pub source_post: Option<PostId>,
    /// The text as rendered.
    pub text: String,
    /// Its state.
    pub state: ActionState,
    /// The id that the outside service gave it.
    pub external_id: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Why it was chosen, where there was a choice.
    #[serde(default)]
    pub why: Option<String>,
    /// The job that did it.
    pub job_id: Option<JobId>,
    /// When. Kept to the millisecond.
    #[serde(with = "millis")]
    pub created_at: DateTime<Utc>,
}

impl Recorded for ActionRecord {
    const FAMILY: &'static str = "actions";
    const DOING: &'static str = "store actions";
    // A late attempt cannot take back the state `published`.
    const SQL: &'static str = sql!(
        2,
        "
        insert into actions (environment, key, kind, account, subject, source_post, text, state, external_id, error,
                             why, job_id, created_at, version_ms, version_seq)
        select $1, key, kind, account, subject, source_post, text, state, external_id, error, why, job_id, created_at,
               version_ms, version_seq
        from jsonb_to_recordset($2::jsonb)
             as r(key text, kind text, account text, subject text, source_post text, text text, state text,
                  external_id text, error text, why text, job_id text, created_at timestamptz,
                  version_ms bigint, version_seq bigint)
        on conflict (environment, key) do update set
            kind = excluded.kind, account = excluded.account, subject = excluded.subject,
            source_post = excluded.source_post, text = excluded.text, state = excluded.state,
            external_id = excluded.external_id, error = excluded.error, why = excluded.why,
            job_id = excluded.job_id,
            created_at = excluded.created_at, version_ms = excluded.version_ms, version_seq = excluded.version_seq
        where (excluded.version_ms, excluded.version_seq) > (actions.version_ms, actions.version_seq)
          and (actions.state <> 'published' or excluded.state = 'published')"
    );

    fn key(&self) -> String {
        self.key.clone()
    }
}

impl FromRow<'_, PgRow> for ActionRecord {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            key: row.try_get("key")?,
            kind: word(row, "kind")?,
            account: parsed(row, "account")?,
            subject: row.try_get("subject")?,
            source_post: parsed_option(row, "source_post")?,
            text: row.try_get("text")?,
            state: word(row, "state")?,
            external_id: row.try_get("external_id")?,
            error: row.try_get("error")?,
            why: row.try_get("why")?,
            job_id: parsed_option(row, "job_id")?,
            created_at: time(row, "created_at")?,
        })
    }
}

/// What the bots did, and are to do.
#[derive(Debug, Clone, Copy)]
pub struct Actions<'a>(pub(crate) &'a Store);

impl Store {
    /// What the bots did, and are to do.
    pub fn actions(&self) -> Actions<'_> {
        Actions(self)
    }
}

impl Actions<'_> {
    /// One action by its key.
    pub async fn get(&self, key: &str) -> Result<Option<ActionRecord>, StoreError> {
        query_as!("select * from actions_shown where environment = $1 and key = $2", self.0.env_name(), key)
            .fetch_optional(&self.0.pool)
            .await
            .map_err(StoreError::on("read an action"))
    }

    /// The latest actions, newest first.
    pub async fn latest(&self, limit: u32) -> Result<Vec<ActionRecord>, StoreError> {
        readable_rows(
            "read actions",
            query_as!(
                "select * from actions_shown where environment = $1 order by created_at desc limit $2",
                self.0.env_name(),
                i64::from(limit)
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }

    /// Stores actions as pending. An action that is already stored does not change.
    pub async fn intend(&self, actions: &[&ActionRecord]) -> Result<(), StoreError> {
        let rows = serde_json::to_string(actions)
            .map_err(|error| StoreError::Invalid { what: "an action", reason: error.to_string() })?;
        query!(
            "insert into actions (environment, key, kind, account, subject, source_post, text, state, why, job_id,
                                  created_at, version_ms, version_seq)
             select $1, key, kind, account, subject, source_post, text, 'pending', why, job_id, created_at, 0, 0
             from jsonb_to_recordset($2::jsonb)
                  as r(key text, kind text, account text, subject text, source_post text, text text, why text,
                       job_id text, created_at timestamptz)
             on conflict (environment, key) do nothing",
            self.0.env_name(),
            json::without_nul(&rows).as_ref()
        )
        .execute(&self.0.pool)
        .await
        .map_err(StoreError::on("keep actions"))?;
        Ok(())
    }
}
