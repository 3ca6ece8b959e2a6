//! Posts of another deployment. They are written in transactions of the caller, so that a trial can be rolled back.

use chrono::{DateTime, Utc};
use perch_jobs::PersonaName;
use perch_safety::similar::opening;
use perch_store::{StoreError, Tx, query_as};

use super::{StockTable, StoredDraft, admission::keys};

/// A post of another deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedPost {
    /// Its text there, by which another import finds it again.
    pub original: String,
    /// Its text here.
    pub text: String,
    /// Its topic.
    pub topic: Option<String>,
    /// What it cost, in USD.
    pub usd: Option<f64>,
    /// The tokens that it cost.
    pub tokens: Option<i64>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// When it was written.
    pub created_at: Option<DateTime<Utc>>,
}

/// What became of a post that was published there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryImport {
    /// It is kept as published.
    Added,
    /// It was in the stock, and is published now.
    CaughtUp,
    /// It was there already.
    Known,
}

impl StockTable<'_> {
    /// Keeps a post as published. One of the stock that no slot has yet is published now, because the other deployment has used it.
    pub async fn import_published(
        &self,
        tx: &mut Tx,
        persona: &PersonaName,
        post: &ImportedPost,
        at: DateTime<Utc>,
    ) -> Result<HistoryImport, StoreError> {
        let text = post.text.trim();
        let (added, caught_up): (i64, i64) = query_as!(
            "with known as (
                 select id, bot_id, state from personas.posts
                 where environment = $1
                   and (content_hash = encode(sha256(convert_to($3, 'UTF8')), 'hex')
                        or import_key = encode(sha256(convert_to($2 || E'\\n' || $4, 'UTF8')), 'hex'))
             ), caught_up as (
                 update personas.posts p
                 set state = 'published', published_at = $11, reason = null, updated_at = clock_timestamp()
                 from known
                 where p.environment = $1 and p.id = known.id and known.bot_id = $2
                   and known.state in ('drafted', 'in_review', 'ready', 'rejected', 'expired')
                 returning p.id
             ), added as (
                 insert into personas.posts (environment, bot_id, content, category, state, generation_cost,
                                             generation_tokens, generation_model, content_hash, keys, opening, created_at,
                                             published_at, imported_at, import_key)
                 select $1, $2, $3, $5, 'published', $6, $7, $8, encode(sha256(convert_to($3, 'UTF8')), 'hex'), $9, $10,
                        coalesce($12, $11), $11, clock_timestamp(),
                        encode(sha256(convert_to($2 || E'\\n' || $4, 'UTF8')), 'hex')
                 where not exists (select from known)
                 on conflict do nothing
                 returning id
             )
             select (select count(*) from added) as added, (select count(*) from caught_up) as caught_up",
            self.0.env().as_str(),
            persona.as_str(),
            text,
            &post.original,
            &post.topic,
            post.usd,
            post.tokens,
            &post.model,
            keys(text),
            opening(text),
            at,
            post.created_at
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(StoreError::on("import a published post"))?;
        Ok(match (added, caught_up) {
            (1.., _) => HistoryImport::Added,
            (_, 1..) => HistoryImport::CaughtUp,
            _ => HistoryImport::Known,
        })
    }

    /// Stores a post as a draft. None when it, or another one with its text, is there already.
    pub async fn import_draft(
        &self,
        tx: &mut Tx,
        persona: &PersonaName,
        post: &ImportedPost,
    ) -> Result<Option<StoredDraft>, StoreError> {
        let text = post.text.trim();
        query_as!(
            "insert into personas.posts (environment, bot_id, content, category, state, generation_cost, generation_tokens,
                                         generation_model, content_hash, keys, opening, created_at, imported_at, import_key)
             values ($1, $2, $3, $4, 'drafted', $5, $6, $7, encode(sha256(convert_to($3, 'UTF8')), 'hex'), $8, $9,
                     coalesce($10, clock_timestamp()), clock_timestamp(),
                     encode(sha256(convert_to($2 || E'\\n' || $11, 'UTF8')), 'hex'))
             on conflict do nothing
             returning id, content, evergreen_of, null::text as original",
            self.0.env().as_str(),
            persona.as_str(),
            text,
            &post.topic,
            post.usd,
            post.tokens,
            &post.model,
            keys(text),
            opening(text),
            post.created_at,
            &post.original
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(StoreError::on("import a post"))
    }
}
