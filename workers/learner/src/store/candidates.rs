//! Writing candidates. One is admitted in a transaction that all bots of the environment share, so that of two similar ones at the same time
//! the second is found out.

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use perch_jobs::PersonaName;
use perch_safety::{
    Reason,
    similar::{Fingerprint, is_near_duplicate, opening},
};
use perch_store::{
    StoreError, Tx, json, query, query_as,
    row::{parsed, time, time_option, undecodable, word},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, Row as _, postgres::PgRow, types::Json};
use utoipa::ToSchema;

use super::LearnerTables;

/// The most texts with which a new one is compared: those that share the most shingles with it.
const COMPARED: i64 = 200;

/// The state of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema, ValueEnum)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum CandidateState {
    /// A model wrote it; it is not checked yet.
    Drafted,
    /// It waits for a person to decide.
    #[value(alias = "in-review")]
    InReview,
    /// It can be chosen.
    Ready,
    /// A slot has it.
    Chosen,
    /// The guard or a person rejected it, or it is too similar to another text.
    Rejected,
    /// It was not chosen in time.
    Expired,
}

impl CandidateState {
    /// Its name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drafted => "drafted",
            Self::InReview => "in_review",
            Self::Ready => "ready",
            Self::Chosen => "chosen",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// A text that a slot may choose.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Candidate {
    /// Its number.
    pub id: i64,
    /// The bot.
    #[schema(value_type = String)]
    pub bot: PersonaName,
    /// Its kind: topic, form, hook and length.
    pub arm: String,
    /// Its parts; a single post has one.
    pub parts: Vec<String>,
    /// Its state.
    pub state: CandidateState,
    /// What the guard objects to.
    #[schema(value_type = Vec<Object>)]
    pub reasons: Vec<Reason>,
    /// Why it was rejected or expired.
    pub reason: Option<String>,
    /// Its share of the cost of the call that wrote it, in USD.
    pub usd: Option<f64>,
    /// Its share of the tokens of that call, read and written.
    pub tokens: Option<i64>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it is dropped if it is not chosen.
    pub expires_at: DateTime<Utc>,
    /// Who decided about it.
    pub decided_by: Option<String>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for Candidate {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Json(reasons): Json<serde_json::Value> = row.try_get("reasons")?;
        Ok(Self {
            id: row.try_get("id")?,
            bot: parsed(row, "bot_id")?,
            arm: row.try_get("arm")?,
            parts: row.try_get("parts")?,
            state: word(row, "state")?,
            reasons: serde_json::from_value(reasons).map_err(|error| undecodable("reasons", error))?,
            reason: row.try_get("reason")?,
            usd: row.try_get("usd")?,
            tokens: row.try_get("tokens")?,
            model: row.try_get("model")?,
            created_at: time(row, "created_at")?,
            expires_at: time(row, "expires_at")?,
            decided_by: row.try_get("decided_by")?,
            decided_at: time_option(row, "decided_at")?,
        })
    }
}

/// A text that was not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Its arm.
    pub arm: String,
    /// Its parts.
    pub parts: Vec<String>,
    /// Its share of the cost of the call that wrote it, in USD.
    pub usd: Option<f64>,
    /// Its share of the tokens of that call.
    pub tokens: Option<i64>,
    /// The model that wrote it.
    pub model: Option<String>,
}

/// A draft as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredDraft {
    /// Its number.
    pub id: i64,
    /// Its arm.
    pub arm: String,
    /// Its parts.
    pub parts: Vec<String>,
}

/// Whether a draft was admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It can be chosen, or waits for a person.
    Admitted,
    /// It is too similar to this candidate of this bot.
    Similar {
        /// The number of the other.
        id: i64,
        /// Its bot.
        bot: String,
    },
    /// It was decided on before.
    Decided,
}

/// A text that a draft is compared with.
#[derive(Debug, FromRow)]
struct OtherText {
    id: i64,
    bot_id: String,
    parts: Vec<String>,
}

/// The parts of a text as one, for the comparison with others.
pub(super) fn whole(parts: &[String]) -> String {
    parts.join("\n")
}

/// The keys of a text as Postgres keeps them.
pub(super) fn keys(text: &str) -> Vec<i32> {
    Fingerprint::keys(text).into_iter().map(u32::cast_signed).collect()
}

impl LearnerTables<'_> {
    /// Stores drafts, before anything is decided about them: what was paid for is not lost. A text that is there already, in any state, is
    /// left out. Answers how many were stored.
    pub async fn draft(
        &self,
        bot: &PersonaName,
        drafts: &[Draft],
        expires_at: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let doing = "store candidates";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        let mut stored = 0;
        for draft in drafts {
            let parts: Vec<String> = draft.parts.iter().map(|part| part.trim().replace('\0', "")).collect();
            let text = whole(&parts);
            let done = query!(
                "insert into learner.candidates (environment, bot_id, arm, parts, state, usd, tokens, model, content_hash, keys,
                                                 opening, expires_at)
                 values ($1, $2, $3, $4, 'drafted', $5, $6, $7, encode(sha256(convert_to($8, 'UTF8')), 'hex'), $9, $10, $11)
                 on conflict (environment, content_hash) do nothing",
                self.0.env().as_str(),
                bot.as_str(),
                &draft.arm,
                &parts,
                draft.usd,
                draft.tokens,
                draft.model.as_ref().map(|model| model.replace('\0', "")),
                &text,
                keys(&text),
                opening(&text),
                expires_at
            )
            .execute(&mut tx)
            .await
            .map_err(StoreError::on(doing))?;
            stored += done.rows_affected();
        }
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(stored)
    }

    /// The drafts of a bot that nothing was decided about, the oldest first, at most 100.
    pub async fn drafted(&self, bot: &PersonaName) -> Result<Vec<StoredDraft>, StoreError> {
        query_as!(
            "select id, arm, parts from learner.candidates
             where environment = $1 and bot_id = $2 and state = 'drafted' order by id limit 100",
            self.0.env().as_str(),
            bot.as_str()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read drafts"))
    }

    /// Admits a draft, unless it is similar to a text of any learning poster; then it is rejected.
    pub async fn admit(
        &self,
        draft: &StoredDraft,
        state: CandidateState,
        reasons: &[Reason],
        expires_at: DateTime<Utc>,
    ) -> Result<Admission, StoreError> {
        let doing = "admit a candidate";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        let similar = self.similar(&mut tx, draft).await.map_err(StoreError::on(doing))?;
        let (state, reason) = match &similar {
            None => (state, None),
            Some(other) => (
                CandidateState::Rejected,
                Some(format!("it is too similar to candidate {} of {}", other.id, other.bot_id)),
            ),
        };
        let changed = query!(
            "update learner.candidates
             set state = $3, reasons = $4::jsonb, reason = $5, expires_at = $6, updated_at = clock_timestamp()
             where environment = $1 and id = $2 and state = 'drafted'",
            self.0.env().as_str(),
            draft.id,
            state.as_str(),
            json::without_nul(&json!(reasons).to_string()).as_ref(),
            reason,
            expires_at
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(match similar {
            _ if changed.rows_affected() == 0 => Admission::Decided,
            None => Admission::Admitted,
            Some(other) => Admission::Similar { id: other.id, bot: other.bot_id },
        })
    }

    /// Rejects a draft by the verdict of the guard.
    pub async fn reject_draft(&self, id: i64, reasons: &[Reason], reason: &str) -> Result<(), StoreError> {
        query!(
            "update learner.candidates
             set state = 'rejected', reasons = $3::jsonb, reason = $4, updated_at = clock_timestamp()
             where environment = $1 and id = $2 and state = 'drafted'",
            self.0.env().as_str(),
            id,
            json::without_nul(&json!(reasons).to_string()).as_ref(),
            reason
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("reject a draft"))
    }

    /// The text to which a draft is similar. All who ask wait for each other until their transaction ends.
    async fn similar(&self, tx: &mut Tx, draft: &StoredDraft) -> Result<Option<OtherText>, sqlx::Error> {
        query!("select pg_advisory_xact_lock(hashtext('perch learner texts'), hashtext($1))", self.0.env().as_str())
            .execute(&mut *tx)
            .await?;
        let text = whole(&draft.parts);
        let others: Vec<OtherText> = query_as!(
            "select id, bot_id, parts from (
                 select id, bot_id, parts, cardinality(keys) as many,
                        cardinality(array(select unnest(keys) intersect select unnest($3::integer[]))) as common
                 from learner.candidates
                 where environment = $1 and id <> $2 and state in ('in_review', 'ready', 'chosen') and keys && $3
             ) as o
             order by common::float8 / (many + cardinality($3) - common) desc, id limit $4",
            self.0.env().as_str(),
            draft.id,
            keys(&text),
            COMPARED
        )
        .fetch_all(&mut *tx)
        .await?;
        let fingerprint = Fingerprint::of(&text);
        Ok(others.into_iter().find(|other| is_near_duplicate(&fingerprint, &Fingerprint::of(&whole(&other.parts)))))
    }
}
