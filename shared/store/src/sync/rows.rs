//! Rows of jobs and events, and the statements that write them.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use perch_jobs::Priority;
use serde_json::value::{RawValue, Value};
use sqlx::{Arguments as _, AssertSqlSafe, Encode, PgExecutor, Postgres, Type, postgres::PgArguments};

use super::unit::{EventRow, JobRow, JobUnit};
use crate::{StoreError, json, pool::Session};

/// An insert of rows of one queue, with an array for each column. In large batches, a column that is null in all rows is left out and
/// takes its default: each array costs Postgres time, and in most batches half the columns are empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Insert {
    table: &'static str,
    arguments: PgArguments,
    columns: Vec<Column>,
}

/// Batches with fewer rows than this have all columns, so that all small batches share one statement.
const MANY: usize = 200;

/// A column, the type of its array, and the expression that is selected, with a default in place of null where it needs one.
#[derive(Debug, Clone, Copy)]
struct Column(&'static str, &'static str, &'static str);

impl Insert {
    fn new(table: &'static str, env: &str, queue: &str) -> Result<Self, sqlx::Error> {
        let mut arguments = PgArguments::default();
        arguments.add(env).map_err(sqlx::Error::Encode)?;
        arguments.add(queue).map_err(sqlx::Error::Encode)?;
        Ok(Self { table, arguments, columns: Vec::new() })
    }

    fn add<'q, T>(&mut self, column: Column, values: Vec<Option<T>>) -> Result<(), sqlx::Error>
    where
        Vec<Option<T>>: Encode<'q, Postgres> + Type<Postgres>,
    {
        let is_few = (1..MANY).contains(&values.len());
        if is_few || values.iter().any(Option::is_some) {
            self.arguments.add(values).map_err(sqlx::Error::Encode)?;
            self.columns.push(column);
        }
        Ok(())
    }

    /// Writes events through a session that is in no transaction. Postgres has some of them already only after a crash, so `on conflict`
    /// is used only then: it would cost a third of the time.
    pub async fn add_events(self, session: &mut Session) -> Result<(), StoreError> {
        match self.clone().run(&mut *session, "").await {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => self.write_events(session).await,
            added => added.map_err(StoreError::on("store job events")),
        }
    }

    /// Writes the events that Postgres does not have yet.
    pub async fn write_events(self, conn: impl PgExecutor<'_>) -> Result<(), StoreError> {
        self.run(conn, " on conflict do nothing").await.map_err(StoreError::on("store job events"))
    }

    /// Merges what the events say into their jobs.
    pub async fn write_jobs(self, conn: impl PgExecutor<'_>) -> Result<(), StoreError> {
        self.run(conn, MERGE_JOBS).await.map_err(StoreError::on("store jobs"))
    }

    async fn run(self, conn: impl PgExecutor<'_>, on_conflict: &'static str) -> Result<(), sqlx::Error> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let sql = AssertSqlSafe(self.text(on_conflict));
        sqlx::query_with(sql, self.arguments).execute(conn).await.map(|_| ())
    }

    fn text(&self, on_conflict: &'static str) -> String {
        let list = |what: fn(&Column) -> &'static str| self.columns.iter().map(what).collect::<Vec<_>>().join(", ");
        let (names, selected) = (list(|column| column.0), list(|column| column.2));
        let arrays = (3..).zip(&self.columns).map(|(n, column)| format!("${n}::{}[]", column.1)).collect::<Vec<_>>();
        format!(
            "insert into {} (environment, queue, {names}) select $1, $2, {selected} from unnest({}) as r({names}){on_conflict}",
            self.table,
            arrays.join(", ")
        )
    }
}

/// The events of some jobs of one queue.
pub(super) fn events(env: &str, units: &[JobUnit]) -> Result<Insert, StoreError> {
    events_of(env, units).map_err(StoreError::on("encode job events"))
}

/// The jobs of some events, all of one queue.
pub(super) fn jobs(env: &str, units: &[JobUnit]) -> Result<Insert, StoreError> {
    jobs_of(env, units).map_err(StoreError::on("encode jobs"))
}

fn events_of(env: &str, units: &[JobUnit]) -> Result<Insert, sqlx::Error> {
    let mut events: Vec<&EventRow> = units.iter().flat_map(|unit| &unit.events).collect();
    // In a fixed order, so that two writers never deadlock.
    events.sort_unstable_by_key(|event| (event.ms, event.seq, event.idx));
    let events = events.as_slice();
    let texts = |value: fn(&EventRow) -> Option<&str>| values(events, |event| value(event).map(without_nul));
    let mut insert = Insert::new("job_events", env, queue_of(units))?;
    insert.add(Column("ms", "bigint", "ms"), values(events, |event| Some(event.ms)))?;
    insert.add(Column("seq", "bigint", "seq"), values(events, |event| Some(event.seq)))?;
    insert.add(Column("idx", "bigint", "idx::integer"), values(events, |event| Some(i64::from(event.idx))))?;
    insert.add(Column("job_id", "text", "job_id"), values(events, |event| Some(event.job_id.as_str())))?;
    insert.add(Column("kind", "text", "kind"), values(events, |event| Some(event.kind)))?;
    insert.add(Column("at", "timestamptz", "at"), values(events, |event| Some(event.at)))?;
    insert
        .add(Column("attempt", "bigint", "attempt::integer"), values(events, |event| event.attempt.map(i64::from)))?;
    insert.add(Column("worker", "text", "worker"), texts(|event| event.worker.as_deref()))?;
    insert.add(Column("duration_ms", "bigint", "duration_ms"), values(events, |event| event.duration_ms))?;
    insert.add(Column("error", "text", "error"), texts(|event| event.error.as_deref()))?;
    insert.add(Column("next_run", "timestamptz", "next_run"), values(events, |event| event.next_run))?;
    insert.add(Column("trace", "text", "trace"), texts(|event| event.trace.as_deref()))?;
    let results = values(events, |event| event.result.as_ref().map(storable_text));
    insert.add(Column("result", "text", "result::jsonb"), results)?;
    insert.add(Column("actor", "text", "actor"), texts(|event| event.actor.as_deref()))?;
    Ok(insert)
}

fn queue_of(units: &[JobUnit]) -> &str {
    units.first().map_or("", |unit| unit.row.queue.as_str())
}

fn values<'a, R, T>(rows: &[&'a R], value: impl Fn(&'a R) -> Option<T>) -> Vec<Option<T>> {
    rows.iter().map(|row| value(row)).collect()
}

fn storable_text(result: &Value) -> String {
    json::without_nul(&result.to_string()).into_owned()
}

/// `text` with every U+0000 in it, which Postgres cannot hold, replaced by U+FFFD.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

fn jobs_of(env: &str, units: &[JobUnit]) -> Result<Insert, sqlx::Error> {
    let mut jobs: Vec<&JobRow> = units.iter().map(|unit| &unit.row).collect();
    // In a fixed order, as above.
    jobs.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let texts = |value: fn(&JobRow) -> Option<&str>| values(&jobs, |job| value(job).map(without_nul));
    let numbers = |value: fn(&JobRow) -> Option<u32>| values(&jobs, |job| value(job).map(i64::from));
    let times = |value: fn(&JobRow) -> Option<DateTime<Utc>>| values(&jobs, value);
    let documents = |value: fn(&JobRow) -> Option<&RawValue>| -> Vec<Option<Cow<'_, str>>> {
        values(&jobs, |job| value(job).map(|raw| json::without_nul(raw.get())))
    };
    let mut insert = Insert::new("jobs", env, queue_of(units))?;
    insert.add(Column("id", "text", "id"), values(&jobs, |job| Some(job.id.as_str())))?;
    insert.add(Column("kind", "text", "kind"), texts(|job| job.kind.as_deref()))?;
    insert.add(Column("state", "text", "state"), values(&jobs, |job| Some(job.state.as_str())))?;
    insert.add(
        Column("priority", "text", "coalesce(priority, 'normal')"),
        texts(|job| job.priority.map(Priority::as_str)),
    )?;
    insert.add(Column("payload", "text", "payload::jsonb"), documents(|job| job.payload.as_deref()))?;
    insert.add(Column("envelope", "text", "envelope::jsonb"), documents(|job| job.envelope.as_deref()))?;
    insert.add(Column("group_key", "text", "group_key"), texts(|job| job.group_key.as_deref()))?;
    insert.add(Column("parent", "text", "parent"), texts(|job| job.parent.as_deref()))?;
    insert.add(Column("max_attempts", "bigint", "max_attempts::integer"), numbers(|job| job.max_attempts))?;
    insert.add(Column("run_at", "timestamptz", "run_at"), times(|job| job.run_at))?;
    insert.add(Column("created_at", "timestamptz", "created_at"), times(|job| Some(job.created_at)))?;
    insert.add(Column("started_at", "timestamptz", "started_at"), times(|job| job.started_at))?;
    insert.add(Column("finished_at", "timestamptz", "finished_at"), times(|job| job.finished_at))?;
    insert.add(Column("attempts", "bigint", "coalesce(attempts, 0)::integer"), numbers(|job| job.attempts))?;
    insert.add(Column("replays", "bigint", "coalesce(replays, 0)::integer"), numbers(|job| job.replays))?;
    insert.add(Column("worker", "text", "worker"), texts(|job| job.worker.as_deref()))?;
    insert.add(Column("last_error", "text", "last_error"), texts(|job| job.last_error.as_deref()))?;
    let results = values(&jobs, |job| job.result.as_ref().map(storable_text));
    insert.add(Column("result", "text", "result::jsonb"), results)?;
    insert.add(Column("traceparent", "text", "traceparent"), texts(|job| job.traceparent.as_deref()))?;
    insert.add(Column("changed_at", "timestamptz", "changed_at"), times(|job| Some(job.changed_at)))?;
    insert.add(Column("version_ms", "bigint", "version_ms"), values(&jobs, |job| Some(job.version_ms)))?;
    insert.add(Column("version_seq", "bigint", "version_seq"), values(&jobs, |job| Some(job.version_seq)))?;
    Ok(insert)
}

// Columns that the batch does not know stay as they are. There is no join with the old row, because its plan would depend on the
// statistics of a table that may have been empty a moment ago. For columns that cannot be null, another column tells whether the batch
// knows them: `max_attempts` is set whenever an envelope was read, and a worker whenever zero is the real count of attempts.
const MERGE_JOBS: &str = "
    on conflict (environment, id) do update set
        queue = excluded.queue, kind = coalesce(excluded.kind, jobs.kind), state = excluded.state,
        priority = case when excluded.max_attempts is null then jobs.priority else excluded.priority end,
        payload = case when excluded.envelope is null then jobs.payload else excluded.payload end,
        envelope = coalesce(excluded.envelope, jobs.envelope), group_key = coalesce(excluded.group_key, jobs.group_key),
        parent = coalesce(excluded.parent, jobs.parent), max_attempts = coalesce(excluded.max_attempts, jobs.max_attempts),
        run_at = coalesce(excluded.run_at, jobs.run_at), created_at = least(excluded.created_at, jobs.created_at),
        started_at = coalesce(excluded.started_at, jobs.started_at), finished_at = excluded.finished_at,
        attempts = case when excluded.attempts = 0 and excluded.worker is null then jobs.attempts
                        else excluded.attempts end,
        replays = case when excluded.max_attempts is null then jobs.replays else excluded.replays end,
        worker = coalesce(excluded.worker, jobs.worker), last_error = coalesce(excluded.last_error, jobs.last_error),
        result = coalesce(excluded.result, jobs.result), traceparent = coalesce(excluded.traceparent, jobs.traceparent),
        changed_at = excluded.changed_at, version_ms = excluded.version_ms, version_seq = excluded.version_seq
    where (excluded.version_ms, excluded.version_seq) > (jobs.version_ms, jobs.version_seq)";
