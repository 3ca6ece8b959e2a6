//! The decisions of people about candidates that wait for them.

use chrono::{DateTime, Utc};
use perch_store::{StoreError, query_as};

use super::{Candidate, LearnerTables};

/// The outcome of a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum CandidateDecision {
    /// The candidate is decided on, and this is how it stands.
    Done(Box<Candidate>),
    /// It does not wait for a person; this is how it stands.
    Closed(Box<Candidate>),
    /// There is no such candidate.
    Unknown,
}

impl LearnerTables<'_> {
    /// Lets a candidate that waits be chosen.
    pub async fn approve(&self, id: i64, expires_at: DateTime<Utc>, by: &str) -> Result<CandidateDecision, StoreError> {
        let approved: Option<Candidate> = query_as!(
            "update learner.candidates
             set state = 'ready', expires_at = $3, decided_by = $4, decided_at = clock_timestamp(), updated_at = clock_timestamp()
             where environment = $1 and id = $2 and state = 'in_review'
             returning *",
            self.0.env().as_str(),
            id,
            expires_at,
            by
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("approve a candidate"))?;
        self.candidate_outcome(id, approved).await
    }

    /// Rejects a candidate that waits for a person or can be chosen.
    pub async fn reject(&self, id: i64, reason: Option<&str>, by: &str) -> Result<CandidateDecision, StoreError> {
        let rejected: Option<Candidate> = query_as!(
            "update learner.candidates
             set state = 'rejected', reason = coalesce($3, 'a person rejected it'), decided_by = $4,
                 decided_at = clock_timestamp(), updated_at = clock_timestamp()
             where environment = $1 and id = $2 and state in ('in_review', 'ready')
             returning *",
            self.0.env().as_str(),
            id,
            reason.map(|reason| reason.replace('\0', "")),
            by
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("reject a candidate"))?;
        self.candidate_outcome(id, rejected).await
    }

    async fn candidate_outcome(&self, id: i64, changed: Option<Candidate>) -> Result<CandidateDecision, StoreError> {
        if let Some(candidate) = changed {
            return Ok(CandidateDecision::Done(Box::new(candidate)));
        }
        let found = self.candidate(id).await?;
        Ok(found.map_or(CandidateDecision::Unknown, |candidate| CandidateDecision::Closed(Box::new(candidate))))
    }
}
