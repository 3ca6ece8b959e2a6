//! What Postgres knows of jobs that Redis should have.

use crate::{query, query_scalar};
use std::time::Duration;

use perch_jobs::{JobId, QueueName};
use perch_queue::LostJob;
use sqlx::{Row as _, postgres::PgRow};

use crate::{
    Store, StoreError,
    pool::Tx,
    row::{parsed, small_count, time, time_option},
};

/// What is needed to rebuild Redis.
#[derive(Debug, Clone, Copy)]
pub struct Recovery<'a>(pub(crate) &'a Store);

/// An unfinished job.
#[derive(Debug)]
pub struct Unfinished {
    /// Its queue.
    pub queue: QueueName,
    /// What Redis needs of it.
    pub restore: LostJob,
}

/// Some of the unfinished jobs.
#[derive(Debug)]
pub struct UnfinishedJobs {
    /// The jobs.
    pub jobs: Vec<Unfinished>,
    /// Those whose row cannot be read.
    pub unreadable: Vec<UnreadableJob>,
    /// From where to go on; `None` after the last.
    pub next: Option<After>,
}

/// An unfinished job whose row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableJob {
    /// Its id, as it stands there.
    pub id: String,
    /// Its queue.
    pub queue: QueueName,
    /// The column, and what is wrong with it.
    pub reason: String,
}

/// A place in the order of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After(String);

/// Holds other recoveries off until it is dropped.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "it is held for its lock")] Tx);

impl Store {
    /// What is needed to rebuild Redis.
    pub fn recovery(&self) -> Recovery<'_> {
        Recovery(self)
    }
}

impl Recovery<'_> {
    /// Which Postgres this is: its system identifier and its timeline. A restored copy has another of either, a promoted standby
    /// another timeline. `None` where a provider does not let its users ask.
    pub async fn identity(&self) -> Result<Option<String>, StoreError> {
        query_scalar!("select perch_postgres()")
            .fetch_one(&self.0.pool)
            .await
            .map_err(StoreError::on("ask which Postgres this is"))
    }

    /// Which Postgres this was when somebody saw to it last; what it was copied from says so, too.
    pub async fn known_identity(&self) -> Result<Option<String>, StoreError> {
        query_scalar!(
            "select identity from known_postgres where environment = $1 and identity <> ''",
            self.0.env_name()
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on("read which Postgres was here"))
    }

    /// Notes that this Postgres was seen, and when, where it is another than before: whatever is asked of it about the time before
    /// is in doubt from then on.
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

    /// Notes that this Postgres has lost something, whichever it is: what is asked of it about the time before is in doubt from
    /// then on.
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

    /// Whether Postgres has lost something within `time`.
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

    /// Notes that somebody has seen to this Postgres, or that it is the first.
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

    /// Waits until no other process restores, and holds them off until the answer is dropped, or for `most`: one that froze
    /// must not hold the others up for ever.
    pub async fn alone(&self, most: Duration) -> Result<Alone, StoreError> {
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
        Ok(Alone(tx))
    }

    /// Jobs of `queues` that have not ended, and dead letters younger than `retention`, by id, at most `limit` after `after`. Rows of the
    /// outbox that Redis never had are left to the relay. Jobs whose envelope nobody knows are left out.
    pub async fn unfinished(
        &self,
        queues: &[QueueName],
        after: Option<After>,
        limit: u32,
        retention: Duration,
    ) -> Result<UnfinishedJobs, StoreError> {
        self.unfinished_and_kept(queues, &[], after, limit, retention).await
    }

    /// The same, and of `others` the jobs that were accepted into the outbox, as those that are enqueued in SQL.
    pub async fn unfinished_and_kept(
        &self,
        queues: &[QueueName],
        others: &[QueueName],
        after: Option<After>,
        limit: u32,
        retention: Duration,
    ) -> Result<UnfinishedJobs, StoreError> {
        let doing = "read unfinished jobs";
        let rows = query!(
            // The members of a jsonb object are few and come before the payload, where the scripts look for them.
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
            after.map(|After(id)| id).unwrap_or_default(),
            i64::from(limit),
            i64::try_from(retention.as_secs()).unwrap_or(i64::MAX),
            texts(queues),
            texts(others)
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        let is_full = rows.len() == limit as usize;
        let mut some = UnfinishedJobs { jobs: Vec::with_capacity(rows.len()), unreadable: Vec::new(), next: None };
        for row in &rows {
            let id: String = row.try_get("id").map_err(StoreError::on(doing))?;
            some.next = is_full.then(|| After(id.clone()));
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

/// `None` when nobody knows its envelope.
fn unfinished(row: &PgRow) -> Result<Option<Unfinished>, sqlx::Error> {
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
    Ok(Some(Unfinished { queue: parsed(row, "queue")?, restore }))
}
