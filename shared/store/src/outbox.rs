//! The outbox: the jobs of ledger queues, and those that other services enqueue with `perch_enqueue` in their own transactions.

mod held;
mod kinds;
mod ledger;

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, JobKind, JobTypes, Priority, QueueName, Unique, UniqueScope};
use perch_queue::{EnqueueOptions, LedgerJob, NewJob, OnConflict};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{FromRow, PgConnection};

pub use self::held::HeldRow;
use self::kinds::{KindRow, REGISTER};
use crate::{Listener, Store, StoreError, pool::Tx, query, query_as, row::Moment, sql};

/// The outbox.
#[derive(Debug, Clone, Copy)]
pub struct Outbox<'a>(pub(crate) &'a Store);

/// How long the process that accepts a job has to hand it over itself before a relay does.
const OWN: Duration = Duration::from_secs(5);
/// The channel on which `perch_enqueue` notifies of a new row.
const CHANNEL: &str = "perch_outbox";

/// A row of the outbox that Redis does not have yet.
#[derive(Debug)]
pub struct OutboxEntry {
    /// The job.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its kind.
    pub kind: JobKind,
    /// How long it has waited, by the clock of Postgres. The time in its id is not used, because the enqueuer chooses the id.
    pub waited: Duration,
    /// The content.
    pub content: OutboxContent,
}

/// The content of a row.
#[derive(Debug)]
pub enum OutboxContent {
    /// A validated job.
    Job(LedgerJob),
    /// A request of another service, not validated yet, and the attempts that it asks for.
    Request(Box<NewJob>, Option<u32>),
    /// Neither of them: the text and what is wrong with it.
    Unreadable(String, String),
}

/// How much waits in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutboxBacklog {
    /// Jobs that Redis does not have yet.
    pub waiting: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<DateTime<Utc>>,
    /// How long ago that was, by the clock of Postgres.
    #[serde(skip)]
    pub age: Duration,
}

#[derive(FromRow)]
struct OutboxRow {
    id: String,
    queue: String,
    kind: String,
    envelope: Option<String>,
    request: Option<String>,
    on_conflict: String,
    waited_ms: i64,
}

#[derive(Deserialize)]
struct EnqueueRequest {
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

/// Some of the waiting rows, locked against other relays until this is settled or dropped.
pub struct OutboxBatch<'a> {
    store: &'a Store,
    /// `None` if nothing was taken.
    tx: Option<Tx>,
    taken: Vec<String>,
    /// How many rows were waiting when it was taken; another relay may have locked some of them since.
    pub waited: usize,
    /// The rows, oldest first.
    pub rows: Vec<OutboxEntry>,
}

impl Store {
    /// The outbox.
    pub fn outbox(&self) -> Outbox<'_> {
        Outbox(self)
    }
}

impl Outbox<'_> {
    /// Stores jobs in the transaction of `conn`, together with the changes that caused them. A job whose id is already stored does
    /// not change. A relay hands the jobs over once the transaction has committed.
    pub async fn enqueue_in(&self, conn: &mut PgConnection, jobs: &[LedgerJob]) -> Result<(), StoreError> {
        self.keep_in(conn, jobs, Duration::ZERO).await.map(|_| ())
    }

    /// Takes up to `limit` waiting rows, oldest first. From then on Redis may have them, even if the batch fails, so the ledger no
    /// longer deletes any of them as refused.
    pub async fn take(&self, limit: u32) -> Result<OutboxBatch<'_>, StoreError> {
        let doing = "read the outbox";
        // Committed on its own, because the transaction below is lost if its commit fails.
        let begun: Vec<String> = sqlx::query_scalar(BEGIN)
            .bind(self.0.env_name())
            .bind(i64::from(limit))
            .fetch_all(&self.0.pool)
            .await
            .map_err(StoreError::on(doing))?;
        if begun.is_empty() {
            return Ok(OutboxBatch { store: self.0, tx: None, taken: Vec::new(), waited: 0, rows: Vec::new() });
        }
        let mut tx = self.0.pool.begin().await.map_err(StoreError::on(doing))?;
        let rows: Vec<OutboxRow> = query_as!(
            "select id, queue, kind, envelope, request::text as request, on_conflict,
                    (extract(epoch from clock_timestamp() - greatest(least(created_at, clock_timestamp()), '0001-01-01Z'))
                     * 1000)::bigint as waited_ms
             from outbox
             where environment = $1 and id = any($2) and handed_over_at is null and relay_at <= clock_timestamp()
             order by relay_at, id
             for update skip locked",
            self.0.env_name(),
            &begun
        )
        .fetch_all(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let taken = rows.iter().map(|row| row.id.clone()).collect();
        let rows = rows.into_iter().filter_map(waiting).collect();
        Ok(OutboxBatch { store: self.0, tx: Some(tx), taken, waited: begun.len(), rows })
    }

    /// How many jobs wait, and for how long.
    pub async fn backlog(&self) -> Result<OutboxBacklog, StoreError> {
        let (waiting, oldest, age_ms): (i64, Option<Moment>, i64) = query_as!(
            "select waiting, oldest, coalesce((extract(epoch from clock_timestamp() - oldest) * 1000)::bigint, 0)
             from (select count(*) as waiting,
                          min(created_at) filter (
                              where created_at between '0001-01-01Z' and '9999-12-31 23:59:59.999999Z') as oldest
                   from outbox where environment = $1 and handed_over_at is null) as rows",
            self.0.env_name()
        )
        .fetch_one(&self.0.pool)
        .await
        .map_err(StoreError::on("count the outbox"))?;
        Ok(OutboxBacklog { waiting: waiting.unsigned_abs(), oldest: oldest.map(|Moment(at)| at), age: millis(age_ms) })
    }

    /// Listens for new rows, with a session of its own where one is possible.
    pub async fn listen(&self) -> Listener {
        Listener::listen(self.0, CHANNEL, "listen for new jobs").await
    }

    /// Removes rows of jobs that ended longer than `after` ago, and expired idempotency keys, at most 10,000 of each. Returns how
    /// many rows were removed.
    pub async fn prune(&self, after: Duration) -> Result<u64, StoreError> {
        self.0.idempotency_keys().prune().await?;
        query!(
            "delete from outbox o
             where o.environment = $1 and o.handed_over_at is not null and o.id in (
                 select j.id from jobs j join outbox k on k.environment = j.environment and k.id = j.id
                 where j.environment = $1 and j.state in ('done', 'cancelled', 'discarded')
                   and j.changed_at < clock_timestamp() - $2 * interval '1 second'
                 limit 10000)",
            self.0.env_name(),
            i64::try_from(after.as_secs()).unwrap_or(i64::MAX)
        )
        .execute(&self.0.pool)
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::on("prune the outbox"))
    }

    /// Stores the known kinds, for `perch_enqueue` to check requests against.
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

impl OutboxBatch<'_> {
    /// How many rows were taken, readable or not.
    pub fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Settles the rows: Redis has the jobs in `there`; those in `never` were refused, each with the reason; those in `soon` are taken
    /// again with the next batch. All other rows cannot be handed over as they are and are put off for a minute.
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
        query!(
            "update outbox set relay_at = clock_timestamp() + interval '1 minute' where environment = $1 and id = any($2)",
            env,
            &self.taken
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on("settle the outbox"))?;
        query!(
            "update outbox set handed_over_at = clock_timestamp(), envelope = coalesce(outbox.envelope, given.envelope)
             from unnest($2::text[], $3::text[]) as given(id, envelope)
             where outbox.environment = $1 and outbox.id = given.id",
            env,
            there.iter().map(|job| job.id.to_string()).collect::<Vec<_>>(),
            there.iter().map(|job| job.envelope.as_str()).collect::<Vec<_>>()
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on("settle the outbox"))?;
        for (id, reason) in never {
            query!(
                "with gone as (delete from outbox where environment = $1 and id = $2)
                 update jobs set state = 'cancelled', last_error = $3, finished_at = clock_timestamp(),
                                 changed_at = clock_timestamp()
                 where environment = $1 and id = $2 and version_ms = 0",
                env,
                id.to_string(),
                reason
            )
            .execute(&mut tx)
            .await
            .map_err(StoreError::on("settle the outbox"))?;
        }
        tx.commit().await.map_err(StoreError::on("settle the outbox"))
    }
}

// A row keeps its first `begun_at`: the rows of a full queue are taken again and again.
const BEGIN: &str = sql!(
    2,
    "
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
    select id from waits order by relay_at, id"
);

/// A negative time comes from another clock and counts as zero.
fn millis(passed: i64) -> Duration {
    Duration::from_millis(u64::try_from(passed).unwrap_or(0))
}

fn waiting(row: OutboxRow) -> Option<OutboxEntry> {
    let id: JobId = row.id.parse().ok()?;
    let (queue, kind): (QueueName, JobKind) = (row.queue.parse().ok()?, row.kind.parse().ok()?);
    let on_conflict = match row.on_conflict.as_str() {
        "reject" => OnConflict::Reject,
        "replace" => OnConflict::Replace,
        _ => OnConflict::Keep,
    };
    let content = match (row.envelope, row.request) {
        (Some(envelope), _) => {
            OutboxContent::Job(LedgerJob { id, queue: queue.clone(), kind: kind.clone(), envelope, on_conflict })
        }
        (None, request) => {
            let text = request.unwrap_or_default();
            match perch_jobs::strict::from_str::<EnqueueRequest>(&text) {
                Ok(request) => {
                    let attempts = request.options.max_attempts;
                    OutboxContent::Request(Box::new(request.into_job(kind.clone(), on_conflict)), attempts)
                }
                Err(error) => OutboxContent::Unreadable(text, error.to_string()),
            }
        }
    };
    Some(OutboxEntry { id, queue, kind, waited: millis(row.waited_ms), content })
}

impl EnqueueRequest {
    fn into_job(self, kind: JobKind, on_conflict: OnConflict) -> NewJob {
        let RequestOptions { run_at, priority, unique_key, unique_scope, group, deadline, .. } = self.options;
        let unique = unique_key.map(|key| Unique { key, scope: unique_scope.unwrap_or(UniqueScope::Done) });
        let options =
            EnqueueOptions { run_at, priority, unique, group, deadline, on_conflict, ..EnqueueOptions::default() };
        NewJob { kind, payload: self.payload, options }
    }
}
