//! One row at a time, held while its job is attempted without Redis.

use std::time::Duration;

use perch_jobs::{JobId, JobKind};

use super::{Outbox, OutboxEntry, OutboxRow, waiting};
use crate::{StoreError, pool::Tx, query, query_as, query_scalar};

/// A row of the outbox that no relay hands over, and that nobody else holds, until this is released or dropped, or Postgres ends the
/// session.
pub struct HeldRow {
    tx: Tx,
    /// The row.
    pub entry: OutboxEntry,
}

impl HeldRow {
    /// Gives the row back.
    pub async fn release(self) -> Result<(), StoreError> {
        self.tx.rollback().await.map_err(StoreError::on("give back a row of the outbox"))
    }
}

impl Outbox<'_> {
    /// Holds a row of one of these kinds for `within` at most, except those in `skip`: the oldest one, and those in `last` after all others, in
    /// their order. In an environment one row is held at a time, whoever asks. A queue that an operator has paused, by the audit log, has none,
    /// and a job that has ended by the last that Postgres knows of it is left to Redis.
    pub async fn hold(
        &self,
        kinds: &[JobKind],
        (skip, last): (&[JobId], &[JobId]),
        within: Duration,
    ) -> Result<Option<HeldRow>, StoreError> {
        let doing = "hold a row of the outbox";
        let mut tx = self.0.pool.begin().await.map_err(StoreError::on(doing))?;
        query!(
            "select set_config('idle_in_transaction_session_timeout', $1, true) as held",
            within.as_millis().to_string()
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let is_alone: bool = query_scalar!(
            "select pg_try_advisory_xact_lock(hashtext('perch without redis'), hashtext($1)) as alone",
            self.0.env_name()
        )
        .fetch_one(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        if !is_alone {
            return Ok(None);
        }
        let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        let texts = |ids: &[JobId]| ids.iter().map(ToString::to_string).collect::<Vec<String>>();
        let rows: Vec<OutboxRow> = query_as!(
            "select id, queue, kind, envelope, request::text as request, on_conflict,
                    (extract(epoch from clock_timestamp() - greatest(least(created_at, clock_timestamp()), '0001-01-01Z'))
                     * 1000)::bigint as waited_ms
             from outbox o
             where environment = $1 and handed_over_at is null and relay_at <= clock_timestamp()
               and kind = any($2) and id <> all($3)
               and coalesce((select l.action from audit_log l
                             where l.environment = $1 and l.object = o.queue and l.action in ('queue.pause', 'queue.resume')
                             order by l.id desc limit 1), '') <> 'queue.pause'
               and not exists (select from jobs j where j.environment = $1 and j.id = o.id
                                                     and j.state in ('done', 'dead', 'cancelled', 'discarded'))
             order by array_position($4, id) nulls first, relay_at, id limit 1
             for update of o skip locked",
            self.0.env_name(),
            &kinds,
            texts(skip),
            texts(last)
        )
        .fetch_all(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        Ok(rows.into_iter().find_map(waiting).map(|entry| HeldRow { tx, entry }))
    }
}
