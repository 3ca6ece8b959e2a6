//! The table `heartbeat.beats`.

use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use perch_store::{Store, StoreError};
use serde::Serialize;
use sqlx::FromRow;
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

/// The latest, newest first.
pub async fn latest(store: &Store, limit: i64) -> Result<Vec<Beat>, StoreError> {
    sqlx::query_as("select at, word from heartbeat.beats where environment = $1 order by at desc limit $2")
        .bind(store.env().as_str())
        .bind(limit)
        .fetch_all(store.pool())
        .await
        .map_err(StoreError::on("read the beats"))
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
