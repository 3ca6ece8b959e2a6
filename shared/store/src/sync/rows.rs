//! Rows of jobs and events, and the statements that write them.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::value::{RawValue, Value};
use sqlx::PgConnection;

use super::fold::{EventRow, JobRow, JobUnit};
use crate::{StoreError, json};

/// Writes the events, but for those that Postgres has already.
pub(super) async fn write_events(conn: &mut PgConnection, env: &str, units: &[JobUnit]) -> Result<(), StoreError> {
    insert_events(conn, env, &events_of(units), MISSING_EVENTS).await.map_err(StoreError::on("store job events"))
}

/// The same by a connection that is in no transaction. Postgres has some already only after a crash; to ask it for each
/// event costs a third of the time.
pub(super) async fn add_events(conn: &mut PgConnection, env: &str, units: &[JobUnit]) -> Result<(), StoreError> {
    let events = events_of(units);
    let inserted = match insert_events(&mut *conn, env, &events, EVENTS).await {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            insert_events(conn, env, &events, MISSING_EVENTS).await
        }
        inserted => inserted,
    };
    inserted.map_err(StoreError::on("store job events"))
}

fn events_of(units: &[JobUnit]) -> Vec<&EventRow> {
    let mut events: Vec<&EventRow> = units.iter().flat_map(|unit| &unit.events).collect();
    // In one order, so that two writers never wait for each other.
    events.sort_unstable_by_key(|event| (event.ms, event.seq, event.idx));
    events
}

async fn insert_events(
    conn: &mut PgConnection,
    env: &str,
    events: &[&EventRow],
    statement: &'static str,
) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let texts = |value: fn(&EventRow) -> Option<&str>| column(events, |event| value(event).map(without_nul));
    sqlx::query(statement)
        .bind(env)
        .bind(column(events, |event| event.queue.as_str()))
        .bind(column(events, |event| event.ms))
        .bind(column(events, |event| event.seq))
        .bind(column(events, |event| i64::from(event.idx)))
        .bind(column(events, |event| event.job_id.as_str()))
        .bind(column(events, |event| event.kind))
        .bind(column(events, |event| event.at))
        .bind(column(events, |event| event.attempt.map(i64::from)))
        .bind(texts(|event| event.worker.as_deref()))
        .bind(column(events, |event| event.duration_ms))
        .bind(texts(|event| event.error.as_deref()))
        .bind(column(events, |event| event.next_run))
        .bind(texts(|event| event.trace.as_deref()))
        .bind(column(events, |event| event.result.as_ref().map(storable_text)))
        .bind(texts(|event| event.actor.as_deref()))
        .execute(conn)
        .await
        .map(|_| ())
}

fn column<'a, R, T>(rows: &[&'a R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}

fn storable_text(result: &Value) -> String {
    json::without_nul(&result.to_string()).into_owned()
}

/// `text` with every U+0000 in it, which Postgres cannot hold, replaced by U+FFFD.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Writes what events say of their jobs.
pub(super) async fn write_jobs(conn: &mut PgConnection, env: &str, units: &[JobUnit]) -> Result<(), StoreError> {
    let mut jobs: Vec<&JobRow> = units.iter().map(|unit| &unit.row).collect();
    if jobs.is_empty() {
        return Ok(());
    }
    // In one order, as above.
    jobs.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let texts = |value: fn(&JobRow) -> Option<&str>| column(&jobs, |job| value(job).map(without_nul));
    let numbers = |value: fn(&JobRow) -> Option<u32>| column(&jobs, |job| value(job).map(i64::from));
    let times = |value: fn(&JobRow) -> Option<DateTime<Utc>>| column(&jobs, value);
    let documents = |value: fn(&JobRow) -> Option<&RawValue>| -> Vec<Option<Cow<'_, str>>> {
        column(&jobs, |job| value(job).map(|raw| json::without_nul(raw.get())))
    };
    sqlx::query(UPSERT_JOBS)
        .bind(env)
        .bind(column(&jobs, |job| job.id.as_str()))
        .bind(column(&jobs, |job| job.queue.as_str()))
        .bind(texts(|job| job.kind.as_deref()))
        .bind(column(&jobs, |job| job.state.as_str()))
        .bind(texts(|job| job.priority))
        .bind(documents(|job| job.payload.as_deref()))
        .bind(documents(|job| job.envelope.as_deref()))
        .bind(texts(|job| job.group_key.as_deref()))
        .bind(texts(|job| job.parent.as_deref()))
        .bind(numbers(|job| job.max_attempts))
        .bind(times(|job| job.run_at))
        .bind(times(|job| Some(job.created_at)))
        .bind(times(|job| job.started_at))
        .bind(times(|job| job.finished_at))
        .bind(numbers(|job| job.attempts))
        .bind(numbers(|job| job.replays))
        .bind(texts(|job| job.worker.as_deref()))
        .bind(texts(|job| job.last_error.as_deref()))
        .bind(column(&jobs, |job| job.result.as_ref().map(storable_text)))
        .bind(texts(|job| job.traceparent.as_deref()))
        .bind(times(|job| Some(job.changed_at)))
        .bind(column(&jobs, |job| job.version_ms))
        .bind(column(&jobs, |job| job.version_seq))
        .execute(conn)
        .await
        .map(|_| ())
        .map_err(StoreError::on("store jobs"))
}

macro_rules! insert_events {
    ($on_conflict:literal) => {
        concat!(
            "insert into job_events (environment, queue, ms, seq, idx, job_id, kind, at, attempt, worker, duration_ms, error,
                                     next_run, trace, result, actor)
             select $1, queue, ms, seq, idx::integer, job_id, kind, at, attempt::integer, worker, duration_ms, error, next_run,
                    trace, result::jsonb, actor
             from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::timestamptz[],
                         $9::bigint[], $10::text[], $11::bigint[], $12::text[], $13::timestamptz[], $14::text[],
                         $15::text[], $16::text[])
                  as r(queue, ms, seq, idx, job_id, kind, at, attempt, worker, duration_ms, error, next_run, trace, result,
                       actor)",
            $on_conflict
        )
    };
}

const EVENTS: &str = insert_events!("");
const MISSING_EVENTS: &str = insert_events!(" on conflict do nothing");

// What the batch does not say stays as it is in the row. No join looks for the old row: how it would be planned depends on
// what Postgres believes of a table that may have been empty a moment ago. Columns that are never null say so by others: an
// envelope that was read brings `max_attempts`, and whoever tells of no attempt that counted names its worker.
const UPSERT_JOBS: &str = "
    insert into jobs (environment, id, queue, kind, state, priority, payload, envelope, group_key, parent, max_attempts,
                      run_at, created_at, started_at, finished_at, attempts, replays, worker, last_error, result,
                      traceparent, changed_at, version_ms, version_seq)
    select $1, id, queue, kind, state, coalesce(priority, 'normal'), payload::jsonb, envelope::jsonb, group_key, parent,
           max_attempts::integer, run_at, created_at, started_at, finished_at, coalesce(attempts, 0)::integer,
           coalesce(replays, 0)::integer, worker, last_error, result::jsonb, traceparent, changed_at, version_ms, version_seq
    from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::text[], $11::bigint[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
                $15::timestamptz[], $16::bigint[], $17::bigint[], $18::text[], $19::text[], $20::text[], $21::text[],
                $22::timestamptz[], $23::bigint[], $24::bigint[])
         as r(id, queue, kind, state, priority, payload, envelope, group_key, parent, max_attempts, run_at, created_at,
              started_at, finished_at, attempts, replays, worker, last_error, result, traceparent, changed_at,
              version_ms, version_seq)
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
