//! Writing one batch in one transaction: its rows, its rejects, and the move of the cursor.

use tracing::Instrument as _;

use super::{
    batch::SyncBatch,
    cursor,
    rejects::put_aside,
    stream::{Continuity, Position},
    unit::SourceField,
};
use crate::{Store, StoreError, pool::Tx};

/// One move of a cursor.
pub(super) struct CursorMove {
    pub stream: String,
    pub from: Position,
    pub to: Position,
    pub continuity: Continuity,
}

/// As [`write`], in a task of its own, so that the next batch can be read meanwhile.
pub(super) async fn written(
    store: Store,
    step: CursorMove,
    mut batch: SyncBatch,
    rejects: Vec<(SourceField, String)>,
) -> Result<Option<u64>, StoreError> {
    let task = tokio::spawn(async move { write(&store, &step, &mut batch, rejects).await }.in_current_span());
    task.await.unwrap_or_else(|_| Err(StoreError::sql("write a batch", sqlx::Error::WorkerCrashed)))
}

/// Writes a batch and moves the cursor. Returns the number of rejects, or `None` when another sync was faster.
async fn write(
    store: &Store,
    step: &CursorMove,
    batch: &mut SyncBatch,
    mut rejects: Vec<(SourceField, String)>,
) -> Result<Option<u64>, StoreError> {
    let env = store.env_name();
    let Some(mut tx) = begin(store, step).await? else { return Ok(None) };
    match batch.write(&mut tx, store).await {
        Ok(()) => {}
        Err(error) if error.is_data() => {
            tracing::warn!(stream = step.stream, %error, "a batch holds values that cannot be stored");
            tx.rollback().await.map_err(StoreError::on("roll back a batch"))?;
            let Some(again) = begin(store, step).await? else { return Ok(None) };
            tx = again;
            rejects.extend(batch.write_singly(&mut tx, store).await?);
        }
        Err(error) => return Err(error),
    }
    if !rejects.is_empty() {
        put_aside(&mut tx, env, &step.stream, &rejects).await?;
    }
    tx.commit().await.map_err(StoreError::on("commit a batch"))?;
    Ok(Some(rejects.len() as u64))
}

async fn begin(store: &Store, step: &CursorMove) -> Result<Option<Tx>, StoreError> {
    let mut tx = store.pool.begin().await.map_err(StoreError::on("begin a batch"))?;
    let CursorMove { stream, from, to, continuity } = step;
    let moved = cursor::advance(&mut tx, store.env_name(), stream, *from, *to, *continuity).await?;
    Ok(moved.then_some(tx))
}
