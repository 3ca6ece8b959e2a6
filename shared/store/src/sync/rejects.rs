//! Events and records that cannot be stored go into the table `sync_rejects`, for a person to look at.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::unit::SourceField;
use crate::{
    Store, StoreError,
    pool::Tx,
    query, query_as,
    record::signed,
    row::{Moment, readable_rows},
};

/// An event or record that could not be stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct SyncReject {
    /// The stream.
    pub stream: String,
    /// Its field in the entry.
    pub field: String,
    /// Its value, at most 1 MiB of it.
    pub value: String,
    /// Why.
    pub reason: String,
    /// When it was put aside.
    #[sqlx(try_from = "Moment")]
    pub rejected_at: DateTime<Utc>,
}

/// A row of `sync_rejects`.
#[derive(Debug, Clone, Serialize)]
struct RejectRow<'a> {
    ms: i64,
    seq: i64,
    idx: u32,
    field: &'a str,
    value: &'a str,
    reason: &'a str,
}

/// Bytes kept of a rejected value: enough for any payload that the API accepts.
const REJECT_BYTES: usize = 1024 * 1024;

pub(super) async fn put_aside(
    tx: &mut Tx,
    env: &str,
    stream: &str,
    rejects: &[(SourceField, String)],
) -> Result<(), StoreError> {
    let rows: Vec<RejectRow<'_>> = rejects
        .iter()
        .map(|(source, reason)| RejectRow {
            ms: signed(source.entry.ms),
            seq: signed(source.entry.seq),
            idx: source.index,
            field: cut(&source.field),
            value: cut(&source.value),
            reason,
        })
        .collect();
    let text = serde_json::to_string(&rows)
        .map_err(|error| StoreError::Invalid { what: "a rejected entry", reason: error.to_string() })?;
    query!(
        "insert into sync_rejects (environment, stream, ms, seq, idx, field, value, reason)
         select $1, $3, ms, seq, idx, field, value, reason
         from jsonb_to_recordset($2::jsonb)
              as r(ms bigint, seq bigint, idx integer, field text, value text, reason text)
         on conflict do nothing",
        env,
        crate::json::without_nul(&text).as_ref(),
        stream
    )
    .execute(tx)
    .await
    .map(|_| ())
    .map_err(StoreError::on("put entries aside"))
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(REJECT_BYTES)]
}

impl Store {
    /// What the sync could not store, newest first.
    pub async fn sync_rejects(&self, limit: u32) -> Result<Vec<SyncReject>, StoreError> {
        readable_rows(
            "read what the sync put aside",
            query_as!(
                "select stream, field, value, reason, rejected_at
             from sync_rejects where environment = $1 order by rejected_at desc, ms desc, seq desc, idx desc limit $2",
                self.env_name(),
                i64::from(limit)
            )
            .fetch_all(&self.pool),
        )
        .await
    }
}
