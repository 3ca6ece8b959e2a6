//! How many candidates there are, and what they cost.

use chrono::{DateTime, Utc};
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, query_as,
    row::{count, unsigned},
};
use serde::Serialize;
use sqlx::{FromRow, Row as _, postgres::PgRow};
use utoipa::ToSchema;

use super::LearnerTables;

/// How many candidates of an arm can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CandidateCounts {
    /// The arm.
    pub arm: String,
    /// Those that can be chosen.
    pub ready: u64,
    /// Those that wait for a person.
    pub in_review: u64,
}

impl FromRow<'_, PgRow> for CandidateCounts {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { arm: row.try_get("arm")?, ready: count(row, "ready")?, in_review: count(row, "in_review")? })
    }
}

/// What a bot wrote and was refused since a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpentDay {
    /// Candidates that were decided about.
    pub written: u64,
    /// Those that the guard refused.
    pub refused: u64,
}

impl LearnerTables<'_> {
    /// The candidates of a bot that can be chosen or wait, by arm.
    pub async fn counts(&self, bot: &PersonaName) -> Result<Vec<CandidateCounts>, StoreError> {
        query_as!(
            "select arm, count(*) filter (where state = 'ready') as ready, count(*) filter (where state = 'in_review') as in_review
             from learner.candidates
             where environment = $1 and bot_id = $2 and state in ('ready', 'in_review') and expires_at > clock_timestamp()
             group by arm order by arm",
            self.0.env().as_str(),
            bot.as_str()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("count candidates"))
    }

    /// How many candidates of a bot were written since then, and how many of them the guard refused.
    pub async fn refused_since(&self, bot: &PersonaName, since: DateTime<Utc>) -> Result<SpentDay, StoreError> {
        let (written, refused): (i64, i64) = query_as!(
            "select count(*) as written, count(*) filter (where state = 'rejected' and reasons <> '[]') as refused from learner.candidates
             where environment = $1 and bot_id = $2 and created_at >= $3 and state <> 'drafted'",
            self.0.env().as_str(),
            bot.as_str(),
            since
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("count refused candidates"))?;
        Ok(SpentDay { written: unsigned(written), refused: unsigned(refused) })
    }
}
