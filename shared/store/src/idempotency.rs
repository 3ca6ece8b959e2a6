//! Idempotency keys of ledger queues.

use std::time::Duration;

use perch_jobs::{JobId, QueueName};
use serde_json::Value;
use sqlx::FromRow;

use crate::{Store, StoreError, query, query_as, query_scalar, row::undecodable};

/// Idempotency keys of ledger queues. An expired key counts as absent.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyKeys<'a>(pub(crate) &'a Store);

/// A request that was made with an idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub struct IdempotentRequest {
    /// The SHA-256 of its body, in hexadecimal.
    pub request: String,
    /// The id that its job was given before it was enqueued.
    pub job: JobId,
    /// The answer, where known.
    pub answer: Option<Value>,
}

#[derive(FromRow)]
struct KeyRow {
    request: String,
    job_id: String,
    answer: Option<Value>,
}

/// Keys removed by one statement.
const AT_ONCE: i64 = 10_000;
/// How often to try to claim a key that disappears after each refused claim, and the pause between two tries.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);

impl Store {
    /// Idempotency keys of ledger queues.
    pub fn idempotency_keys(&self) -> IdempotencyKeys<'_> {
        IdempotencyKeys(self)
    }
}

impl IdempotencyKeys<'_> {
    /// Claims a key for a request, for `lasts`. Of concurrent callers exactly one gets `None`; the others get the request that
    /// holds the key. `key` is the SHA-256 of caller and key, in hexadecimal. [`StoreError::Contended`] when the key expired or was
    /// released each time before it could be read.
    pub async fn claim(
        &self,
        key: &str,
        mine: &IdempotentRequest,
        lasts: Duration,
    ) -> Result<Option<IdempotentRequest>, StoreError> {
        for _ in 0..TRIES {
            let claimed: Option<String> = query_scalar!(
                "insert into idempotency_keys as kept (environment, key_hash, request, job_id, answer, expires_at)
                 values ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 second')
                 on conflict (environment, key_hash) do update
                     set request = excluded.request, job_id = excluded.job_id, answer = excluded.answer,
                         expires_at = excluded.expires_at
                     where kept.expires_at <= clock_timestamp()
                 returning kept.job_id",
                self.0.env_name(),
                key,
                &mine.request,
                mine.job.to_string(),
                &mine.answer,
                i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX)
            )
            .fetch_optional(&self.0.pool)
            .await
            .map_err(StoreError::on("claim an idempotency key"))?;
            if claimed.is_some() {
                return Ok(None);
            }
            // None when it expired or was released between the two statements.
            if let Some(kept) = self.find(key).await? {
                return Ok(Some(kept));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(StoreError::Contended { what: "an idempotency key" })
    }

    /// The request that holds a key.
    pub async fn find(&self, key: &str) -> Result<Option<IdempotentRequest>, StoreError> {
        let doing = "read an idempotency key";
        let row: Option<KeyRow> = query_as!(
            "select request, job_id, answer from idempotency_keys
             where environment = $1 and key_hash = $2 and expires_at > clock_timestamp()",
            self.0.env_name(),
            key
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        row.map(|row| {
            let job = row.job_id.parse().map_err(|error| StoreError::sql(doing, undecodable("job_id", error)))?;
            Ok(IdempotentRequest { request: row.request, job, answer: row.answer })
        })
        .transpose()
    }

    /// Stores a request under a key for `lasts` from now, replacing any other request.
    pub async fn keep(&self, key: &str, known: &IdempotentRequest, lasts: Duration) -> Result<(), StoreError> {
        query!(
            "insert into idempotency_keys (environment, key_hash, request, job_id, answer, expires_at)
             values ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 second')
             on conflict (environment, key_hash) do update
                 set request = excluded.request, job_id = excluded.job_id, answer = excluded.answer,
                     expires_at = excluded.expires_at",
            self.0.env_name(),
            key,
            &known.request,
            known.job.to_string(),
            &known.answer,
            i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX)
        )
        .execute(&self.0.pool)
        .await
        .map(|_| ())
        .map_err(StoreError::on("keep an answer"))
    }

    /// Releases the key of a request that was refused. Returns false when there is nothing to release: a repetition of the request may
    /// have been answered in the meantime, and that answer is kept.
    pub async fn release(&self, key: &str) -> Result<bool, StoreError> {
        query!(
            "delete from idempotency_keys where environment = $1 and key_hash = $2 and answer is null",
            self.0.env_name(),
            key
        )
        .execute(&self.0.pool)
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(StoreError::on("release an idempotency key"))
    }

    /// The queue of a job that was accepted and has ended. `None` for an unfinished job: the caller enqueues it again under its id to
    /// find out whether it exists, because Redis may have lost it, and another job may take the place of one that is only in the
    /// outbox. A job that was cancelled before Redis had it was not accepted.
    pub async fn accepted(&self, job: JobId) -> Result<Option<QueueName>, StoreError> {
        let doing = "look for a job";
        let queue: Option<String> = query_scalar!(
            "select queue from jobs
             where environment = $1 and id = $2 and state in ('done', 'dead', 'cancelled', 'discarded')
               and not (state = 'cancelled' and version_ms = 0)",
            self.0.env_name(),
            job.to_string()
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        let parsed = queue.map(|queue| queue.parse()).transpose();
        parsed.map_err(|error| StoreError::sql(doing, undecodable("queue", error)))
    }

    /// Removes expired keys, at most 10,000, and returns how many.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        query!(
            "delete from idempotency_keys
             where environment = $1 and expires_at <= clock_timestamp() and key_hash in (
                 select key_hash from idempotency_keys
                 where environment = $1 and expires_at <= clock_timestamp()
                 limit $2 for update skip locked)",
            self.0.env_name(),
            AT_ONCE
        )
        .execute(&self.0.pool)
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::on("prune idempotency keys"))
    }
}
