//! A batch of entries as rows, and writing them to the tables.

use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::{
    rows::{self, Insert},
    unit::{JobUnit, SourceField},
};
use crate::{
    Families, Store, StoreError,
    pool::{Session, Tx},
    record::{Family, RecordRow},
};

/// The rows of one batch. Its units do not depend on each other.
#[derive(Debug)]
pub(super) enum SyncBatch {
    Jobs(Box<JobBatch>),
    Hot(Vec<HotUnit>),
}

/// Jobs of one queue, whose events are already being written.
#[derive(Debug)]
pub(super) struct JobBatch {
    units: Vec<JobUnit>,
    jobs: Insert,
    /// The task that writes the events; false if it got no connection.
    events: JoinHandle<Result<bool, StoreError>>,
}

impl JobBatch {
    /// Builds the rows, and starts to write the events through a connection of their own, if one is free. They stay even if the
    /// transaction that writes the jobs fails: writing them again changes nothing.
    pub fn begin(store: &Store, units: Vec<JobUnit>) -> Result<Self, StoreError> {
        let events = rows::events(store.env_name(), &units)?;
        let jobs = rows::jobs(store.env_name(), &units)?;
        let events = tokio::spawn(send_ahead(store.clone(), events).in_current_span());
        Ok(Self { units, jobs, events })
    }

    /// Writes the jobs; once.
    async fn write(&mut self, tx: &mut Tx, env: &str) -> Result<(), StoreError> {
        let (jobs, events) = tokio::join!(std::mem::take(&mut self.jobs).write_jobs(&mut *tx), &mut self.events);
        let are_there =
            events.unwrap_or_else(|_| Err(StoreError::sql("store job events", sqlx::Error::WorkerCrashed)))?;
        jobs?;
        if are_there { Ok(()) } else { rows::events(env, &self.units)?.write_events(tx).await }
    }
}

async fn send_ahead(store: Store, events: Insert) -> Result<bool, StoreError> {
    match spare(&store).await {
        Some(mut session) => events.add_events(&mut session).await.map(|()| true),
        None => Ok(false),
    }
}

/// How long events wait for a connection of their own before they are written through that of their jobs.
const SPARE: Duration = Duration::from_millis(500);

/// A second connection, if the pool has a free one: syncs of different streams must not wait for each other. None behind a pooler in
/// transaction mode, which shares few sessions.
async fn spare(store: &Store) -> Option<Session> {
    if store.pool.most() < 2 || store.pool.is_by_transaction() {
        return None;
    }
    // In a task of its own, so that a connection that takes longer is ready for the next batch.
    let pool = store.pool.clone();
    let opening = tokio::spawn(async move { pool.acquire().await });
    tokio::time::timeout(SPARE, opening).await.ok()?.ok()?.ok()
}

/// One record of the hot state.
#[derive(Debug, Clone)]
pub(super) struct HotUnit {
    family: Family,
    row: RecordRow,
    source: SourceField,
}

impl HotUnit {
    /// Reads one field and value of the hot stream. The error says why they are not a record.
    pub fn read(source: SourceField, families: &Families) -> Result<Self, (SourceField, String)> {
        let word = source.field.split(' ').next().unwrap_or_default();
        let Some(family) = families.find(word) else {
            let reason = format!("{word:?} is no family that this release knows");
            return Err((source, reason));
        };
        match family.read(&source.value, source.version) {
            Ok(row) => Ok(Self { family, row, source }),
            Err(reason) => Err((source, reason)),
        }
    }
}

impl SyncBatch {
    /// How many events or records it holds.
    pub fn len(&self) -> u64 {
        let n = match self {
            Self::Jobs(batch) => batch.units.iter().map(|unit| unit.events.len()).sum(),
            Self::Hot(units) => units.len(),
        };
        n as u64
    }

    /// Writes all rows. May be called once. A value that Postgres cannot hold fails the whole transaction.
    pub async fn write(&mut self, tx: &mut Tx, store: &Store) -> Result<(), StoreError> {
        match self {
            Self::Jobs(batch) => batch.write(tx, store.env_name()).await,
            Self::Hot(units) => write_hot(tx, store, units).await,
        }
    }

    /// Writes the units one by one; returns those that Postgres cannot hold, with the reason.
    pub async fn write_singly(&self, tx: &mut Tx, store: &Store) -> Result<Vec<(SourceField, String)>, StoreError> {
        let mut refused = Vec::new();
        match self {
            Self::Jobs(batch) => {
                for unit in &batch.units {
                    savepoint(tx).await?;
                    let written = write_job(tx, store.env_name(), unit).await;
                    if let Some(reason) = keep_or_undo(tx, written).await? {
                        refused.extend(unit.sources.iter().map(|source| (source.clone(), reason.clone())));
                    }
                }
            }
            Self::Hot(units) => {
                for unit in units {
                    savepoint(tx).await?;
                    let written = write_hot(tx, store, std::slice::from_ref(unit)).await;
                    if let Some(reason) = keep_or_undo(tx, written).await? {
                        refused.push((unit.source.clone(), reason));
                    }
                }
            }
        }
        Ok(refused)
    }
}

/// Sets the savepoint to which [`keep_or_undo`] returns.
async fn savepoint(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::raw_sql("savepoint unit").execute(tx).await.map(|_| ()).map_err(StoreError::on("set a savepoint"))
}

/// Ends the savepoint. If the values were at fault, rolls back to it and returns the reason.
async fn keep_or_undo(tx: &mut Tx, written: Result<(), StoreError>) -> Result<Option<String>, StoreError> {
    match written {
        Ok(()) => {
            let released = sqlx::raw_sql("release savepoint unit").execute(tx).await;
            released.map(|_| None).map_err(StoreError::on("release a savepoint"))
        }
        Err(error) if error.is_data() => {
            let undone = sqlx::raw_sql("rollback to savepoint unit; release savepoint unit").execute(tx).await;
            undone.map_err(StoreError::on("return to a savepoint"))?;
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

async fn write_job(tx: &mut Tx, env: &str, unit: &JobUnit) -> Result<(), StoreError> {
    let unit = std::slice::from_ref(unit);
    rows::events(env, unit)?.write_events(&mut *tx).await?;
    rows::jobs(env, unit)?.write_jobs(tx).await
}

async fn write_hot(tx: &mut Tx, store: &Store, units: &[HotUnit]) -> Result<(), StoreError> {
    for family in store.records.iter() {
        let rows: Vec<RecordRow> =
            units.iter().filter(|unit| unit.family == family).map(|unit| unit.row.clone()).collect();
        family.write(&mut *tx, store.env_name(), &rows).await?;
    }
    Ok(())
}
