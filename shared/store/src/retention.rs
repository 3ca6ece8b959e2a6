use chrono::{DateTime, Utc};
use perch_jobs::JobId;

use crate::{History, StoreError, query_as};

/// What a call of [`History::prune`] removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Jobs.
    pub jobs: u64,
    /// Their events.
    pub events: u64,
}

impl History<'_> {
    /// Removes jobs that were enqueued and last changed before `older_than`, with their events: at most `batch` jobs in one
    /// transaction, so call it again until it removes fewer. Jobs that are still to run after `older_than` are kept.
    pub async fn prune(&self, older_than: DateTime<Utc>, batch: u32) -> Result<Pruned, StoreError> {
        let (jobs, events): (i64, i64) = query_as!(
            "with old as (
                 select id from jobs
                 where environment = $1 and id < $4 and changed_at < $2
                   and (finished_at is not null or coalesce(run_at, changed_at) < $2)
                 order by id
                 limit $3
                 for update skip locked
             ), gone_events as (
                 delete from job_events e using old where e.environment = $1 and e.job_id = old.id returning 1
             ), gone_jobs as (
                 delete from jobs j using old where j.environment = $1 and j.id = old.id returning 1
             )
             select (select count(*) from gone_jobs) as jobs, (select count(*) from gone_events) as events",
            self.0.env_name(),
            older_than,
            i64::from(batch),
            JobId::from_parts(older_than, 0).to_string()
        )
        .fetch_one(&self.0.pool)
        .await
        .map_err(StoreError::on("prune the history"))?;
        Ok(Pruned { jobs: crate::row::unsigned(jobs), events: crate::row::unsigned(events) })
    }
}
