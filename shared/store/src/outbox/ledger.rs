//! Storing jobs before Redis has them, and recording whether Redis took them.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use perch_base::Classified as _;
use perch_jobs::JobId;
use perch_queue::{Envelope, Ledger, LedgerError, LedgerJob, LedgerState, OnConflict, RelayState};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgExecutor;

use super::{CHANNEL, OWN, Outbox};
use crate::{Store, StoreError, json, record::storable_time, sql};

impl Outbox<'_> {
    /// Stores jobs. The caller hands them over within `own`; after that a relay does, which is notified at once if `own` is zero.
    /// Returns the state of each job, in order.
    pub(super) async fn keep_in(
        &self,
        conn: impl PgExecutor<'_>,
        jobs: &[LedgerJob],
        own: Duration,
    ) -> Result<Vec<LedgerState>, StoreError> {
        let doing = "keep jobs";
        let rows: Vec<LedgerRow> = jobs.iter().map(LedgerRow::of).collect();
        let text = serde_json::to_string(&rows)
            .map_err(|error| StoreError::Invalid { what: "a job", reason: error.to_string() })?;
        let found: Vec<(String, bool, bool)> = sqlx::query_as(KEEP)
            .persistent(self.0.prepares())
            .bind(self.0.env_name())
            .bind(json::without_nul(&text).as_ref())
            .bind(jobs.iter().map(|job| job.id.to_string()).collect::<Vec<_>>())
            .bind(jobs.iter().map(|job| job.envelope.as_str()).collect::<Vec<_>>())
            .bind(i64::try_from(own.as_millis()).unwrap_or(i64::MAX))
            .bind(CHANNEL)
            .fetch_all(conn)
            .await
            .map_err(StoreError::on(doing))?;
        let found: HashMap<String, LedgerState> =
            found.into_iter().map(|(id, new, there)| (id, kept(new, there))).collect();
        Ok(jobs.iter().map(|job| found.get(&job.id.to_string()).copied().unwrap_or(LedgerState::Waiting)).collect())
    }
}

/// A store is the ledger of ledger queues.
impl Ledger for Store {
    fn keep<'a>(&'a self, jobs: &'a [LedgerJob]) -> BoxFuture<'a, Result<Vec<LedgerState>, LedgerError>> {
        Box::pin(async move { Ok(self.outbox().keep_in(&self.pool, jobs, OWN).await?) })
    }

    fn settle<'a>(
        &'a self,
        there: &'a [JobId],
        refused: &'a [JobId],
    ) -> BoxFuture<'a, Result<HashMap<JobId, RelayState>, LedgerError>> {
        Box::pin(async move {
            let ids = |jobs: &[JobId]| jobs.iter().map(ToString::to_string).collect::<Vec<_>>();
            let relayed: Vec<(String, bool)> = sqlx::query_as(SETTLE)
                .bind(self.env_name())
                .bind(ids(there))
                .bind(ids(refused))
                .fetch_all(&self.pool)
                .await
                .map_err(StoreError::on("settle the outbox"))?;
            let by_relay = |handed_over| if handed_over { RelayState::HandedOver } else { RelayState::Begun };
            Ok(relayed.iter().filter_map(|(id, there)| Some((id.parse().ok()?, by_relay(*there)))).collect())
        })
    }
}

/// The state of a job: `new` if it was stored now, `there` if Redis has it.
const fn kept(new: bool, there: bool) -> LedgerState {
    match (new, there) {
        (true, _) => LedgerState::New,
        (false, true) => LedgerState::HandedOver,
        (false, false) => LedgerState::Waiting,
    }
}

// The rows are locked first, so that a row that a relay holds is read as the relay leaves it. A row that a relay has begun is not
// deleted: Redis may have the job although the relay could not record it.
const SETTLE: &str = sql!(
    3,
    "
    with held as materialized (
        select id, handed_over_at is not null as handed_over,
               handed_over_at is not null or begun_at is not null as relayed
        from outbox
        where environment = $1 and id = any($2::text[] || $3::text[]) order by id for update
    ), there as (
        update outbox o set handed_over_at = clock_timestamp()
        from held where o.environment = $1 and o.id = held.id and not held.handed_over and held.id = any($2)
    ), gone as (
        delete from outbox o using held
        where o.environment = $1 and o.id = held.id and not held.relayed and held.id = any($3)
    ), forgotten as (
        delete from jobs j using held
        where j.environment = $1 and j.id = held.id and not held.relayed and held.id = any($3) and j.version_ms = 0
    )
    select id, handed_over from held where relayed"
);

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        Self { reason: error.to_string(), disposition: error.disposition() }
    }
}

/// A job for both tables: the outbox stores the envelope byte for byte, the history stores it as JSON.
#[derive(Serialize)]
struct LedgerRow {
    id: String,
    queue: String,
    kind: String,
    on_conflict: OnConflict,
    priority: &'static str,
    payload: Box<RawValue>,
    group_key: Option<String>,
    parent: Option<String>,
    max_attempts: Option<u32>,
    run_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    traceparent: Option<String>,
}

impl LedgerRow {
    fn of(job: &LedgerJob) -> Self {
        let envelope = Envelope::decode(job.envelope.as_bytes()).ok();
        let null = || RawValue::from_string("null".to_owned()).expect("null is JSON");
        Self {
            id: job.id.to_string(),
            queue: job.queue.to_string(),
            kind: job.kind.to_string(),
            on_conflict: job.on_conflict,
            priority: envelope.as_ref().map_or("normal", |e| e.priority.as_str()),
            group_key: envelope.as_ref().and_then(|e| e.group.clone()),
            parent: envelope.as_ref().and_then(|e| e.parent).map(|id| id.to_string()),
            max_attempts: envelope.as_ref().map(|e| e.max_attempts),
            run_at: envelope.as_ref().and_then(|e| e.run_at),
            traceparent: envelope.as_ref().and_then(|e| e.traceparent.clone()),
            created_at: storable_time(job.id.created_at().timestamp_millis()).unwrap_or_else(Utc::now),
            payload: envelope.map_or_else(null, |e| json::storable(e.payload)),
        }
    }
}

// The history has the job from here on, with version 0, which every later event supersedes. A job that was refused and is enqueued
// again becomes waiting again.
const KEEP: &str = sql!(
    6,
    "
    with given as (
        select r.*, t.envelope
        from jsonb_to_recordset($2::jsonb)
             as r(id text, queue text, kind text, on_conflict text, priority text, payload jsonb, group_key text,
                  parent text, max_attempts integer, run_at timestamptz, created_at timestamptz, traceparent text)
        join unnest($3::text[], $4::text[]) as t(id, envelope) using (id)
    ), kept as (
        insert into outbox (environment, id, queue, kind, envelope, on_conflict, relay_at)
        select $1, id, queue, kind, envelope, on_conflict, clock_timestamp() + $5 * interval '1 millisecond' from given
        on conflict do nothing
        returning id
    ), noted as (
        insert into jobs (environment, id, queue, kind, state, priority, payload, envelope, group_key, parent, max_attempts,
                          run_at, created_at, changed_at, traceparent)
        select $1, id, queue, kind, case when run_at > clock_timestamp() then 'delayed' else 'waiting' end, priority,
               payload, jsonb_build_object('kind', kind), group_key, parent, max_attempts, run_at, created_at,
               clock_timestamp(), traceparent
        from given join kept using (id)
        on conflict (environment, id) do update set
            state = excluded.state, last_error = null, finished_at = null, changed_at = excluded.changed_at
        where jobs.state = 'cancelled' and jobs.version_ms = 0
    )
    select given.id, kept.id is not null as new, coalesce(o.handed_over_at is not null, false) as there
    from given left join kept using (id)
         left join outbox o on o.environment = $1 and o.id = given.id
         cross join (select case when $5 = 0 then pg_notify($6, $1) end) as told"
);
