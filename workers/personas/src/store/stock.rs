//! Writing to the stock. A post is admitted in one transaction that all personas of the environment share, so that of two similar posts
//! at the same time the second one is found out.

use chrono::{DateTime, Utc};
use perch_jobs::PersonaName;
use perch_safety::{
    Reason,
    similar::{Fingerprint, is_near_duplicate, opening},
};
use perch_store::{StoreError, Tx, json, query, query_as, row::unsigned};
use serde_json::json;
use sqlx::FromRow;

use super::{Draft, PostState, StockCounts, StockPost, StockTable, StoredDraft};

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
fn keys(text: &str) -> Vec<i32> {
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
    /// Stores drafts, before anything is decided about them: what was paid for is not lost. A text that is there already, in any state, is
    /// left out. Answers how many were stored.
    pub async fn draft(&self, persona: &PersonaName, drafts: &[Draft]) -> Result<u64, StoreError> {
        let doing = "store drafts";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        let mut stored = 0;
        for draft in drafts {
            let done = query!(
                "insert into personas.posts (environment, bot_id, content, category, state, generation_cost, generation_tokens,
                                             generation_model, content_hash, keys, opening)
                 values ($1, $2, $3, $4, 'drafted', $5, $6, $7, encode(sha256(convert_to($3, 'UTF8')), 'hex'), $8, $9)
                 on conflict (environment, content_hash) do nothing",
                self.0.env().as_str(),
                persona.as_str(),
                draft.text.trim().replace('\0', ""),
                &draft.topic,
                draft.usd,
                draft.tokens,
                draft.model.as_ref().map(|model| model.replace('\0', "")),
                keys(&draft.text),
                opening(&draft.text)
            )
            .execute(&mut tx)
            .await
            .map_err(StoreError::on(doing))?;
            stored += done.rows_affected();
        }
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(stored)
    }

    /// The drafts of a persona that nothing was decided about, the oldest first, at most 100.
    pub async fn drafted(&self, persona: &PersonaName) -> Result<Vec<StoredDraft>, StoreError> {
        query_as!(
            "select id, content from personas.posts
             where environment = $1 and bot_id = $2 and state = 'drafted' order by id limit 100",
            self.0.env().as_str(),
            persona.as_str()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read drafts"))
    }

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
        let similar = self.similar(&mut tx, draft.id, &draft.text).await.map_err(StoreError::on(doing))?;
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
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(match similar {
            _ if changed.rows_affected() == 0 => Admission::Decided,
            None => Admission::Admitted,
            Some(other) => Admission::Similar { id: other.id, persona: other.bot_id },
        })
    }

    /// The post to which a text is similar, other than `id`. All who ask wait for each other until their transaction ends.
    async fn similar(&self, tx: &mut Tx, id: i64, text: &str) -> Result<Option<OtherPost>, sqlx::Error> {
        query!("select pg_advisory_xact_lock(hashtext('perch personas stock'), hashtext($1))", self.0.env().as_str())
            .execute(&mut *tx)
            .await?;
        let others: Vec<OtherPost> = query_as!(
            "select id, bot_id, content from (
                 select id, bot_id, content, cardinality(keys) as many,
                        cardinality(array(select unnest(keys) intersect select unnest($3::integer[]))) as common
                 from personas.posts
                 where environment = $1 and id <> $2 and state not in ('drafted', 'rejected') and keys && $3
             ) as o
             order by common::float8 / (many + cardinality($3) - common) desc, id limit $4",
            self.0.env().as_str(),
            id,
            keys(text),
            COMPARED
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
        if let Some(other) = self.similar(&mut tx, id, text).await.map_err(StoreError::on(doing))? {
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
        query!(
            "update personas.posts
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

    /// The stock of a persona.
    pub async fn counts(&self, persona: &PersonaName) -> Result<StockCounts, StoreError> {
        let (drafted, in_review, ready, reserved): (i64, i64, i64, i64) = query_as!(
            "select count(*) filter (where state = 'drafted') as drafted, count(*) filter (where state = 'in_review') as in_review,
                    count(*) filter (where state = 'ready') as ready, count(*) filter (where state = 'reserved') as reserved
             from personas.posts
             where environment = $1 and bot_id = $2 and state in ('drafted', 'in_review', 'ready', 'reserved')",
            self.0.env().as_str(),
            persona.as_str()
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("count a stock"))?;
        Ok(StockCounts {
            drafted: unsigned(drafted),
            in_review: unsigned(in_review),
            ready: unsigned(ready),
            reserved: unsigned(reserved),
        })
    }

    /// The openings and topics of the latest posts of a persona, the latest first: what the next batch is to avoid.
    pub async fn latest(&self, persona: &PersonaName, limit: u32) -> Result<Vec<(String, Option<String>)>, StoreError> {
        query_as!(
            "select opening, category from personas.posts
             where environment = $1 and bot_id = $2 and state not in ('drafted', 'rejected', 'expired')
             order by id desc limit $3",
            self.0.env().as_str(),
            persona.as_str(),
            i64::from(limit)
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read a stock"))
    }

    /// Drops what was not used in time: drafts, reviews and ready posts of all personas, and those of personas that are gone, with what was
    /// reserved for them and not handed over. Answers how many.
    pub async fn expire(&self) -> Result<u64, StoreError> {
        query!(
            "update personas.posts p
             set state = 'expired', updated_at = clock_timestamp(),
                 reason = case when p.state = 'in_review' then 'nobody decided in time' else 'it was not used in time' end
             where environment = $1
               and (state in ('drafted', 'in_review', 'ready') and expires_at <= clock_timestamp()
                    or (state in ('drafted', 'in_review', 'ready') or state = 'reserved' and handed_over_at is null)
                       and not exists (select from personas q where q.environment = p.environment and q.name = p.bot_id
                                       and q.created_at <= p.created_at))",
            self.0.env().as_str()
        )
        .execute(self.0.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::on("expire posts"))
    }
}
