//! Whether a restore would find what it needs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_jobs::QueueName;
use sqlx::FromRow;

use crate::{Recovery, StoreError, query_as, query_scalar, row::Moment};

/// What Postgres reports about its backups. A field is `None` when this user may not see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupFacts {
    /// Whether its WAL holds enough for an archive or a replica (`wal_level` is not `minimal`).
    pub has_full_wal: Option<bool>,
    /// Whether it archives its WAL (`archive_mode`).
    pub archives: Option<bool>,
    /// Whether an archiver is configured (`archive_command`, `archive_library`).
    pub has_archiver: Option<bool>,
    /// When it last archived a WAL segment.
    pub archived: Option<DateTime<Utc>>,
    /// When archiving last failed.
    pub failed: Option<DateTime<Utc>>,
    /// Servers that receive its WAL at this moment, without subscribers of logical replication.
    pub replicas: Option<u64>,
}

/// Whether unfinished jobs could be put back from Postgres alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct Restorable {
    /// Jobs that have not ended, dead letters among them.
    pub unfinished: i64,
    /// Of these, jobs whose envelope Postgres does not have, because their history was cut off before it arrived.
    pub without_envelope: i64,
    /// Jobs, not among these, that are in the outbox but not in the history: whether they ended is unknown.
    pub without_history: i64,
}

/// The times of the last success and the last failure.
type Times = (Option<Moment>, Option<Moment>);

const DOING: &str = "ask about backups";

impl Recovery<'_> {
    /// Whether the unfinished jobs of `queues`, and their dead letters younger than `retention`, could be restored. Jobs that the
    /// outbox still has to hand over count as restorable.
    pub async fn restorable(&self, queues: &[QueueName], retention: Duration) -> Result<Restorable, StoreError> {
        query_as!(
            "with known as (
                 select coalesce(o.envelope, o.request::text) is not null
                        or (j.envelope ? 'max' and j.payload is not null) is true as has_envelope
                 from jobs j left join outbox o on o.environment = j.environment and o.id = j.id
                 where j.environment = $1 and j.queue = any($2) and j.state in ('delayed', 'waiting', 'running', 'dead')
                   and (j.state <> 'dead' or j.changed_at > clock_timestamp() - $3 * interval '1 second')
             )
             select count(*) as unfinished,
                    count(*) filter (where not has_envelope) as without_envelope,
                    (select count(*) from outbox o
                     where o.environment = $1 and o.queue = any($2) and o.handed_over_at is not null
                       and not exists (select 1 from jobs j where j.environment = $1 and j.id = o.id)) as without_history
             from known",
            self.0.env_name(),
            queues.iter().map(ToString::to_string).collect::<Vec<_>>(),
            i64::try_from(retention.as_secs()).unwrap_or(i64::MAX)
        )
        .fetch_one(&self.0.pool)
        .await
        .map_err(StoreError::on("count what could be restored"))
    }

    /// What Postgres reports about its archive and replicas. Other backups, such as those of a managed service, cannot be seen here.
    pub async fn backups(&self) -> Result<BackupFacts, StoreError> {
        // The command itself is not read, because it may hold credentials. A setting that the user may not see gives no row.
        let settings: Vec<(String, bool)> = shown(
            query_as!(
                "select name, setting not in ('', 'off', '(disabled)', 'minimal') as is_on from pg_settings
                 where name in ('wal_level', 'archive_mode', 'archive_command', 'archive_library')"
            )
            .fetch_all(&self.0.pool)
            .await,
        )?
        .unwrap_or_default();
        let times: Option<Times> = shown(
            query_as!("select last_archived_time, last_failed_time from pg_stat_archiver")
                .fetch_one(&self.0.pool)
                .await,
        )?;
        let replicas: Option<i64> = shown(
            query_scalar!(
                "select count(*) from pg_stat_replication r
                 left join pg_replication_slots s on s.active_pid = r.pid
                 where coalesce(r.state, 'streaming') = 'streaming' and s.slot_type is distinct from 'logical'"
            )
            .fetch_one(&self.0.pool)
            .await,
        )?;
        let (archived, failed) = times.unwrap_or_default();
        let is_set = |wanted: &str| settings.iter().find(|(name, _)| name == wanted).map(|(_, is_set)| *is_set);
        let ways: Vec<bool> = ["archive_command", "archive_library"].into_iter().filter_map(is_set).collect();
        Ok(BackupFacts {
            has_full_wal: is_set("wal_level"),
            archives: is_set("archive_mode"),
            has_archiver: (!ways.is_empty()).then(|| ways.contains(&true)),
            archived: archived.map(DateTime::from),
            failed: failed.map(DateTime::from),
            replicas: replicas.map(i64::unsigned_abs),
        })
    }
}

/// The answer, or `None` when this user may not see it.
fn shown<T>(asked: Result<T, sqlx::Error>) -> Result<Option<T>, StoreError> {
    match asked.map_err(StoreError::on(DOING)) {
        Ok(shown) => Ok(Some(shown)),
        Err(error) if error.is_unavailable() => Err(error),
        Err(_) => Ok(None),
    }
}
