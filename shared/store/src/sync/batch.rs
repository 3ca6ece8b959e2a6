//! A batch of entries as rows, and their way into the tables.

use perch_queue::EntryId;
use serde::Serialize;
use sqlx::{Acquire, PgConnection};

use super::{fold::JobUnit, rows::Rows};
use crate::{
    ActionRecord, ExtractionRecord, Family, MetricPoint, PickRecord, PickSighting, PostRecord, PublishedPost, Recorded,
    SpendRecord, StoreError,
    record::{Versioned, upsert},
};

/// Where a row came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub entry: EntryId,
    pub index: u32,
    pub field: String,
    pub value: String,
}

/// The rows of one batch. Its units do not depend on each other.
#[derive(Debug)]
pub(super) enum Batch {
    Jobs(Vec<JobUnit>, Box<Rows>),
    Hot(Vec<HotUnit>),
}

/// One record of the hot state.
#[derive(Debug, Clone)]
pub(super) struct HotUnit {
    row: HotRow,
    source: Source,
}

#[derive(Debug, Clone)]
enum HotRow {
    Post(Versioned<PostRecord>),
    Pick(Versioned<PickRecord>),
    Sighting(Versioned<PickSighting>),
    Action(Versioned<ActionRecord>),
    Published(Versioned<PublishedPost>),
    Metric(Versioned<MetricPoint>),
    Spend(Versioned<SpendRecord>),
    Extraction(Versioned<ExtractionRecord>),
}

impl HotUnit {
    /// Reads one field and value of the hot stream. The error says why it is none.
    pub fn read(source: Source) -> Result<Self, (Source, String)> {
        match HotRow::read(&source) {
            Ok(row) => Ok(Self { row, source }),
            Err(reason) => Err((source, reason)),
        }
    }
}

impl HotRow {
    fn read(source: &Source) -> Result<Self, String> {
        fn typed<T: Recorded>(source: &Source) -> Result<Versioned<T>, String> {
            let row = serde_json::from_str(&source.value).map_err(|error| error.to_string())?;
            Ok(Versioned::new(row, source.entry))
        }
        let word = source.field.split(' ').next().unwrap_or_default();
        let Some(family) = Family::parse(word) else {
            return Err(format!("{word:?} is no family that this release knows"));
        };
        match family {
            Family::Posts => typed(source).map(Self::Post),
            Family::Picks => typed(source).map(Self::Pick),
            Family::Sightings => typed(source).map(Self::Sighting),
            Family::Actions => typed(source).map(Self::Action),
            Family::Published => typed(source).map(Self::Published),
            Family::Metrics => typed(source).map(Self::Metric),
            Family::Spend => typed(source).map(Self::Spend),
            Family::Extractions => typed(source).map(Self::Extraction),
        }
    }
}

impl Batch {
    /// How many events or records it holds.
    pub fn len(&self) -> u64 {
        let n = match self {
            Self::Jobs(units, _) => units.iter().map(|unit| unit.events.len()).sum(),
            Self::Hot(units) => units.len(),
        };
        n as u64
    }

    /// Writes all rows; one that Postgres cannot hold fails the whole transaction.
    ///
    /// Events go by the connection `apart`, where there is one, while `conn` writes what they say of their jobs. They are kept
    /// whatever becomes of the transaction: read again, they are found to be there.
    pub async fn write(
        &self,
        conn: &mut PgConnection,
        apart: Option<&mut PgConnection>,
        env: &str,
    ) -> Result<(), StoreError> {
        match (self, apart) {
            (Self::Jobs(_, rows), Some(apart)) => {
                // The jobs first: they take longer.
                let (jobs, events) = tokio::join!(rows.write_jobs(conn), rows.add_events(apart));
                events.and(jobs)
            }
            (Self::Jobs(_, rows), None) => write_jobs(conn, rows).await,
            (Self::Hot(units), _) => write_hot(conn, env, units).await,
        }
    }

    /// Writes the units one by one; answers those that Postgres cannot hold, with its reason.
    pub async fn write_singly(&self, conn: &mut PgConnection, env: &str) -> Result<Vec<(Source, String)>, StoreError> {
        let mut refused = Vec::new();
        match self {
            Self::Jobs(units, _) => {
                for unit in units {
                    let rows = Rows::of(env, std::slice::from_ref(unit))?;
                    let mut savepoint = conn.begin().await.map_err(StoreError::on("set a savepoint"))?;
                    let written = write_jobs(&mut savepoint, &rows).await;
                    if let Some(reason) = keep_or_undo(savepoint, written).await? {
                        refused.extend(unit.sources.iter().map(|source| (source.clone(), reason.clone())));
                    }
                }
            }
            Self::Hot(units) => {
                for unit in units {
                    let mut savepoint = conn.begin().await.map_err(StoreError::on("set a savepoint"))?;
                    let written = write_hot(&mut savepoint, env, std::slice::from_ref(unit)).await;
                    if let Some(reason) = keep_or_undo(savepoint, written).await? {
                        refused.push((unit.source.clone(), reason));
                    }
                }
            }
        }
        Ok(refused)
    }
}

/// Ends a savepoint. Answers the reason when the values were at fault and what was written since is undone.
async fn keep_or_undo(
    savepoint: sqlx::Transaction<'_, sqlx::Postgres>,
    written: Result<(), StoreError>,
) -> Result<Option<String>, StoreError> {
    match written {
        Ok(()) => savepoint.commit().await.map_err(StoreError::on("release a savepoint")).map(|()| None),
        Err(error) if error.is_data() => {
            savepoint.rollback().await.map_err(StoreError::on("return to a savepoint"))?;
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

async fn write_jobs(conn: &mut PgConnection, rows: &Rows) -> Result<(), StoreError> {
    rows.write_events(&mut *conn).await?;
    rows.write_jobs(conn).await
}

async fn write_hot(conn: &mut PgConnection, env: &str, units: &[HotUnit]) -> Result<(), StoreError> {
    macro_rules! write {
        ($($variant:ident),*) => {$(
            let rows: Vec<_> = units
                .iter()
                .filter_map(|unit| match &unit.row {
                    HotRow::$variant(row) => Some(row.clone()),
                    _ => None,
                })
                .collect();
            upsert(&mut *conn, env, &rows).await?;
        )*};
    }
    write!(Post, Pick, Sighting, Action, Published, Metric, Spend, Extraction);
    Ok(())
}

/// A thing that could not be moved, as it is kept for a person.
#[derive(Debug, Clone, Serialize)]
struct RejectRow<'a> {
    ms: i64,
    seq: i64,
    idx: u32,
    field: &'a str,
    value: &'a str,
    reason: &'a str,
}

/// Bytes kept of a value that was put aside: enough for any payload that the API takes.
const REJECT_BYTES: usize = 1024 * 1024;

pub(super) async fn put_aside(
    conn: &mut PgConnection,
    env: &str,
    stream: &str,
    rejects: &[(Source, String)],
) -> Result<(), StoreError> {
    let rows: Vec<RejectRow<'_>> = rejects
        .iter()
        .map(|(source, reason)| RejectRow {
            ms: crate::record::signed(source.entry.ms),
            seq: crate::record::signed(source.entry.seq),
            idx: source.index,
            field: cut(&source.field),
            value: cut(&source.value),
            reason,
        })
        .collect();
    let text = serde_json::to_string(&rows)
        .map_err(|error| StoreError::Invalid { what: "a rejected entry", reason: error.to_string() })?;
    sqlx::query(
        "insert into sync_rejects (environment, stream, ms, seq, idx, field, value, reason)
         select $1, $3, ms, seq, idx, field, value, reason
         from jsonb_to_recordset($2::jsonb)
              as r(ms bigint, seq bigint, idx integer, field text, value text, reason text)
         on conflict do nothing",
    )
    .bind(env)
    .bind(crate::json::without_nul(&text).as_ref())
    .bind(stream)
    .execute(conn)
    .await
    .map(|_| ())
    .map_err(StoreError::on("put entries aside"))
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(REJECT_BYTES)]
}
