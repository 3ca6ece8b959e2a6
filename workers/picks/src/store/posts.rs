use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use perch_jobs::{Media, Post, PostId};
use perch_store::{
    Recorded, Store, StoreError, millis, query_as, query_scalar,
    row::{parsed, readable_rows, time, undecodable},
    sql,
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow};

/// A post that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostRecord {
    /// The post.
    pub post: Post,
    /// When it was read. Kept to the millisecond.
    #[serde(with = "millis")]
    pub read_at: DateTime<Utc>,
}

impl Recorded for PostRecord {
    const FAMILY: &'static str = "picks.posts";
    const DOING: &'static str = "store posts";
    const SQL: &'static str = sql!(
        2,
        "
        insert into picks.posts (environment, id, author_id, author, text, created_at, media, read_at, version_ms, version_seq)
        select $1, r.post ->> 'id', r.post ->> 'author_id', r.post ->> 'author', r.post ->> 'text',
               (r.post ->> 'created_at')::timestamptz, coalesce(r.post -> 'media', '[]'), r.read_at,
               r.version_ms, r.version_seq
        from jsonb_to_recordset($2::jsonb)
             as r(post jsonb, read_at timestamptz, version_ms bigint, version_seq bigint)
        on conflict (environment, id) do update set
            author_id = excluded.author_id, author = excluded.author, text = excluded.text,
            created_at = excluded.created_at, media = excluded.media, read_at = excluded.read_at,
            version_ms = excluded.version_ms, version_seq = excluded.version_seq
        where (excluded.version_ms, excluded.version_seq) > (posts.version_ms, posts.version_seq)"
    );

    fn key(&self) -> String {
        self.post.id.to_string()
    }
}

impl FromRow<'_, PgRow> for PostRecord {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let media: serde_json::Value = row.try_get("media")?;
        let media: Vec<Media> = serde_json::from_value(media).map_err(|error| undecodable("media", error))?;
        Ok(Self {
            post: Post {
                id: parsed(row, "id")?,
                author_id: row.try_get("author_id")?,
                author: row.try_get("author")?,
                text: row.try_get("text")?,
                created_at: time(row, "created_at")?,
                media,
            },
            read_at: time(row, "read_at")?,
        })
    }
}

/// The posts that were read. Written through [`Store::record`] or the hot state.
#[derive(Debug, Clone, Copy)]
pub struct Posts<'a>(pub(crate) &'a Store);

impl Posts<'_> {
    /// One post.
    pub async fn get(&self, id: &PostId) -> Result<Option<PostRecord>, StoreError> {
        query_as!(
            "select id, author_id, author, text, created_at, media, read_at
             from picks.posts where environment = $1 and id = $2",
            self.0.env().as_str(),
            id.as_str()
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read a post"))
    }

    /// The latest posts by the time they were posted, newest first; of one author, or of all.
    pub async fn latest(&self, author: Option<&str>, limit: u32) -> Result<Vec<PostRecord>, StoreError> {
        readable_rows(
            "read posts",
            query_as!(
                "select id, author_id, author, text, created_at, media, read_at
             from picks.posts where environment = $1 and ($2::text is null or author = $2)
             order by created_at desc limit $3",
                self.0.env().as_str(),
                author,
                i64::from(limit)
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Which of these posts were read before.
    pub async fn known(&self, ids: &[PostId]) -> Result<BTreeSet<PostId>, StoreError> {
        let doing = "look for posts";
        let ids: Vec<&str> = ids.iter().map(PostId::as_str).collect();
        let known: Vec<String> = query_scalar!(
            "select id from picks.posts where environment = $1 and id = any($2)",
            self.0.env().as_str(),
            &ids
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        let parsed = known.iter().map(|id| id.parse().map_err(|error| undecodable("id", error)));
        parsed.collect::<Result<_, sqlx::Error>>().map_err(StoreError::on(doing))
    }
}
