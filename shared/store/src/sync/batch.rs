//! A batch of entries as rows, and their way into the tables.

use perch_queue::EntryId;
use serde::Serialize;
use sqlx::{Acquire, PgConnection};

use super::fold::{EventRow, JobRow, JobUnit};
use crate::{
    ActionRecord, Family, MetricPoint, PickRecord, PickSighting, PostRecord, PublishedPost, Recorded, StoreError,
    record::{Versioned, execute_json, upsert},
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
    Jobs(Vec<JobUnit>),
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
        }
    }
}

impl Batch {
    /// How many events or records it holds.
    pub fn len(&self) -> u64 {
        let n = match self {
            Self::Jobs(units) => units.iter().map(|unit| unit.events.len()).sum(),
            Self::Hot(units) => units.len(),
        };
        n as u64
    }

    /// Writes all rows; one that Postgres cannot hold fails the whole transaction.
    pub async fn write(&self, conn: &mut PgConnection, env: &str) -> Result<(), StoreError> {
        match self {
            Self::Jobs(units) => write_jobs(conn, env, &units.iter().collect::<Vec<_>>()).await,
            Self::Hot(units) => write_hot(conn, env, units).await,
        }
    }

    /// Writes the units one by one; answers those that Postgres cannot hold, with its reason.
    pub async fn write_singly(&self, conn: &mut PgConnection, env: &str) -> Result<Vec<(Source, String)>, StoreError> {
        let mut refused = Vec::new();
        match self {
            Self::Jobs(units) => {
                for unit in units {
                    let mut savepoint = conn.begin().await.map_err(StoreError::on("set a savepoint"))?;
                    let written = write_jobs(&mut savepoint, env, &[unit]).await;
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
    write!(Post, Pick, Sighting, Action, Published, Metric);
    Ok(())
}

async fn write_jobs(conn: &mut PgConnection, env: &str, units: &[&JobUnit]) -> Result<(), StoreError> {
    let events: Vec<&EventRow> = units.iter().flat_map(|unit| &unit.events).collect();
    if events.is_empty() {
        return Ok(());
    }
    execute_json(&mut *conn, "store job events", INSERT_EVENTS, env, &events).await?;
    let mut rows: Vec<&JobRow> = units.iter().map(|unit| &unit.row).collect();
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    execute_json(conn, "store jobs", UPSERT_JOBS, env, &rows).await.map(|_| ())
}

const INSERT_EVENTS: &str = "
    insert into job_events (environment, queue, ms, seq, idx, job_id, kind, at, attempt, worker, duration_ms, error,
                            next_run, trace, result, actor)
    select $1, queue, ms, seq, idx, job_id, kind, at, attempt, worker, duration_ms, error, next_run, trace,
           nullif(result, 'null'), actor
    from jsonb_to_recordset($2::jsonb)
         as r(queue text, ms bigint, seq bigint, idx integer, job_id text, kind text, at timestamptz, attempt integer,
              worker text, duration_ms bigint, error text, next_run timestamptz, trace text, result jsonb, actor text)
    on conflict do nothing";

// What the batch does not say is taken from the row as it stands.
const UPSERT_JOBS: &str = "
    insert into jobs (environment, id, queue, kind, state, priority, payload, envelope, group_key, parent, max_attempts,
                      run_at, created_at, started_at, finished_at, attempts, replays, worker, last_error, result,
                      traceparent, changed_at, version_ms, version_seq)
    select $1, r.id, r.queue, coalesce(r.kind, old.kind), r.state, coalesce(r.priority, old.priority, 'normal'),
           case when r.envelope is null then old.payload else r.payload end, coalesce(r.envelope, old.envelope),
           coalesce(r.group_key, old.group_key), coalesce(r.parent, old.parent),
           coalesce(r.max_attempts, old.max_attempts), coalesce(r.run_at, old.run_at),
           least(r.created_at, old.created_at), coalesce(r.started_at, old.started_at), r.finished_at,
           coalesce(r.attempts, old.attempts, 0), coalesce(r.replays, old.replays, 0), coalesce(r.worker, old.worker),
           coalesce(r.last_error, old.last_error), coalesce(nullif(r.result, 'null'), old.result),
           coalesce(r.traceparent, old.traceparent), r.changed_at, r.version_ms, r.version_seq
    from jsonb_to_recordset($2::jsonb)
         as r(id text, queue text, kind text, state text, priority text, payload jsonb, envelope jsonb, group_key text,
              parent text, max_attempts integer, run_at timestamptz, created_at timestamptz, started_at timestamptz,
              finished_at timestamptz, attempts integer, replays integer, worker text, last_error text, result jsonb,
              traceparent text, changed_at timestamptz, version_ms bigint, version_seq bigint)
    left join jobs old on old.environment = $1 and old.id = r.id
    on conflict (environment, id) do update set
        queue = excluded.queue, kind = excluded.kind, state = excluded.state, priority = excluded.priority,
        payload = excluded.payload, envelope = excluded.envelope, group_key = excluded.group_key,
        parent = excluded.parent, max_attempts = excluded.max_attempts, run_at = excluded.run_at,
        created_at = excluded.created_at, started_at = excluded.started_at, finished_at = excluded.finished_at,
        attempts = excluded.attempts, replays = excluded.replays, worker = excluded.worker,
        last_error = excluded.last_error, result = excluded.result, traceparent = excluded.traceparent,
        changed_at = excluded.changed_at, version_ms = excluded.version_ms, version_seq = excluded.version_seq
    where (excluded.version_ms, excluded.version_seq) > (jobs.version_ms, jobs.version_seq)";

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
