//! The table `heartbeat.beats`.

use chrono::{DateTime, Utc};
use perch_bot::http::{Page, Paging};
use perch_jobs::JobId;
use perch_store::{Store, StoreError, row};
use serde::Serialize;
use sqlx::{FromRow, Row as _};
use utoipa::ToSchema;

/// One beat.
#[derive(Debug, Clone, Serialize, FromRow, ToSchema)]
pub struct Beat {
    /// When.
    pub at: DateTime<Utc>,
    /// What it said.
    pub word: String,
}

/// Writes the beat of a job, unless it is there already.
pub async fn beat(store: &Store, job: JobId, word: &str) -> Result<(), StoreError> {
    sqlx::query("insert into heartbeat.beats (environment, job, word) values ($1, $2, $3) on conflict do nothing")
        .bind(store.env().as_str())
        .bind(job.to_string())
        .bind(word)
        .execute(store.pool())
        .await
        .map_err(StoreError::on("write a beat"))?;
    Ok(())
}

/// The beats, the newest first, page by page. Ids of jobs grow with time.
pub async fn beats(store: &Store, paging: &Paging) -> Result<Page<Beat>, StoreError> {
    const LIST: &str = "beats";
    let doing = "read the beats";
    let before: Option<String> = paging.place(LIST)?;
    let rows = sqlx::query(
        "select job, at, word from heartbeat.beats
         where environment = $1 and ($2::text is null or job < $2) order by job desc limit $3",
    )
    .bind(store.env().as_str())
    .bind(before)
    .bind(paging.rows())
    .fetch_all(store.pool())
    .await
    .map_err(StoreError::on(doing))?;
    row::page(doing, LIST, paging, rows, |row| row.try_get::<String, _>("job"))
}

/// Removes what is older; answers how many.
pub async fn prune(store: &Store, older_than: DateTime<Utc>) -> Result<u64, StoreError> {
    let gone = sqlx::query("delete from heartbeat.beats where environment = $1 and at < $2")
        .bind(store.env().as_str())
        .bind(older_than)
        .execute(store.pool())
        .await
        .map_err(StoreError::on("prune the beats"))?;
    Ok(gone.rows_affected())
}
