//! The replies that people decide about.

use std::time::Duration;

use perch_base::{Page, Paging};
use perch_jobs::{AccountId, PostId};
use perch_store::{Store, StoreError, Tx, json, query, query_scalar, row, sql};
use serde_json::Value;
use sqlx::{PgExecutor, Row as _};

use super::{Review, ReviewState, WrittenReply, plain, signed};

/// The replies that people decide about.
#[derive(Debug, Clone, Copy)]
pub struct ReviewTable<'a>(pub(crate) &'a Store);

/// A filter for reviews. A field that is not set matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReviewFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// In this state.
    pub state: Option<ReviewState>,
}

/// The outcome of a decision on a review.
#[derive(Debug, Clone, PartialEq)]
pub enum ReviewOutcome {
    /// The decision is stored; this is the review now.
    Done(Box<Review>),
    /// The review was decided before or has expired.
    Closed(Box<Review>),
    /// There is no such review.
    Unknown,
}

/// A review whose time is over counts as expired.
const ONE: &str = sql!(
    2,
    "
    select r.id, r.account, r.mention_id, r.proposed, r.reasons, r.approved, r.created_at, r.expires_at, r.decided_at,
           r.decided_by, r.note, m.text as mention_text, m.author, m.author_id,
           case when r.state = 'open' and r.expires_at <= clock_timestamp() then 'expired' else r.state end as state
    from mentions.reviews r
    join mentions.mentions m on m.environment = r.environment and m.account = r.account and m.id = r.mention_id
    where r.environment = $1 and r.id = $2"
);

const LOCKED: &str = sql!(2, "select id from mentions.reviews where environment = $1 and id = $2 for update");

impl ReviewTable<'_> {
    /// Opens a review of a mention that is not decided on, with the proposed reply and the findings of the guard. An existing review is
    /// left as it is; none when the mention was decided on otherwise.
    pub async fn open(
        &self,
        account: &AccountId,
        mention: &PostId,
        written: &WrittenReply,
        reasons: &Value,
        waits: Duration,
    ) -> Result<Option<i64>, StoreError> {
        query_scalar!(
            "with moved as (
                 update mentions.mentions
                 set state = 'in_review', model = $5, prompt_tokens = $6, completion_tokens = $7, reason = null,
                     decided_at = clock_timestamp(), settled_at = null
                 where environment = $1 and account = $2 and id = $3 and state in ('seen', 'queued', 'failed')
                   and reply is null
                 returning 1
             )
             insert into mentions.reviews as r (environment, account, mention_id, proposed, reasons, expires_at)
             select $1, $2, $3, $4, $8::jsonb, clock_timestamp() + $9 * interval '1 millisecond' from moved
             on conflict (environment, account, mention_id) do nothing
             returning id",
            self.0.env().as_str(),
            account.as_str(),
            mention.as_str(),
            written.text.as_deref().map(plain),
            &written.model,
            signed(written.prompt_tokens),
            signed(written.completion_tokens),
            json::without_nul(&reasons.to_string()).as_ref(),
            signed(u64::try_from(waits.as_millis()).unwrap_or(u64::MAX))
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("open a review"))
    }

    /// One review. When its time is over it counts as expired.
    pub async fn get(&self, id: i64) -> Result<Option<Review>, StoreError> {
        self.read(self.0.pool(), id).await
    }

    async fn read(&self, conn: impl PgExecutor<'_>, id: i64) -> Result<Option<Review>, StoreError> {
        sqlx::query_as(ONE)
            .bind(self.0.env().as_str())
            .bind(id)
            .fetch_optional(conn)
            .await
            .map_err(StoreError::on("read a review"))
    }

    /// Reviews, the latest first, page by page. One whose time is over counts as expired.
    pub async fn list(&self, filter: &ReviewFilter, paging: &Paging) -> Result<Page<Review>, StoreError> {
        const LIST: &str = "reviews";
        let doing = "list reviews";
        let before: Option<i64> = paging.place(LIST)?;
        let rows = query!(
            "select * from (
                 select r.id, r.account, r.mention_id, r.proposed, r.reasons, r.approved, r.created_at, r.expires_at,
                        r.decided_at, r.decided_by, r.note, m.text as mention_text, m.author, m.author_id,
                        case when r.state = 'open' and r.expires_at <= clock_timestamp() then 'expired' else r.state end
                            as state
                 from mentions.reviews r
                 join mentions.mentions m on m.environment = r.environment and m.account = r.account and m.id = r.mention_id
                 where r.environment = $1 and ($2::text is null or r.account = $2) and ($4::bigint is null or r.id < $4)
             ) as r
             where $3::text is null or state = $3
             order by id desc limit $5",
            self.0.env().as_str(),
            filter.account.as_ref().map(AccountId::as_str),
            filter.state.map(ReviewState::as_str),
            before,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<i64, _>("id"))
    }

    /// Approves a reply with this text, and decides on the mention in the same transaction.
    pub async fn approve(&self, id: i64, text: &str, by: &str) -> Result<ReviewOutcome, StoreError> {
        let (mut tx, review) = match self.still_open(id).await? {
            Ok(open) => open,
            Err(outcome) => return Ok(outcome),
        };
        query!(
            "with review as (
                 update mentions.reviews
                 set state = 'approved', approved = $3, decided_at = clock_timestamp(), decided_by = $4
                 where environment = $1 and id = $2
                 returning account, mention_id
             )
             update mentions.mentions m
             set state = 'decided', reply = $3, decided_at = clock_timestamp()
             from review
             where m.environment = $1 and m.account = review.account and m.id = review.mention_id",
            self.0.env().as_str(),
            review.id,
            plain(text),
            by
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on("approve a reply"))?;
        self.done(tx, id).await
    }

    /// Rejects a reply.
    pub async fn reject(&self, id: i64, note: Option<&str>, by: &str) -> Result<ReviewOutcome, StoreError> {
        let (mut tx, review) = match self.still_open(id).await? {
            Ok(open) => open,
            Err(outcome) => return Ok(outcome),
        };
        query!(
            "with review as (
                 update mentions.reviews
                 set state = 'rejected', note = $3, decided_at = clock_timestamp(), decided_by = $4
                 where environment = $1 and id = $2
                 returning account, mention_id
             )
             update mentions.mentions m
             set state = 'rejected', reason = 'a person rejected it', settled_at = clock_timestamp()
             from review
             where m.environment = $1 and m.account = review.account and m.id = review.mention_id",
            self.0.env().as_str(),
            review.id,
            note.map(plain),
            by
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on("reject a reply"))?;
        self.done(tx, id).await
    }

    async fn still_open(&self, id: i64) -> Result<Result<(Tx, Review), ReviewOutcome>, StoreError> {
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on("decide on a reply"))?;
        sqlx::query(LOCKED)
            .bind(self.0.env().as_str())
            .bind(id)
            .fetch_optional(&mut tx)
            .await
            .map_err(StoreError::on("decide on a reply"))?;
        let Some(review) = self.read(&mut tx, id).await? else { return Ok(Err(ReviewOutcome::Unknown)) };
        if review.state != ReviewState::Open {
            return Ok(Err(ReviewOutcome::Closed(Box::new(review))));
        }
        Ok(Ok((tx, review)))
    }

    async fn done(&self, mut tx: Tx, id: i64) -> Result<ReviewOutcome, StoreError> {
        let review = self.read(&mut tx, id).await?;
        tx.commit().await.map_err(StoreError::on("decide on a reply"))?;
        Ok(review.map_or(ReviewOutcome::Unknown, |review| ReviewOutcome::Done(Box::new(review))))
    }
}
