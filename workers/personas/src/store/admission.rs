//! Admits posts to the stock. A post is admitted in one transaction that all personas of the environment share, so that of two similar
//! posts at the same time the second one is found out.

use chrono::{DateTime, Utc};
use perch_safety::{
    Reason,
    similar::{Fingerprint, is_near_duplicate, opening},
};
use perch_store::{StoreError, Tx, json, query, query_as};
use serde_json::json;
use sqlx::FromRow;

use super::{PostState, StockPost, StockTable, StoredDraft};

/// The most posts with which a new one is compared: those that share the most shingles with it.
const COMPARED: i64 = 200;

/// Whether a draft was admitted.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission {
    /// It is in the stock.
    Admitted,
    /// It is too similar to this post of this persona.
    Similar {
        /// The number of the other post.
        id: i64,
        /// Its persona.
        persona: String,
    },
    /// It was decided on before.
    Decided,
}

/// The keys of a text as Postgres keeps them.
pub(super) fn keys(text: &str) -> Vec<i32> {
    Fingerprint::keys(text).into_iter().map(u32::cast_signed).collect()
}

/// What became of a text of a person.
pub(super) enum Rewording {
    /// The post has it and is ready; none when the post did not wait any more.
    Done(Option<Box<StockPost>>),
    /// It is similar to this post of this persona.
    Similar(i64, String),
}

/// A post that a draft is compared with.
#[derive(Debug, FromRow)]
struct OtherPost {
    id: i64,
    bot_id: String,
    content: String,
}

impl StockTable<'_> {
    /// Admits a draft as `ready` or `in_review`, unless it is similar to a post of any persona; then it is rejected. Expired posts count too,
    /// because one that came too late may still be published by a replay of its job.
    pub async fn admit(
        &self,
        draft: &StoredDraft,
        state: PostState,
        reasons: &[Reason],
        expires_at: DateTime<Utc>,
    ) -> Result<Admission, StoreError> {
        let doing = "admit a draft";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        let admission = self.admit_in(&mut tx, draft, state, reasons, expires_at).await?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(admission)
    }

    /// The same in a transaction of the caller.
    pub async fn admit_in(
        &self,
        tx: &mut Tx,
        draft: &StoredDraft,
        state: PostState,
        reasons: &[Reason],
        expires_at: DateTime<Utc>,
    ) -> Result<Admission, StoreError> {
        let doing = "admit a draft";
        let similar =
            self.similar(tx, (draft.id, draft.evergreen_of), &draft.text).await.map_err(StoreError::on(doing))?;
        let (state, reason) = match &similar {
            None => (state, None),
            Some(other) => {
                (PostState::Rejected, Some(format!("it is too similar to post {} of {}", other.id, other.bot_id)))
            }
        };
        let changed = query!(
            "update personas.posts
             set state = $3, reasons = $4::jsonb, reason = $5, expires_at = $6, updated_at = clock_timestamp()
             where environment = $1 and id = $2 and state = 'drafted'",
            self.0.env().as_str(),
            draft.id,
            state.as_str(),
            json::without_nul(&json!(reasons).to_string()).as_ref(),
            reason,
            expires_at
        )
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on(doing))?;
        Ok(match similar {
            _ if changed.rows_affected() == 0 => Admission::Decided,
            None => Admission::Admitted,
            Some(other) => Admission::Similar { id: other.id, persona: other.bot_id },
        })
    }

    /// The post to which a text is similar, other than itself and its original. All who ask wait for each other until their transaction ends.
    async fn similar(
        &self,
        tx: &mut Tx,
        (id, original): (i64, Option<i64>),
        text: &str,
    ) -> Result<Option<OtherPost>, sqlx::Error> {
        query!("select pg_advisory_xact_lock(hashtext('perch personas stock'), hashtext($1))", self.0.env().as_str())
            .execute(&mut *tx)
            .await?;
        let others: Vec<OtherPost> = query_as!(
            "select id, bot_id, content from (
                 select id, bot_id, content, cardinality(keys) as many,
                        cardinality(array(select unnest(keys) intersect select unnest($3::integer[]))) as common
                 from personas.posts
                 where environment = $1 and id <> $2 and id is distinct from $5 and state not in ('drafted', 'rejected') and keys && $3
             ) as o
             order by common::float8 / (many + cardinality($3) - common) desc, id limit $4",
            self.0.env().as_str(),
            id,
            keys(text),
            COMPARED,
            original
        )
        .fetch_all(&mut *tx)
        .await?;
        let fingerprint = Fingerprint::of(text);
        Ok(others.into_iter().find(|other| is_near_duplicate(&fingerprint, &Fingerprint::of(&other.content))))
    }

    /// Puts the text of a person in the place of that of a post that waits, and approves it.
    pub(super) async fn reword(
        &self,
        id: i64,
        text: &str,
        expires_at: DateTime<Utc>,
        by: &str,
    ) -> Result<Rewording, StoreError> {
        let doing = "approve a post";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        let original: Option<(Option<i64>,)> = query_as!(
            "select evergreen_of from personas.posts where environment = $1 and id = $2",
            self.0.env().as_str(),
            id
        )
        .fetch_optional(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let original = original.and_then(|(original,)| original);
        if let Some(other) = self.similar(&mut tx, (id, original), text).await.map_err(StoreError::on(doing))? {
            return Ok(Rewording::Similar(other.id, other.bot_id));
        }
        // The same text in a post that was rejected keeps the key.
        let same: Option<(i64, String)> = query_as!(
            "select id, bot_id from personas.posts
             where environment = $1 and id <> $2 and content_hash = encode(sha256(convert_to($3, 'UTF8')), 'hex')",
            self.0.env().as_str(),
            id,
            text
        )
        .fetch_optional(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        if let Some((id, persona)) = same {
            return Ok(Rewording::Similar(id, persona));
        }
        let post = query_as!(
            "update personas.posts
             set content = $3, content_hash = encode(sha256(convert_to($3, 'UTF8')), 'hex'), keys = $4, opening = $5,
                 state = 'ready', reasons = '[]', reason = null, expires_at = $6, decided_by = $7,
                 decided_at = clock_timestamp(), updated_at = clock_timestamp()
             where environment = $1 and id = $2 and state = 'in_review'
             returning *",
            self.0.env().as_str(),
            id,
            text,
            keys(text),
            opening(text),
            expires_at,
            by
        )
        .fetch_optional(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(Rewording::Done(post.map(Box::new)))
    }

    /// Rejects a draft.
    pub async fn reject_draft(&self, id: i64, reasons: &[Reason], reason: &str) -> Result<(), StoreError> {
        let doing = "reject a draft";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        self.reject_in(&mut tx, id, reasons, reason).await?;
        tx.commit().await.map_err(StoreError::on(doing))
    }

    /// The same in a transaction of the caller.
    pub async fn reject_in(&self, tx: &mut Tx, id: i64, reasons: &[Reason], reason: &str) -> Result<(), StoreError> {
        query!(
            "update personas.posts
             set state = 'rejected', reasons = $3::jsonb, reason = $4, updated_at = clock_timestamp()
             where environment = $1 and id = $2 and state = 'drafted'",
            self.0.env().as_str(),
            id,
            json::without_nul(&json!(reasons).to_string()).as_ref(),
            reason
        )
        .execute(&mut *tx)
        .await
        .map(|_| ())
        .map_err(StoreError::on("reject a draft"))
    }
}
