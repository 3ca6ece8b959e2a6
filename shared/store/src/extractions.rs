use chrono::{DateTime, Utc};
use perch_jobs::PostId;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::{
    Family, Recorded, Store, StoreError,
    record::{millis, sealed::Upsert},
};

/// What was decided about one post that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractionRecord {
    /// The post.
    pub post_id: PostId,
    /// Whether the rules held it worth a call of a model.
    pub worth: bool,
    /// Why.
    pub reason: String,
    /// Whether a model was asked although it is not worth it, to measure what the rules miss.
    pub sampled: bool,
    /// The provider that answered; none where no model was asked.
    pub provider: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// Picks found; none where no model was asked.
    pub picks: Option<u32>,
    /// Picks that the model named and that do not stand in the post.
    pub dropped: u32,
    /// Answers that could not be used, before the one that could.
    pub objections: u32,
    /// Tokens that were read.
    pub prompt_tokens: u64,
    /// Tokens that were written.
    pub completion_tokens: u64,
    /// When. Kept to the millisecond.
    #[serde(with = "millis")]
    pub at: DateTime<Utc>,
}

impl Upsert for ExtractionRecord {
    const DOING: &'static str = "store extractions";
    const SQL: &'static str = "
        insert into extractions (environment, post_id, worth, reason, sampled, provider, model, picks, dropped, objections,
                                 prompt_tokens, completion_tokens, at, version_ms, version_seq)
        select $1, post_id, worth, reason, sampled, provider, model, picks, dropped, objections, prompt_tokens,
               completion_tokens, at, version_ms, version_seq
        from jsonb_to_recordset($2::jsonb)
             as r(post_id text, worth boolean, reason text, sampled boolean, provider text, model text, picks bigint,
                  dropped bigint, objections bigint, prompt_tokens bigint, completion_tokens bigint, at timestamptz,
                  version_ms bigint, version_seq bigint)
        on conflict (environment, post_id) do update set
            worth = excluded.worth, reason = excluded.reason, sampled = excluded.sampled, provider = excluded.provider,
            model = excluded.model, picks = excluded.picks, dropped = excluded.dropped, objections = excluded.objections,
            prompt_tokens = excluded.prompt_tokens, completion_tokens = excluded.completion_tokens, at = excluded.at,
            version_ms = excluded.version_ms, version_seq = excluded.version_seq
        where (excluded.version_ms, excluded.version_seq) > (extractions.version_ms, extractions.version_seq)";
}

impl Recorded for ExtractionRecord {
    const FAMILY: Family = Family::Extractions;

    fn key(&self) -> String {
        self.post_id.to_string()
    }
}

/// What the rules before the model saved, and what they missed as far as samples tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, FromRow)]
pub struct PrefilterQuality {
    /// Posts that were looked at.
    pub posts: i64,
    /// Posts that were held worth a call.
    pub worth: i64,
    /// Calls that were saved.
    pub saved: i64,
    /// Posts that a model was asked about all the same.
    pub sampled: i64,
    /// Of these, posts in which the model found a pick.
    pub missed: i64,
}

/// What was decided about posts. Written through [`Store::record`] or the hot state.
#[derive(Debug, Clone, Copy)]
pub struct Extractions<'a>(pub(crate) &'a Store);

impl Extractions<'_> {
    /// How good the rules before the model were from a moment on.
    pub async fn prefilter(&self, from: DateTime<Utc>) -> Result<PrefilterQuality, StoreError> {
        sqlx::query_as(
            "select count(*) as posts,
                    count(*) filter (where worth) as worth,
                    count(*) filter (where not worth and not sampled) as saved,
                    count(*) filter (where not worth and sampled) as sampled,
                    count(*) filter (where not worth and sampled and picks > 0) as missed
             from extractions where environment = $1 and at >= $2",
        )
        .bind(self.0.env_name())
        .bind(from)
        .fetch_one(&self.0.pool)
        .await
        .map_err(StoreError::on("read extractions"))
    }
}
