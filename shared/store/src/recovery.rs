//! Reading from Postgres what is needed to rebuild Redis, and detecting that Postgres itself was restored.

use std::time::Duration;

use perch_jobs::{JobId, QueueName};
use perch_queue::LostJob;
use sqlx::{Row as _, postgres::PgRow};

use crate::{
    Store, StoreError,
    pool::Tx,
    query, query_scalar,
    row::{parsed, small_count, time, time_option},
};

/// Queries for rebuilding Redis.
#[derive(Debug, Clone, Copy)]
pub struct Recovery<'a>(pub(crate) &'a Store);

/// An unfinished job.
#[derive(Debug)]
pub struct UnfinishedJob {
    /// Its queue.
    pub queue: QueueName,
    /// The data that Redis needs to restore it.
    pub restore: LostJob,
}

/// A page of unfinished jobs.
#[derive(Debug)]
pub struct UnfinishedPage {
    /// The jobs.
    pub jobs: Vec<UnfinishedJob>,
    /// Those whose row cannot be read.
    pub unreadable: Vec<UnreadableJob>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<RecoveryCursor>,
}

/// An unfinished job whose row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableJob {
    /// Its id as stored.
    pub id: String,
    /// Its queue.
    pub queue: QueueName,
    /// The column, and what is wrong with it.
    pub reason: String,
}

/// A cursor in the order of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryCursor(String);

/// A lock that keeps other recoveries out until it is dropped.
#[derive(Debug)]
pub struct RecoveryLock(#[expect(dead_code, reason = "it is held for its lock")] Tx);

impl Store {
    /// Queries for rebuilding Redis.
    pub fn recovery(&self) -> Recovery<'_> {
        Recovery(self)
    }
}

impl Recovery<'_> {
    /// The identity of this Postgres: its system identifier and its timeline. A restored copy differs in one of them, a promoted
    /// standby in the timeline. `None` where a provider does not let users ask for it.
    pub async fn identity(&self) -> Result<Option<String>, StoreError> {
        query_scalar!("select perch_postgres()")
            .fetch_one(&self.0.pool)
            .await
            .map_err(StoreError::on("ask which Postgres this is"))
    }

    /// The identity that was last acknowledged ([`Recovery::note_identity`]). A copy of the database contains the same.
    pub async fn known_identity(&self) -> Result<Option<String>, StoreError> {
        query_scalar!(
            "select identity from known_postgres where environment = $1 and identity <> ''",
            self.0.env_name()
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on("read which Postgres was here"))
    }

    /// Records this identity, and when it was first seen, if it differs from the one seen before: from then on, what Postgres says
    /// about the time before is in doubt.
    pub async fn note_seen(&self, identity: &str) -> Result<(), StoreError> {
        query!(
            "update known_postgres set seen = $2, changed_at = clock_timestamp() where environment = $1 and seen <> $2",
            self.0.env_name(),
            identity
        )
        .execute(&self.0.pool)
        .await
        .map(|_| ())
        .map_err(StoreError::on("note which Postgres this is"))
    }

    /// Records that Postgres has lost data, whatever its identity: from then on, what it says about the time before is in doubt.
    pub async fn note_loss(&self) -> Result<(), StoreError> {
        query!(
            "insert into known_postgres (environment, identity, seen, changed_at)
             select $1, identity, identity, clock_timestamp() from coalesce(perch_postgres(), '') as identity
             on conflict (environment) do update set changed_at = excluded.changed_at",
            self.0.env_name()
        )
        .execute(&self.0.pool)
        .await
        .map(|_| ())
        .map_err(StoreError::on("note that Postgres has lost something"))
    }

    /// Whether Postgres has lost data within the last `time`.
    pub async fn lost_within(&self, time: Duration) -> Result<bool, StoreError> {
        query_scalar!(
            "select coalesce(max(changed_at) > clock_timestamp() - $2 * interval '1 second', false)
             from known_postgres where environment = $1",
            self.0.env_name(),
            i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
        )
        .fetch_one(&self.0.pool)
        .await
        .map_err(StoreError::on("ask whether Postgres has lost something"))
    }

    /// Acknowledges the identity of this Postgres: an operator has dealt with the change, or it is the first.
    pub async fn note_identity(&self, identity: &str) -> Result<(), StoreError> {
        self.note_seen(identity).await?;
        query!(
            "insert into known_postgres (environment, identity, seen) values ($1, $2, $2)
             on conflict (environment) do update set identity = excluded.identity",
            self.0.env_name(),
            identity
        )
        .execute(&self.0.pool)
        .await
        .map(|_| ())
        .map_err(StoreError::on("note which Postgres this is"))
    }

    /// Waits until no other process restores, and keeps others out until the lock is dropped, or for `most`, so that a frozen process
    /// does not block them forever.
    pub async fn lock(&self, most: Duration) -> Result<RecoveryLock, StoreError> {
        let doing = "wait for another recovery";
        let mut tx = self.0.pool.begin().await.map_err(StoreError::on(doing))?;
        query!(
            "select set_config('idle_in_transaction_session_timeout', $1, true) as one,
                    set_config('lock_timeout', $2, true) as other",
            most.as_millis().to_string(),
            (2 * most).as_millis().to_string()
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        query!("select pg_advisory_xact_lock(hashtext('perch recovery'), hashtext($1))", self.0.env_name())
            .execute(&mut tx)
            .await
            .map_err(StoreError::on(doing))?;
        Ok(RecoveryLock(tx))
    }

    /// Unfinished jobs of `queues`, and dead letters younger than `retention`, by id, at most `limit` after `after`. Outbox rows that
    /// Redis never had are left to the relay. Jobs whose envelope is unknown are left out.
    pub async fn unfinished(
        &self,
        queues: &[QueueName],
        after: Option<RecoveryCursor>,
        limit: u32,
        retention: Duration,
    ) -> Result<UnfinishedPage, StoreError> {
        self.unfinished_and_kept(queues, &[], after, limit, retention).await
    }

    /// As [`Recovery::unfinished`], and of the queues `others` the jobs that were accepted into the outbox, such as those enqueued in SQL.
    pub async fn unfinished_and_kept(
        &self,
        queues: &[QueueName],
        others: &[QueueName],
        after: Option<RecoveryCursor>,
        limit: u32,
        retention: Duration,
    ) -> Result<UnfinishedPage, StoreError> {
        let doing = "read unfinished jobs";
        let rows = query!(
            // The few other members of the jsonb object come before the payload, where the scripts look for them.
            "select j.id, j.queue, j.state, j.run_at, j.attempts, j.last_error, j.finished_at, j.changed_at,
                    coalesce(o.envelope, case when j.envelope ? 'max' and j.payload is not null then
                        left(j.envelope::text, -1) || ', \"payload\": ' || j.payload::text || '}' end) as envelope
             from jobs j left join outbox o on o.environment = j.environment and o.id = j.id
             where j.environment = $1 and j.id > $2 and j.state not in ('done', 'cancelled', 'discarded')
               and (j.state <> 'dead' or j.changed_at > clock_timestamp() - $4 * interval '1 second')
               and (o.id is null or o.handed_over_at is not null)
               and (j.queue = any($5) or (o.id is not null and j.queue = any($6)))
             order by j.id limit $3",
            self.0.env_name(),
            after.map(|RecoveryCursor(id)| id).unwrap_or_default(),
            i64::from(limit),
            i64::try_from(retention.as_secs()).unwrap_or(i64::MAX),
            texts(queues),
            texts(others)
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        let is_full = rows.len() == limit as usize;
        let mut some = UnfinishedPage { jobs: Vec::with_capacity(rows.len()), unreadable: Vec::new(), next: None };
        for row in &rows {
            let id: String = row.try_get("id").map_err(StoreError::on(doing))?;
            some.next = is_full.then(|| RecoveryCursor(id.clone()));
            match unfinished(row) {
                Ok(job) => some.jobs.extend(job),
                Err(error) => {
                    let queue = parsed(row, "queue").map_err(StoreError::on(doing))?;
                    some.unreadable.push(UnreadableJob { id, queue, reason: error.to_string() });
                }
            }
        }
        Ok(some)
    }

    /// Those of `ids` that have ended.
    pub async fn ended(&self, ids: &[JobId]) -> Result<Vec<JobId>, StoreError> {
        let ended: Vec<String> = query_scalar!(
            "select id from jobs
             where environment = $1 and id = any($2) and state in ('done', 'cancelled', 'discarded')",
            self.0.env_name(),
            ids.iter().map(ToString::to_string).collect::<Vec<_>>()
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on("read ended jobs"))?;
        Ok(ended.iter().filter_map(|id| id.parse().ok()).collect())
    }
}

fn texts(queues: &[QueueName]) -> Vec<String> {
    queues.iter().map(ToString::to_string).collect()
}

/// `None` when its envelope is unknown.
fn unfinished(row: &PgRow) -> Result<Option<UnfinishedJob>, sqlx::Error> {
    let Some(envelope) = row.try_get("envelope")? else { return Ok(None) };
    let state: &str = row.try_get("state")?;
    let run_at = time_option(row, "run_at")?.filter(|_| state == "delayed");
    let died_at = match time_option(row, "finished_at")? {
        _ if state != "dead" => None,
        Some(at) => Some(at),
        None => Some(time(row, "changed_at")?),
    };
    let restore = LostJob {
        id: parsed(row, "id")?,
        envelope,
        run_at,
        attempts: small_count(row, "attempts")?,
        error: row.try_get("last_error")?,
        died_at,
        in_doubt: false,
    };
    Ok(Some(UnfinishedJob { queue: parsed(row, "queue")?, restore }))
}
