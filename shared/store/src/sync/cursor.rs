//! The cursor of each stream, stored in Postgres: it moves in the transaction that writes the entries.

use std::collections::HashMap;

use perch_queue::EntryId;

use super::stream::{Continuity, Position};
use crate::{Store, StoreError, pool::Tx, query, query_as, record::signed, row::unsigned};

/// The positions of all streams of the environment that have one.
pub(super) async fn load(store: &Store) -> Result<HashMap<String, Position>, StoreError> {
    let rows: Vec<(String, i64, i64, i64, i64, i64)> = query_as!(
        "select stream, ms, seq, ordinal, version_ms, version_seq from sync_cursors where environment = $1",
        store.env_name()
    )
    .fetch_all(&store.pool)
    .await
    .map_err(StoreError::on("read the cursors"))?;
    let entry = |ms, seq| EntryId { ms: unsigned(ms), seq: unsigned(seq) };
    Ok(rows
        .into_iter()
        .map(|(stream, ms, seq, ordinal, version_ms, version_seq)| {
            let id = entry(ms, seq);
            (stream, Position { id, ordinal, version: entry(version_ms, version_seq).max(id) })
        })
        .collect())
}

/// The position of one stream.
pub(super) async fn one(store: &Store, stream: &str) -> Result<Position, StoreError> {
    Ok(load(store).await?.remove(stream).unwrap_or_default())
}

/// Moves a cursor; false when another sync has moved it in the meantime. Locks the row until the transaction ends,
/// so two syncs of one stream write one after the other.
pub(super) async fn advance(
    tx: &mut Tx,
    env: &str,
    stream: &str,
    from: Position,
    to: Position,
    continuity: Continuity,
) -> Result<bool, StoreError> {
    let doing = "move a cursor";
    let (gaps, lost) = match continuity {
        Continuity::Gap(lost) => (1i64, signed(lost)),
        Continuity::Unbroken | Continuity::Restarted => (0, 0),
    };
    query!("insert into sync_cursors (environment, stream) values ($1, $2) on conflict do nothing", env, stream)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on(doing))?;
    let moved = query!(
        "update sync_cursors
         set ms = $5, seq = $6, ordinal = $7, gaps = gaps + $8, lost_entries = lost_entries + $9, updated_at = now(),
             version_ms = $10, version_seq = $11
         where environment = $1 and stream = $2 and ms = $3 and seq = $4",
        env,
        stream,
        signed(from.id.ms),
        signed(from.id.seq),
        signed(to.id.ms),
        signed(to.id.seq),
        to.ordinal,
        gaps,
        lost,
        signed(to.version.ms),
        signed(to.version.seq)
    )
    .execute(tx)
    .await
    .map_err(StoreError::on(doing))?;
    Ok(moved.rows_affected() == 1)
}
