//! Rows of jobs and events, and the statements that write them.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::value::{RawValue, Value};
use sqlx::PgConnection;

use super::fold::{EventRow, JobRow, JobUnit};
use crate::{StoreError, json};

/// Writes the events, but for those that Postgres has already, and what they say of their jobs. Two statements, each sent
/// whole: a process that freezes between them is idle in its transaction and loses its locks. Amid a `COPY`, which is
/// hardly faster, it would not be idle, and keep them for as long as it is frozen.
pub(super) async fn write(conn: &mut PgConnection, env: &str, units: &[JobUnit]) -> Result<(), StoreError> {
    if units.iter().all(|unit| unit.events.is_empty()) {
        return Ok(());
    }
    insert_events(&mut *conn, env, units).await?;
    upsert_jobs(conn, env, units).await
}

fn column<'a, R, T>(rows: &[&'a R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}

async fn insert_events(conn: &mut PgConnection, env: &str, units: &[JobUnit]) -> Result<(), StoreError> {
    let events: Vec<&EventRow> = units.iter().flat_map(|unit| &unit.events).collect();
    let texts = |value: fn(&EventRow) -> Option<&str>| column(&events, |event| value(event).map(without_nul));
    sqlx::query(INSERT_EVENTS)
        .bind(env)
        .bind(column(&events, |event| event.queue.as_str()))
        .bind(column(&events, |event| event.ms))
        .bind(column(&events, |event| event.seq))
        .bind(column(&events, |event| i64::from(event.idx)))
        .bind(column(&events, |event| event.job_id.as_str()))
        .bind(column(&events, |event| event.kind))
        .bind(column(&events, |event| event.at))
        .bind(column(&events, |event| event.attempt.map(i64::from)))
        .bind(texts(|event| event.worker.as_deref()))
        .bind(column(&events, |event| event.duration_ms))
        .bind(texts(|event| event.error.as_deref()))
        .bind(column(&events, |event| event.next_run))
        .bind(texts(|event| event.trace.as_deref()))
        .bind(column(&events, |event| event.result.as_ref().map(storable_text)))
        .bind(texts(|event| event.actor.as_deref()))
        .execute(conn)
        .await
        .map(|_| ())
        .map_err(StoreError::on("store job events"))
}

fn storable_text(result: &Value) -> String {
    json::without_nul(&result.to_string()).into_owned()
}

/// `text` with every U+0000 in it, which Postgres cannot hold, replaced by U+FFFD.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

async fn upsert_jobs(conn: &mut PgConnection, env: &str, units: &[JobUnit]) -> Result<(), StoreError> {
    let mut jobs: Vec<&JobRow> = units.iter().map(|unit| &unit.row).collect();
    // In one order, so that two writers never wait for each other.
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

const INSERT_EVENTS: &str = "
    insert into job_events (environment, queue, ms, seq, idx, job_id, kind, at, attempt, worker, duration_ms, error,
                            next_run, trace, result, actor)
    select $1, queue, ms, seq, idx::integer, job_id, kind, at, attempt::integer, worker, duration_ms, error, next_run,
           trace, result::jsonb, actor
    from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::timestamptz[],
                $9::bigint[], $10::text[], $11::bigint[], $12::text[], $13::timestamptz[], $14::text[], $15::text[],
                $16::text[])
         as r(queue, ms, seq, idx, job_id, kind, at, attempt, worker, duration_ms, error, next_run, trace, result, actor)
    on conflict do nothing";

// What the batch does not say is taken from the row as it stands. The lateral join looks each row up by its key, however
// many there are: nothing is known of the arrays when the statement is planned.
const UPSERT_JOBS: &str = "
    insert into jobs (environment, id, queue, kind, state, priority, payload, envelope, group_key, parent, max_attempts,
                      run_at, created_at, started_at, finished_at, attempts, replays, worker, last_error, result,
                      traceparent, changed_at, version_ms, version_seq)
    select $1, r.id, r.queue, coalesce(r.kind, old.kind), r.state, coalesce(r.priority, old.priority, 'normal'),
           case when r.envelope is null then old.payload else r.payload::jsonb end,
           coalesce(r.envelope::jsonb, old.envelope), coalesce(r.group_key, old.group_key),
           coalesce(r.parent, old.parent), coalesce(r.max_attempts::integer, old.max_attempts),
           coalesce(r.run_at, old.run_at), least(r.created_at, old.created_at), coalesce(r.started_at, old.started_at),
           r.finished_at, coalesce(r.attempts::integer, old.attempts, 0),
           coalesce(r.replays::integer, old.replays, 0), coalesce(r.worker, old.worker),
           coalesce(r.last_error, old.last_error), coalesce(r.result::jsonb, old.result),
           coalesce(r.traceparent, old.traceparent), r.changed_at, r.version_ms, r.version_seq
    from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::text[], $11::bigint[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
                $15::timestamptz[], $16::bigint[], $17::bigint[], $18::text[], $19::text[], $20::text[], $21::text[],
                $22::timestamptz[], $23::bigint[], $24::bigint[])
         as r(id, queue, kind, state, priority, payload, envelope, group_key, parent, max_attempts, run_at, created_at,
              started_at, finished_at, attempts, replays, worker, last_error, result, traceparent, changed_at,
              version_ms, version_seq)
    left join lateral (
        select * from jobs j where j.environment = $1 and j.id = r.id limit 1
    ) old on true
    on conflict (environment, id) do update set
        queue = excluded.queue, kind = excluded.kind, state = excluded.state, priority = excluded.priority,
        payload = excluded.payload, envelope = excluded.envelope, group_key = excluded.group_key,
        parent = excluded.parent, max_attempts = excluded.max_attempts, run_at = excluded.run_at,
        created_at = excluded.created_at, started_at = excluded.started_at, finished_at = excluded.finished_at,
        attempts = excluded.attempts, replays = excluded.replays, worker = excluded.worker,
        last_error = excluded.last_error, result = excluded.result, traceparent = excluded.traceparent,
        changed_at = excluded.changed_at, version_ms = excluded.version_ms, version_seq = excluded.version_seq
    where (excluded.version_ms, excluded.version_seq) > (jobs.version_ms, jobs.version_seq)";
