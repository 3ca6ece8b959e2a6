//! The outbox: the jobs of ledger queues, and those that other services enqueue with `perch_enqueue` in their own transactions.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use perch_base::Classified as _;
use perch_jobs::{JobId, JobKind, JobType, JobTypes, Priority, QueueName, Unique, UniqueScope};
use perch_queue::{ByRelay, EnqueueOptions, Envelope, HowKept, Ledger, LedgerError, LedgerJob, NewJob, OnConflict};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{FromRow, PgConnection, PgExecutor};

use crate::{Listener, Store, StoreError, json, pool::Tx, record::storable_time, row::Moment};

/// The outbox.
#[derive(Debug, Clone, Copy)]
pub struct Outbox<'a>(pub(crate) &'a Store);

/// How long whoever accepts a job has to hand it over.
const OWN: Duration = Duration::from_secs(5);
/// The channel on which `perch_enqueue` tells that there is a new row.
const CHANNEL: &str = "perch_outbox";

/// A row that Redis has not got yet.
#[derive(Debug)]
pub struct Waiting {
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its kind.
    pub kind: JobKind,
    /// How long it has waited, by the clock of Postgres: its id is chosen by who enqueued it.
    pub waited: Duration,
    /// What it holds.
    pub content: Content,
}

/// What a row holds.
#[derive(Debug)]
pub enum Content {
    /// A job that was checked.
    Job(LedgerJob),
    /// A request of another service, to be checked; and the attempts that it asks for.
    Request(Box<NewJob>, Option<u32>),
    /// Something that is neither; the text and what is wrong.
    Unreadable(String, String),
}

/// What the outbox holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Jobs that Redis has not got yet.
    pub waiting: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<DateTime<Utc>>,
    /// How long ago that is, by the same clock of Postgres.
    #[serde(skip)]
    pub age: Duration,
}

#[derive(FromRow)]
struct Row {
    id: String,
    queue: String,
    kind: String,
    envelope: Option<String>,
    request: Option<String>,
    on_conflict: String,
    waited_ms: i64,
}

#[derive(Deserialize)]
struct Request {
    payload: Box<RawValue>,
    #[serde(default)]
    options: RequestOptions,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestOptions {
    run_at: Option<DateTime<Utc>>,
    priority: Option<Priority>,
    max_attempts: Option<u32>,
    unique_key: Option<String>,
    unique_scope: Option<UniqueScope>,
    group: Option<String>,
    deadline: Option<DateTime<Utc>>,
}

/// Some of the rows that wait, held against other relays until this is settled or dropped.
pub struct Batch<'a> {
    store: &'a Store,
    /// None where nothing was taken.
    tx: Option<Tx>,
    taken: Vec<String>,
    /// How many waited when it was taken; some of them may be with another relay since.
    pub waited: usize,
    /// The rows, oldest first.
    pub rows: Vec<Waiting>,
}

impl Outbox<'_> {
    /// Keeps jobs in the transaction of `conn`, together with what caused them. Those whose id is there already stay as they
    /// are. A relay hands them over once the transaction has committed.
    pub async fn enqueue_in(&self, conn: &mut PgConnection, jobs: &[LedgerJob]) -> Result<(), StoreError> {
        self.keep_in(conn, jobs, Duration::ZERO).await.map(|_| ())
    }

    /// Keeps jobs that the caller hands over within `own`; after that a relay does, who is told at once where that is no time.
    /// Answers, in their order, how each was found.
    async fn keep_in(
        &self,
        conn: impl PgExecutor<'_>,
        jobs: &[LedgerJob],
        own: Duration,
    ) -> Result<Vec<HowKept>, StoreError> {
        let doing = "keep jobs";
        let rows: Vec<KeptRow> = jobs.iter().map(KeptRow::of).collect();
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
        let found: HashMap<String, HowKept> =
            found.into_iter().map(|(id, new, there)| (id, kept(new, there))).collect();
        Ok(jobs.iter().map(|job| found.get(&job.id.to_string()).copied().unwrap_or(HowKept::Waiting)).collect())
    }

    /// Takes up to `limit` rows that wait, oldest first. From then on Redis may have them, whatever becomes of the batch: the ledger
    /// forgets none of them as refused.
    pub async fn take(&self, limit: u32) -> Result<Batch<'_>, StoreError> {
        let doing = "read the outbox";
        // Committed by itself: the transaction below is lost where its commit fails.
        let begun: Vec<String> = sqlx::query_scalar(BEGIN)
            .bind(self.0.env_name())
            .bind(i64::from(limit))
            .fetch_all(&self.0.pool)
            .await
            .map_err(StoreError::on(doing))?;
        if begun.is_empty() {
            return Ok(Batch { store: self.0, tx: None, taken: Vec::new(), waited: 0, rows: Vec::new() });
        }
        let mut tx = self.0.pool.begin().await.map_err(StoreError::on(doing))?;
        let rows: Vec<Row> = sqlx::query_as(
            "select id, queue, kind, envelope, request::text as request, on_conflict,
                    (extract(epoch from clock_timestamp() - greatest(least(created_at, clock_timestamp()), '0001-01-01Z'))
                     * 1000)::bigint as waited_ms
             from outbox
             where environment = $1 and id = any($2) and handed_over_at is null and relay_at <= clock_timestamp()
             order by relay_at, id
             for update skip locked",
        )
        .bind(self.0.env_name())
        .bind(&begun)
        .fetch_all(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let taken = rows.iter().map(|row| row.id.clone()).collect();
        let rows = rows.into_iter().filter_map(waiting).collect();
        Ok(Batch { store: self.0, tx: Some(tx), taken, waited: begun.len(), rows })
    }

    /// How much waits.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let (waiting, oldest, age_ms): (i64, Option<Moment>, i64) = sqlx::query_as(
            "select waiting, oldest, coalesce((extract(epoch from clock_timestamp() - oldest) * 1000)::bigint, 0)
             from (select count(*) as waiting,
                          min(created_at) filter (
                              where created_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z') as oldest
                   from outbox where environment = $1 and handed_over_at is null) as rows",
        )
        .bind(self.0.env_name())
        .fetch_one(&self.0.pool)
        .await
        .map_err(StoreError::on("count the outbox"))?;
        Ok(Backlog { waiting: waiting.unsigned_abs(), oldest: oldest.map(|Moment(at)| at), age: millis(age_ms) })
    }

    /// Hears of new rows, by a session of its own where one is to be had.
    pub async fn listen(&self) -> Listener {
        Listener::on(self.0, CHANNEL, "listen for new jobs").await
    }

    /// Removes rows of jobs that ended longer than `after` ago, and idempotency keys that have run out. Answers how many
    /// rows; at most 10,000 of each.
    pub async fn prune(&self, after: Duration) -> Result<u64, StoreError> {
        self.0.idempotency_keys().prune().await?;
        sqlx::query(
            "delete from outbox o
             where o.environment = $1 and o.handed_over_at is not null and o.id in (
                 select j.id from jobs j join outbox k on k.environment = j.environment and k.id = j.id
                 where j.environment = $1 and j.state in ('done', 'cancelled', 'discarded')
                   and j.changed_at < clock_timestamp() - $2 * interval '1 second'
                 limit 10000)",
        )
        .bind(self.0.env_name())
        .bind(i64::try_from(after.as_secs()).unwrap_or(i64::MAX))
        .execute(&self.0.pool)
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::on("prune the outbox"))
    }

    /// Writes down which kinds there are, for `perch_enqueue` to check against.
    pub async fn register(&self, types: &JobTypes, most_bytes: usize, most_ahead: Duration) -> Result<(), StoreError> {
        let doing = "register the kinds of jobs";
        let kinds: Vec<KindRow> = types.iter().map(KindRow::of).collect();
        let text = serde_json::to_string(&kinds)
            .map_err(|error| StoreError::Invalid { what: "a kind", reason: error.to_string() })?;
        sqlx::query(REGISTER)
            .bind(self.0.env_name())
            .bind(text)
            .bind(i64::try_from(most_bytes).unwrap_or(i64::MAX))
            .bind(i64::try_from(most_ahead.as_secs()).unwrap_or(i64::MAX))
            .execute(&self.0.pool)
            .await
            .map(|_| ())
            .map_err(StoreError::on(doing))
    }
}

impl Batch<'_> {
    /// How many rows were taken, readable or not.
    pub fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Ends it: `there` are with Redis, `never` did not come to be, each with the reason, and `soon` are taken again with
    /// the next batch. What is none of these cannot be handed over as it is: it lets the rows behind it pass for a minute.
    pub async fn settle(
        mut self,
        there: &[&LedgerJob],
        never: &[(JobId, String)],
        soon: &[JobId],
    ) -> Result<(), StoreError> {
        let Some(mut tx) = self.tx.take() else { return Ok(()) };
        let env = self.store.env_name();
        let settled: HashSet<String> = there
            .iter()
            .map(|job| job.id)
            .chain(never.iter().map(|(id, _)| *id))
            .chain(soon.iter().copied())
            .map(|id| id.to_string())
            .collect();
        self.taken.retain(|id| !settled.contains(id));
        sqlx::query(
            "update outbox set relay_at = clock_timestamp() + interval '1 minute' where environment = $1 and id = any($2)",
        )
        .bind(env)
        .bind(&self.taken)
        .execute(&mut tx)
        .await
        .map_err(StoreError::on("settle the outbox"))?;
        sqlx::query(
            "update outbox set handed_over_at = clock_timestamp(), envelope = coalesce(outbox.envelope, given.envelope)
             from unnest($2::text[], $3::text[]) as given(id, envelope)
             where outbox.environment = $1 and outbox.id = given.id",
        )
        .bind(env)
        .bind(there.iter().map(|job| job.id.to_string()).collect::<Vec<_>>())
        .bind(there.iter().map(|job| job.envelope.as_str()).collect::<Vec<_>>())
        .execute(&mut tx)
        .await
        .map_err(StoreError::on("settle the outbox"))?;
        for (id, reason) in never {
            sqlx::query(
                "with gone as (delete from outbox where environment = $1 and id = $2)
                 update jobs set state = 'cancelled', last_error = $3, finished_at = clock_timestamp(),
                                 changed_at = clock_timestamp()
                 where environment = $1 and id = $2 and version_ms = 0",
            )
            .bind(env)
            .bind(id.to_string())
            .bind(reason)
            .execute(&mut tx)
            .await
            .map_err(StoreError::on("settle the outbox"))?;
        }
        tx.commit().await.map_err(StoreError::on("settle the outbox"))
    }
}

/// Makes a store the ledger of queues.
impl Ledger for Store {
    fn keep<'a>(&'a self, jobs: &'a [LedgerJob]) -> BoxFuture<'a, Result<Vec<HowKept>, LedgerError>> {
        Box::pin(async move { Ok(self.outbox().keep_in(&self.pool, jobs, OWN).await?) })
    }

    fn settle<'a>(
        &'a self,
        there: &'a [JobId],
        refused: &'a [JobId],
    ) -> BoxFuture<'a, Result<HashMap<JobId, ByRelay>, LedgerError>> {
        Box::pin(async move {
            let ids = |jobs: &[JobId]| jobs.iter().map(ToString::to_string).collect::<Vec<_>>();
            let relayed: Vec<(String, bool)> = sqlx::query_as(SETTLE)
                .bind(self.env_name())
                .bind(ids(there))
                .bind(ids(refused))
                .fetch_all(&self.pool)
                .await
                .map_err(StoreError::on("settle the outbox"))?;
            let by_relay = |handed_over| if handed_over { ByRelay::HandedOver } else { ByRelay::Begun };
            Ok(relayed.iter().filter_map(|(id, there)| Some((id.parse().ok()?, by_relay(*there)))).collect())
        })
    }
}

/// How a job was found that is `new`, or that Redis has.
const fn kept(new: bool, there: bool) -> HowKept {
    match (new, there) {
        (true, _) => HowKept::New,
        (false, true) => HowKept::HandedOver,
        (false, false) => HowKept::Waiting,
    }
}

// What was noted before keeps its time: the rows of a queue that is full are looked at again and again.
const BEGIN: &str = "
    with waits as materialized (
        select id, relay_at, begun_at from outbox
        where environment = $1 and handed_over_at is null and relay_at <= clock_timestamp()
        order by relay_at, id
        limit $2
        for update skip locked
    ), begun as (
        update outbox o set begun_at = clock_timestamp()
        from waits where o.environment = $1 and o.id = waits.id and waits.begun_at is null
    )
    select id from waits order by relay_at, id";

// The rows are locked first: one that a relay holds is looked at as the relay leaves it. One that a relay has begun may be with Redis
// though the relay could not say so: it is not forgotten.
const SETTLE: &str = "
    with held as materialized (
        select id, handed_over_at is not null as handed_over,
               handed_over_at is not null or begun_at is not null as relayed
        from outbox
        where environment = $1 and id = any($2 || $3) order by id for update
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
    select id, handed_over from held where relayed";

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> Self {
        Self { reason: error.to_string(), disposition: error.disposition() }
    }
}

/// A job for both tables: the outbox keeps the envelope byte for byte, the history as JSON.
#[derive(Serialize)]
struct KeptRow {
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

impl KeptRow {
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

// The history has the job from here on; whatever an event says later is newer than version 0. One that did not come to be, and
// is asked for again, waits once more.
const KEEP: &str = "
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
        select $1, id, queue, kind, case when run_at > clock_timestamp() then 'scheduled' else 'waiting' end, priority,
               payload, jsonb_build_object('kind', kind), group_key, parent, max_attempts, run_at, created_at,
               clock_timestamp(), traceparent
        from given join kept using (id)
        on conflict (environment, id) do update set
            state = excluded.state, last_error = null, finished_at = null, changed_at = excluded.changed_at
        where jobs.state = 'cancelled' and jobs.version_ms = 0
    )
    select given.id, kept.id is not null, coalesce(o.handed_over_at is not null, false)
    from given left join kept using (id)
         left join outbox o on o.environment = $1 and o.id = given.id
         cross join (select case when $5 = 0 then pg_notify($6, $1) end) as told";

/// A kind, as far as SQL can check a request against it.
#[derive(Serialize)]
struct KindRow {
    kind: String,
    queue: String,
    max_attempts: u32,
    required: Vec<String>,
    allowed: Option<Vec<String>>,
}

impl KindRow {
    fn of(job_type: &JobType) -> Self {
        let schema = job_type.schema();
        let schema = schema.as_value();
        let required = schema["required"].as_array().into_iter().flatten();
        let closed = schema["additionalProperties"] == serde_json::Value::Bool(false);
        let names = || schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        Self {
            kind: job_type.kind.to_string(),
            queue: job_type.queue.to_string(),
            max_attempts: job_type.retry.max_attempts,
            required: required.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            allowed: closed.then(names),
        }
    }
}

const REGISTER: &str = "
    with given as (
        select kind, queue, max_attempts, required, allowed
        from jsonb_to_recordset($2::jsonb)
             as r(kind text, queue text, max_attempts integer, required text[], allowed text[])
    ), gone as (
        delete from job_kinds where environment = $1 and kind not in (select kind from given)
    )
    insert into job_kinds (environment, kind, queue, max_attempts, required, allowed, max_payload_bytes, max_ahead)
    select $1, kind, queue, max_attempts, required, allowed, $3, $4 * interval '1 second' from given
    on conflict (environment, kind) do update set
        queue = excluded.queue, max_attempts = excluded.max_attempts, required = excluded.required,
        allowed = excluded.allowed, max_payload_bytes = excluded.max_payload_bytes, max_ahead = excluded.max_ahead";

/// What lies ahead was said by another clock, and has not waited yet.
fn millis(passed: i64) -> Duration {
    Duration::from_millis(u64::try_from(passed).unwrap_or(0))
}

fn waiting(row: Row) -> Option<Waiting> {
    let id: JobId = row.id.parse().ok()?;
    let (queue, kind): (QueueName, JobKind) = (row.queue.parse().ok()?, row.kind.parse().ok()?);
    let on_conflict = match row.on_conflict.as_str() {
        "reject" => OnConflict::Reject,
        "replace" => OnConflict::Replace,
        _ => OnConflict::Keep,
    };
    let content = match (row.envelope, row.request) {
        (Some(envelope), _) => {
            Content::Job(LedgerJob { id, queue: queue.clone(), kind: kind.clone(), envelope, on_conflict })
        }
        (None, request) => {
            let text = request.unwrap_or_default();
            match perch_jobs::strict::from_str::<Request>(&text) {
                Ok(request) => {
                    let attempts = request.options.max_attempts;
                    Content::Request(Box::new(request.into_job(kind.clone(), on_conflict)), attempts)
                }
                Err(error) => Content::Unreadable(text, error.to_string()),
            }
        }
    };
    Some(Waiting { id, queue, kind, waited: millis(row.waited_ms), content })
}

impl Request {
    fn into_job(self, kind: JobKind, on_conflict: OnConflict) -> NewJob {
        let RequestOptions { run_at, priority, unique_key, unique_scope, group, deadline, .. } = self.options;
        let unique = unique_key.map(|key| Unique { key, scope: unique_scope.unwrap_or(UniqueScope::Done) });
        let options =
            EnqueueOptions { run_at, priority, unique, group, deadline, on_conflict, ..EnqueueOptions::default() };
        NewJob { kind, payload: self.payload, options }
    }
}
