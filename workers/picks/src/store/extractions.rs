use chrono::{DateTime, Utc};
use perch_jobs::{JobId, PostId};
use perch_store::{
    Recorded, Store, StoreError, millis, query_as,
    row::{parsed, parsed_option, time, unsigned},
    sql,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, Row as _, postgres::PgRow};

/// The record of the extraction of one post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractionRecord {
    /// The post.
    pub post_id: PostId,
    /// Whether the rules found it worth a model call.
    pub worth: bool,
    /// Why.
    pub reason: String,
    /// Whether a model was asked although the post is not worth it, to measure what the rules miss.
    pub sampled: bool,
    /// The provider that answered, or `rules`; `None` if no model was asked.
    pub provider: Option<String>,
    /// The model that answered.
    pub model: Option<String>,
    /// How many picks were found; `None` if no model was asked.
    pub picks: Option<u32>,
    /// Picks that the model named and the post does not have.
    pub dropped: u32,
    /// Pictures that could not be fetched, so that the post was read without them.
    #[serde(default)]
    pub pictures_missing: u32,
    /// Unusable answers before the usable one.
    pub objections: u32,
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Completion tokens.
    pub completion_tokens: u64,
    /// The usable answer; null for a post without picks.
    #[serde(default)]
    pub answer: Option<Value>,
    /// The job that got the answer.
    #[serde(default)]
    pub job_id: Option<JobId>,
    /// When. Kept to the millisecond.
    #[serde(with = "millis")]
    pub at: DateTime<Utc>,
}

impl Recorded for ExtractionRecord {
    const FAMILY: &'static str = "picks.extractions";
    const DOING: &'static str = "store extractions";
    const SQL: &'static str = sql!(
        2,
        "
        insert into picks.extractions (environment, post_id, worth, reason, sampled, provider, model, picks, dropped, objections,
                                 pictures_missing, prompt_tokens, completion_tokens, answer, job_id, at, version_ms,
                                 version_seq)
        select $1, post_id, worth, reason, sampled, provider, model, picks, dropped, objections,
               coalesce(pictures_missing, 0), prompt_tokens, completion_tokens, answer, job_id, at, version_ms, version_seq
        from jsonb_to_recordset($2::jsonb)
             as r(post_id text, worth boolean, reason text, sampled boolean, provider text, model text, picks bigint,
                  dropped bigint, objections bigint, pictures_missing bigint, prompt_tokens bigint,
                  completion_tokens bigint, answer jsonb, job_id text, at timestamptz, version_ms bigint,
                  version_seq bigint)
        on conflict (environment, post_id) do update set
            worth = excluded.worth, reason = excluded.reason, sampled = excluded.sampled, provider = excluded.provider,
            model = excluded.model, picks = excluded.picks, dropped = excluded.dropped, objections = excluded.objections,
            pictures_missing = excluded.pictures_missing, prompt_tokens = excluded.prompt_tokens,
            completion_tokens = excluded.completion_tokens, answer = excluded.answer, job_id = excluded.job_id,
            at = excluded.at,
            version_ms = excluded.version_ms, version_seq = excluded.version_seq
        where (excluded.version_ms, excluded.version_seq) > (extractions.version_ms, extractions.version_seq)"
    );

    fn key(&self) -> String {
        self.post_id.to_string()
    }
}

impl FromRow<'_, PgRow> for ExtractionRecord {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let count = |name| Ok::<_, sqlx::Error>(u32::try_from(row.try_get::<i64, _>(name)?).unwrap_or(u32::MAX));
        let picks: Option<i64> = row.try_get("picks")?;
        Ok(Self {
            post_id: parsed(row, "post_id")?,
            worth: row.try_get("worth")?,
            reason: row.try_get("reason")?,
            sampled: row.try_get("sampled")?,
            provider: row.try_get("provider")?,
            model: row.try_get("model")?,
            picks: picks.map(|picks| u32::try_from(picks).unwrap_or(u32::MAX)),
            dropped: count("dropped")?,
            objections: count("objections")?,
            pictures_missing: count("pictures_missing")?,
            prompt_tokens: unsigned(row.try_get("prompt_tokens")?),
            completion_tokens: unsigned(row.try_get("completion_tokens")?),
            answer: row.try_get("answer")?,
            job_id: parsed_option(row, "job_id")?,
            at: time(row, "at")?,
        })
    }
}

/// How many calls the prefilter saved, and what it missed according to samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, FromRow)]
pub struct PrefilterQuality {
    /// All posts.
    pub posts: i64,
    /// Posts that were found worth a call.
    pub worth: i64,
    /// Calls that were saved.
    pub saved: i64,
    /// Posts not worth a call that a model read anyway, as samples. Posts that the rules read instead do not count.
    pub sampled: i64,
    /// Of these, posts in which the model found a pick.
    pub missed: i64,
}

/// The table of extractions. Written through [`Store::record`] or the hot state.
#[derive(Debug, Clone, Copy)]
pub struct Extractions<'a>(pub(crate) &'a Store);

impl Extractions<'_> {
    /// The extraction of a post.
    pub async fn get(&self, post: &PostId) -> Result<Option<ExtractionRecord>, StoreError> {
        query_as!(
            "select * from picks.extractions where environment = $1 and post_id = $2",
            self.0.env().as_str(),
            post.as_str()
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read an extraction"))
    }

    /// The quality of the prefilter since `from`.
    pub async fn prefilter(&self, from: DateTime<Utc>) -> Result<PrefilterQuality, StoreError> {
        query_as!(
            "select count(*) as posts,
                    count(*) filter (where worth) as worth,
                    count(*) filter (where not worth and not sampled) as saved,
                    count(*) filter (where not worth and sampled and provider <> 'rules') as sampled,
                    count(*) filter (where not worth and sampled and provider <> 'rules' and picks > 0) as missed
             from picks.extractions where environment = $1 and at >= $2",
            self.0.env().as_str(),
            from
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("read extractions"))
    }
}
