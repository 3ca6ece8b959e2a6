//! The decisions of people about posts that wait for them.

use chrono::{DateTime, Utc};
use perch_store::{StoreError, query_as};

use super::{StockPost, StockTable, admission::Rewording};

/// The outcome of a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum StockDecision {
    /// The post is decided on, and this is how it stands.
    Done(Box<StockPost>),
    /// It does not wait for a person; this is how it stands.
    Closed(Box<StockPost>),
    /// The new text is too similar to another post.
    Similar(i64, String),
    /// There is no such post.
    Unknown,
}

impl StockTable<'_> {
    /// Approves a post as it is, for the stock.
    pub async fn approve(&self, id: i64, expires_at: DateTime<Utc>, by: &str) -> Result<StockDecision, StoreError> {
        let approved: Option<StockPost> = query_as!(
            "update personas.posts
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
        .map_err(StoreError::on("approve a post"))?;
        self.outcome(id, approved).await
    }

    /// Puts the text of a person in the place of that of a post that waits, and approves it.
    pub async fn approve_as(
        &self,
        id: i64,
        text: &str,
        expires_at: DateTime<Utc>,
        by: &str,
    ) -> Result<StockDecision, StoreError> {
        match self.reword(id, &text.trim().replace('\0', ""), expires_at, by).await? {
            Rewording::Similar(id, persona) => Ok(StockDecision::Similar(id, persona)),
            Rewording::Done(post) => self.outcome(id, post.map(|post| *post)).await,
        }
    }

    /// Rejects a post that waits for a person or is ready.
    pub async fn reject(&self, id: i64, reason: Option<&str>, by: &str) -> Result<StockDecision, StoreError> {
        let rejected: Option<StockPost> = query_as!(
            "update personas.posts
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
        .map_err(StoreError::on("reject a post"))?;
        self.outcome(id, rejected).await
    }

    async fn outcome(&self, id: i64, changed: Option<StockPost>) -> Result<StockDecision, StoreError> {
        if let Some(post) = changed {
            return Ok(StockDecision::Done(Box::new(post)));
        }
        Ok(self.get(id).await?.map_or(StockDecision::Unknown, |post| StockDecision::Closed(Box::new(post))))
    }
}
