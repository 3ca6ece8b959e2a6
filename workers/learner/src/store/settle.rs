//! Settles decisions and slots: brings them up to date with the ledger and the jobs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_store::{
    StoreError, query, query_as, query_scalar,
    row::{readable_rows, unsigned},
};

use super::{LearnerTables, LoggedDecision};

/// What a settlement has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Decisions that the ledger has as published.
    pub published: u64,
    /// Decisions whose job is dead.
    pub failed: u64,
    /// Decisions whose job did not begin in time.
    pub missed: u64,
}

impl LearnerTables<'_> {
    /// Settles at most 500 decisions of each kind, with their slots: published when the ledger has confirmed the effect (of a thread, that
    /// of its first part), failed when the job is dead, missed when it could not begin within `publish_within`. It is idempotent.
    pub async fn settle(&self, publish_within: Duration) -> Result<Settled, StoreError> {
        let doing = "settle decisions";
        let published: i64 = query_scalar!(
            "with done as (
                 select o.decision_id, e.external_id, e.settled_at,
                        coalesce((e.response ->> 'simulated')::boolean, false) as simulated
                 from learner.outcomes o
                 join learner.decisions d on d.environment = o.environment and d.id = o.decision_id
                 join effects e on e.environment = d.environment and e.state = 'confirmed'
                               and e.key in (d.effect_key, d.effect_key || ':part:1')
                 where o.environment = $1 and o.state in ('decided', 'failed', 'missed')
                   and d.decided_at > clock_timestamp() - interval '60 days'
                 limit 500
             ), changed as (
                 update learner.outcomes o
                 set state = 'published', external_id = done.external_id, simulated = done.simulated, reason = null,
                     published_at = coalesce(done.settled_at, clock_timestamp()), updated_at = clock_timestamp()
                 from done
                 where o.environment = $1 and o.decision_id = done.decision_id
                 returning o.decision_id
             ), slots as (
                 update learner.slots s set state = 'published', reason = null, settled_at = clock_timestamp()
                 from changed join learner.decisions d on d.environment = $1 and d.id = changed.decision_id
                 where s.environment = $1 and s.bot_id = d.bot_id and s.slot_at = d.slot_at
             )
             select count(*) from changed",
            self.0.env().as_str()
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        // A job that ended after its deadline, with no call to X under way, was too late; any other failed.
        let (failed, missed): (i64, i64) = query_as!(
            "with dead as (
                 select o.decision_id, d.bot_id, d.slot_at, j.last_error,
                        (j.id is null or j.state = 'dead'
                                         and extract(epoch from j.finished_at) * 1000 >= (j.envelope ->> 'deadline')::numeric)
                            and coalesce(e.state, 'failed') = 'failed' as late
                 from learner.outcomes o
                 join learner.decisions d on d.environment = o.environment and d.id = o.decision_id
                 left join jobs j on j.environment = d.environment and j.id = d.job_id
                 left join effects e on e.environment = d.environment and e.key in (d.effect_key, d.effect_key || ':part:1')
                 where o.environment = $1 and o.state = 'decided'
                   and (j.state in ('dead', 'discarded', 'cancelled')
                        or j.id is null
                           and d.decided_at < clock_timestamp() - $2::bigint * interval '1 second' - interval '15 minutes')
                   and coalesce(e.state, 'failed') <> 'confirmed'
                 limit 500
             ), changed as (
                 update learner.outcomes o
                 set state = case when dead.late then 'missed' else 'failed' end,
                     reason = case when dead.late then 'it could not be published in time'
                                   else coalesce(dead.last_error, 'its job was ended') end,
                     updated_at = clock_timestamp()
                 from dead
                 where o.environment = $1 and o.decision_id = dead.decision_id
             ), slots as (
                 update learner.slots s
                 set state = case when dead.late then 'missed' else 'failed' end, settled_at = clock_timestamp(),
                     reason = case when dead.late then 'its post could not be published in time'
                                   else coalesce(dead.last_error, 'its job was ended') end
                 from dead
                 where s.environment = $1 and s.bot_id = dead.bot_id and s.slot_at = dead.slot_at
             )
             select count(*) filter (where not late) as failed, count(*) filter (where late) as missed from dead",
            self.0.env().as_str(),
            i64::try_from(publish_within.as_secs()).unwrap_or(i64::MAX)
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        Ok(Settled { published: unsigned(published), failed: unsigned(failed), missed: unsigned(missed) })
    }

    /// Decisions made before `before` whose job is not noted as enqueued, the oldest first, at most 100.
    pub async fn not_handed_over(&self, before: DateTime<Utc>) -> Result<Vec<LoggedDecision>, StoreError> {
        readable_rows(
            "look for decisions",
            query_as!(
                "select d.*, o.state, o.external_id, o.simulated, o.published_at, o.reason, null::float8 as reward, null::bigint as follows, c.parts
                 from learner.outcomes o
                 join learner.decisions d on d.environment = o.environment and d.id = o.decision_id
                 join learner.candidates c on c.environment = d.environment and c.id = d.candidate_id
                 where o.environment = $1 and o.state = 'decided' and o.handed_over_at is null and d.decided_at < $2
                 order by d.id limit 100",
                self.0.env().as_str(),
                before
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Notes that the job of a decision is enqueued.
    pub async fn handed_over(&self, decision: i64) -> Result<(), StoreError> {
        query!(
            "update learner.outcomes set handed_over_at = clock_timestamp()
             where environment = $1 and decision_id = $2 and state = 'decided'",
            self.0.env().as_str(),
            decision
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note that a decision is handed over"))
    }

    /// Drops candidates that were not chosen in time. Answers how many.
    pub async fn expire(&self) -> Result<u64, StoreError> {
        query!(
            "update learner.candidates
             set state = 'expired', updated_at = clock_timestamp(),
                 reason = case when state = 'in_review' then 'nobody decided in time' else 'it was not chosen in time' end
             where environment = $1 and state in ('drafted', 'in_review', 'ready') and expires_at <= clock_timestamp()",
            self.0.env().as_str()
        )
        .execute(self.0.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::on("expire candidates"))
    }

    /// Removes rejected and expired candidates after 90 days, series of analytics after 400, and slots after 400. The log of decisions and
    /// the rewards stay. At most 10,000 rows each; answers how many.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let doing = "prune the tables of the learning poster";
        let mut rows = 0;
        rows += query!(
            "delete from learner.candidates where environment = $1 and id in (
                 select id from learner.candidates
                 where environment = $1 and state in ('rejected', 'expired') and updated_at < clock_timestamp() - interval '90 days'
                 order by id limit 10000)",
            self.0.env().as_str()
        )
        .execute(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?
        .rows_affected();
        rows += query!(
            "delete from learner.post_analytics where environment = $1 and ctid in (
                 select ctid from learner.post_analytics
                 where environment = $1 and observed_at < clock_timestamp() - interval '400 days' limit 10000)",
            self.0.env().as_str()
        )
        .execute(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?
        .rows_affected();
        rows += query!(
            "delete from learner.slots where environment = $1 and ctid in (
                 select ctid from learner.slots
                 where environment = $1 and state in ('published', 'failed', 'missed')
                   and slot_at < clock_timestamp() - interval '400 days' limit 10000)",
            self.0.env().as_str()
        )
        .execute(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?
        .rows_affected();
        Ok(rows)
    }
}
