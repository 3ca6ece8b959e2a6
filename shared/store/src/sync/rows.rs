//! Rows of jobs and events, and the statements that write them.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use super::{
    copy::{CopyText, without_nul},
    fold::{EventRow, JobRow, JobUnit},
};
use crate::{StoreError, json, record::execute_json};

/// What is known of the events of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Events<'a> {
    /// That Postgres has none of them; here they are as text. It refuses the batch if that is not so.
    New(&'a CopyText),
    /// Nothing; those that it has are left out.
    Any,
}

/// Writes the events and what they say of their jobs.
pub(super) async fn write(
    conn: &mut PgConnection,
    env: &str,
    units: &[JobUnit],
    events: Events<'_>,
) -> Result<(), StoreError> {
    let rows = || units.iter().flat_map(|unit| &unit.events);
    if rows().next().is_none() {
        return Ok(());
    }
    match events {
        Events::New(text) => copy_events(&mut *conn, text).await?,
        Events::Any => {
            let rows: Vec<&EventRow> = rows().collect();
            execute_json(&mut *conn, EVENTS, INSERT_EVENTS, env, &rows).await?;
        }
    }
    upsert_jobs(conn, env, units).await
}

const EVENTS: &str = "store job events";
/// Bytes of most events as text.
const USUAL_EVENT: usize = 200;

/// The events as [`COPY_EVENTS`] takes them.
pub(super) fn events_as_text(env: &str, units: &[JobUnit]) -> CopyText {
    let count = units.iter().map(|unit| unit.events.len()).sum::<usize>();
    let mut text = CopyText::with_room(count * USUAL_EVENT);
    for row in units.iter().flat_map(|unit| &unit.events) {
        text.word(env);
        text.word(&row.queue);
        text.number(row.ms);
        text.number(row.seq);
        text.number(row.idx);
        text.word(&row.job_id);
        text.word(row.kind);
        text.time(row.at);
        text.maybe(row.attempt, CopyText::number);
        text.maybe(row.worker.as_deref(), CopyText::word);
        text.maybe(row.duration_ms, CopyText::number);
        text.maybe(row.error.as_deref(), CopyText::word);
        text.maybe(row.next_run, CopyText::time);
        text.maybe(row.trace.as_deref(), CopyText::word);
        text.maybe(row.result.as_ref(), |text, result| text.word(&json::without_nul(&result.to_string())));
        text.maybe(row.actor.as_deref(), CopyText::word);
        text.end_row();
    }
    text
}

/// COPY is by far the cheapest way into a table, and knows no `on conflict`.
async fn copy_events(conn: &mut PgConnection, text: &CopyText) -> Result<(), StoreError> {
    let mut copy = conn.copy_in_raw(COPY_EVENTS).await.map_err(StoreError::on(EVENTS))?;
    copy.send(text.as_bytes()).await.map_err(StoreError::on(EVENTS))?;
    copy.finish().await.map(|_| ()).map_err(StoreError::on(EVENTS))
}

async fn upsert_jobs(conn: &mut PgConnection, env: &str, units: &[JobUnit]) -> Result<(), StoreError> {
    let mut jobs: Vec<&JobRow> = units.iter().map(|unit| &unit.row).collect();
    // In one order, so that two writers never wait for each other.
    jobs.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    fn column<'a, T>(jobs: &[&'a JobRow], value: impl Fn(&'a JobRow) -> T) -> Vec<T> {
        jobs.iter().map(|job| value(job)).collect()
    }
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
        .bind(column(&jobs, |job| {
            let text = job.result.as_ref().map(ToString::to_string);
            text.map(|text| json::without_nul(&text).into_owned())
        }))
        .bind(texts(|job| job.traceparent.as_deref()))
        .bind(times(|job| Some(job.changed_at)))
        .bind(column(&jobs, |job| job.version_ms))
        .bind(column(&jobs, |job| job.version_seq))
        .execute(conn)
        .await
        .map(|_| ())
        .map_err(StoreError::on("store jobs"))
}

const COPY_EVENTS: &str = "
    copy job_events (environment, queue, ms, seq, idx, job_id, kind, at, attempt, worker, duration_ms, error, next_run,
                     trace, result, actor)
    from stdin";

const INSERT_EVENTS: &str = "
    insert into job_events (environment, queue, ms, seq, idx, job_id, kind, at, attempt, worker, duration_ms, error,
                            next_run, trace, result, actor)
    select $1, queue, ms, seq, idx, job_id, kind, at, attempt, worker, duration_ms, error, next_run, trace,
           nullif(result, 'null'), actor
    from jsonb_to_recordset($2::jsonb)
         as r(queue text, ms bigint, seq bigint, idx integer, job_id text, kind text, at timestamptz, attempt integer,
              worker text, duration_ms bigint, error text, next_run timestamptz, trace text, result jsonb, actor text)
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
