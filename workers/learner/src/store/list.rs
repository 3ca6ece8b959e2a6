//! Reads candidates.

use perch_base::{Page, Paging};
use perch_jobs::PersonaName;
use perch_store::{StoreError, query, query_as, row};
use sqlx::Row as _;

use super::{Candidate, CandidateState, LearnerTables};

/// Which candidates. A field that is not set matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CandidateFilter {
    /// Of this bot.
    pub bot: Option<PersonaName>,
    /// In this state.
    pub state: Option<CandidateState>,
    /// Of this arm.
    pub arm: Option<String>,
}

impl LearnerTables<'_> {
    /// One candidate.
    pub async fn candidate(&self, id: i64) -> Result<Option<Candidate>, StoreError> {
        query_as!("select * from learner.candidates where environment = $1 and id = $2", self.0.env().as_str(), id)
            .fetch_optional(self.0.pool())
            .await
            .map_err(StoreError::on("read a candidate"))
    }

    /// Candidates, the latest first, page by page.
    pub async fn candidates(&self, filter: &CandidateFilter, paging: &Paging) -> Result<Page<Candidate>, StoreError> {
        const LIST: &str = "candidates";
        let doing = "list candidates";
        let before: Option<i64> = paging.place(LIST)?;
        let rows = query!(
            "select * from learner.candidates
             where environment = $1 and ($2::text is null or bot_id = $2) and ($3::text is null or state = $3)
               and ($4::text is null or arm = $4) and ($5::bigint is null or id < $5)
             order by id desc limit $6",
            self.0.env().as_str(),
            filter.bot.as_ref().map(PersonaName::as_str),
            filter.state.map(CandidateState::as_str),
            &filter.arm,
            before,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<i64, _>("id"))
    }

    /// The openings of the latest texts of a bot, the latest first, without those that were rejected or expired.
    pub async fn openings(&self, bot: &PersonaName, limit: u32) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = query_as!(
            "select opening from learner.candidates
             where environment = $1 and bot_id = $2 and state not in ('drafted', 'rejected', 'expired')
             order by id desc limit $3",
            self.0.env().as_str(),
            bot.as_str(),
            i64::from(limit)
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read openings"))?;
        Ok(rows.into_iter().map(|(opening,)| opening).collect())
    }
}
