use chrono::{DateTime, Utc};
use perch_jobs::{AccountId, JobId, PostId};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use crate::{
    Recorded, Store, StoreError, query_as,
    record::millis,
    row::{count, parsed, parsed_option, readable_rows, time, unsigned},
    sql,
};

/// A post that was really published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPost {
    /// Its id on X.
    pub post_id: PostId,
    /// The account that published it.
    pub account: AccountId,
    /// Its text.
    pub text: String,
    /// The post it replies to.
    pub reply_to: Option<PostId>,
    /// The subject, as the bot names it.
    pub subject: Option<String>,
    /// The job that published it.
    pub job_id: Option<JobId>,
    /// When. Kept to the millisecond.
    #[serde(with = "millis")]
    pub published_at: DateTime<Utc>,
}

impl Recorded for PublishedPost {
    const FAMILY: &'static str = "published";
    const DOING: &'static str = "store published posts";
    const SQL: &'static str = sql!(
        2,
        "
        insert into published_posts (environment, post_id, account, text, reply_to, subject, job_id, published_at,
                                     version_ms, version_seq)
        select $1, post_id, account, text, reply_to, subject, job_id, published_at, version_ms, version_seq
        from jsonb_to_recordset($2::jsonb)
             as r(post_id text, account text, text text, reply_to text, subject text, job_id text,
                  published_at timestamptz, version_ms bigint, version_seq bigint)
        on conflict (environment, post_id) do update set
            account = excluded.account, text = excluded.text, reply_to = excluded.reply_to,
            subject = excluded.subject, job_id = excluded.job_id, published_at = excluded.published_at,
            version_ms = excluded.version_ms, version_seq = excluded.version_seq
        where (excluded.version_ms, excluded.version_seq) > (published_posts.version_ms, published_posts.version_seq)"
    );

    fn key(&self) -> String {
        self.post_id.to_string()
    }
}

impl FromRow<'_, PgRow> for PublishedPost {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            post_id: parsed(row, "post_id")?,
            account: parsed(row, "account")?,
            text: row.try_get("text")?,
            reply_to: parsed_option(row, "reply_to")?,
            subject: row.try_get("subject")?,
            job_id: parsed_option(row, "job_id")?,
            published_at: time(row, "published_at")?,
        })
    }
}

/// The public metrics of a post at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricPoint {
    /// The post.
    pub post_id: PostId,
    /// When they were read. Kept to the millisecond.
    #[serde(with = "millis")]
    pub observed_at: DateTime<Utc>,
    /// Likes.
    pub likes: u64,
    /// Replies.
    pub replies: u64,
    /// Reposts without a text of their own.
    pub reposts: u64,
    /// Reposts with a text of their own.
    pub quotes: u64,
    /// Bookmarks, where X reports them.
    pub bookmarks: Option<u64>,
    /// Impressions, where X reports them.
    pub impressions: Option<u64>,
}

impl Recorded for MetricPoint {
    const FAMILY: &'static str = "metrics";
    const DOING: &'static str = "store metrics";
    const SQL: &'static str = sql!(
        2,
        "
        insert into post_metrics (environment, post_id, observed_at, likes, replies, reposts, quotes, bookmarks,
                                  impressions, version_ms, version_seq)
        select $1, post_id, observed_at, likes, replies, reposts, quotes, bookmarks, impressions,
               version_ms, version_seq
        from jsonb_to_recordset($2::jsonb)
             as r(post_id text, observed_at timestamptz, likes bigint, replies bigint, reposts bigint, quotes bigint,
                  bookmarks bigint, impressions bigint, version_ms bigint, version_seq bigint)
        on conflict (environment, post_id, observed_at) do update set
            likes = excluded.likes, replies = excluded.replies, reposts = excluded.reposts, quotes = excluded.quotes,
            bookmarks = excluded.bookmarks, impressions = excluded.impressions,
            version_ms = excluded.version_ms, version_seq = excluded.version_seq
        where (excluded.version_ms, excluded.version_seq) > (post_metrics.version_ms, post_metrics.version_seq)"
    );

    fn key(&self) -> String {
        format!("{}@{}", self.post_id, self.observed_at.timestamp_millis())
    }
}

impl FromRow<'_, PgRow> for MetricPoint {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            post_id: parsed(row, "post_id")?,
            observed_at: time(row, "observed_at")?,
            likes: count(row, "likes")?,
            replies: count(row, "replies")?,
            reposts: count(row, "reposts")?,
            quotes: count(row, "quotes")?,
            bookmarks: row.try_get::<Option<i64>, _>("bookmarks")?.map(unsigned),
            impressions: row.try_get::<Option<i64>, _>("impressions")?.map(unsigned),
        })
    }
}

/// What was published, and how it did. Written through [`Store::record`] or the hot state.
#[derive(Debug, Clone, Copy)]
pub struct Performance<'a>(pub(crate) &'a Store);

impl Store {
    /// What was published, and how it did.
    pub fn performance(&self) -> Performance<'_> {
        Performance(self)
    }
}

impl Performance<'_> {
    /// One published post.
    pub async fn post(&self, id: &PostId) -> Result<Option<PublishedPost>, StoreError> {
        query_as!(
            "select * from published_posts where environment = $1 and post_id = $2",
            self.0.env_name(),
            id.as_str()
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on("read a published post"))
    }

    /// What was published since a time, newest first.
    pub async fn published_since(&self, since: DateTime<Utc>, limit: u32) -> Result<Vec<PublishedPost>, StoreError> {
        readable_rows(
            "read published posts",
            query_as!(
                "select * from published_posts where environment = $1 and published_at >= $2
             order by published_at desc limit $3",
                self.0.env_name(),
                since,
                i64::from(limit)
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }

    /// The metrics of a post, oldest first; at most the latest `limit` points.
    pub async fn series(&self, id: &PostId, limit: u32) -> Result<Vec<MetricPoint>, StoreError> {
        readable_rows(
            "read metrics",
            query_as!(
                "select * from (
                 select * from post_metrics where environment = $1 and post_id = $2
                 order by observed_at desc limit $3
             ) latest order by observed_at",
                self.0.env_name(),
                id.as_str(),
                i64::from(limit)
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }
}
