//! The events of a queue in order, and queries about many jobs at once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, QueueName};
use perch_queue::{EntryId, JobEvent};
use serde::Serialize;
use sqlx::{FromRow, Row as _, postgres::PgRow};

use crate::{
    History, StoreError, query, query_as,
    record::signed,
    row::{parsed, small_count, time, time_option, unsigned},
};

/// An event of a job, read from the history or from the stream that the history is written from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueEvent {
    /// Its position in the order: the version of its entry, and its index within the entry.
    #[serde(skip)]
    pub place: (EntryId, u32),
    /// When.
    pub at: DateTime<Utc>,
    /// To which job.
    #[serde(rename = "job_id")]
    pub job: JobId,
    /// The kind of the job, where that is known.
    pub kind: Option<String>,
    /// The name of the event.
    pub event: String,
    /// The attempt it belongs to.
    pub attempt: Option<u32>,
    /// The worker.
    pub worker: Option<String>,
    /// How long the attempt took, in milliseconds.
    #[serde(rename = "duration_ms")]
    pub ms: Option<u64>,
    /// What went wrong, or why.
    pub error: Option<String>,
    /// When the job runs next.
    #[serde(rename = "next_run")]
    pub next: Option<DateTime<Utc>>,
    /// The trace of the attempt.
    pub trace: Option<String>,
    /// Who asked for it.
    #[serde(rename = "actor")]
    pub by: Option<String>,
}

impl QueueEvent {
    /// An event of the stream, which does not contain the kind of the job.
    pub fn of_stream(event: &JobEvent) -> Self {
        let data = event.data();
        Self {
            place: (event.entry, event.index),
            at: event.at(),
            job: event.job,
            kind: None,
            event: event.kind.as_str().to_owned(),
            attempt: data.attempt,
            worker: data.worker,
            ms: data.ms,
            error: data.error,
            next: data.next.and_then(DateTime::from_timestamp_millis),
            trace: data.trace,
            by: data.by,
        }
    }
}

fn place(row: &PgRow) -> Result<(EntryId, u32), sqlx::Error> {
    let (ms, seq): (i64, i64) = (row.try_get("ms")?, row.try_get("seq")?);
    Ok((EntryId { ms: unsigned(ms), seq: unsigned(seq) }, small_count(row, "idx")?))
}

impl FromRow<'_, PgRow> for QueueEvent {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            place: place(row)?,
            at: time(row, "at")?,
            job: parsed(row, "job_id")?,
            kind: row.try_get("job_kind")?,
            event: row.try_get("kind")?,
            attempt: row.try_get::<Option<i32>, _>("attempt")?.and_then(|n| u32::try_from(n).ok()),
            worker: row.try_get("worker")?,
            ms: row.try_get::<Option<i64>, _>("duration_ms")?.map(unsigned),
            error: row.try_get("error")?,
            next: time_option(row, "next_run")?,
            trace: row.try_get("trace")?,
            by: row.try_get("actor")?,
        })
    }
}

impl History<'_> {
    /// The events of a queue after the position `after`, up to the version `upto` and not before `since`, in order; at most
    /// `limit`, with the position to continue from when there may be more.
    pub async fn queue_events(
        &self,
        queue: &QueueName,
        after: (EntryId, u32),
        upto: EntryId,
        since: DateTime<Utc>,
        limit: u32,
    ) -> Result<(Vec<QueueEvent>, Option<(EntryId, u32)>), StoreError> {
        let doing = "read the events of a queue";
        let rows = query!(
            "select e.ms, e.seq, e.idx, e.at, e.job_id, j.kind as job_kind, e.kind, e.attempt, e.worker, e.duration_ms, e.error,
                    e.next_run, e.trace, e.actor
             from job_events e left join jobs j on j.environment = e.environment and j.id = e.job_id
             where e.environment = $1 and e.queue = $2 and (e.ms, e.seq, e.idx) > ($3, $4, $5) and (e.ms, e.seq) <= ($6, $7)
               and e.at >= $8
             order by e.ms, e.seq, e.idx limit $9",
            self.0.env_name(),
            queue.as_str(),
            signed(after.0.ms),
            signed(after.0.seq),
            i32::try_from(after.1).unwrap_or(i32::MAX),
            signed(upto.ms),
            signed(upto.seq),
            since,
            i64::from(limit)
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        let last = rows.last().filter(|_| rows.len() == limit as usize);
        let next = last.map(place).transpose().map_err(StoreError::on(doing))?;
        let events = rows.iter().filter_map(|row| match QueueEvent::from_row(row) {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::warn!(%queue, %error, "an event of the history cannot be read");
                None
            }
        });
        Ok((events.collect(), next))
    }

    /// The kinds of `jobs`, where known.
    pub async fn kinds(&self, jobs: &[JobId]) -> Result<HashMap<JobId, String>, StoreError> {
        let rows: Vec<(String, String)> = query_as!(
            "select id, kind from jobs where environment = $1 and id = any($2) and kind is not null",
            self.0.env_name(),
            jobs.iter().map(ToString::to_string).collect::<Vec<_>>()
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on("read the kinds of jobs"))?;
        Ok(rows.into_iter().filter_map(|(id, kind)| Some((id.parse().ok()?, kind))).collect())
    }

    /// The newest jobs of `queues` that have not ended, are no dead letters, were handed to Redis, and were enqueued before `before`;
    /// at most `limit`.
    pub async fn newest_unfinished(
        &self,
        queues: &[QueueName],
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(QueueName, JobId)>, StoreError> {
        let rows: Vec<(String, String)> = query_as!(
            "select j.queue, j.id from jobs j left join outbox o on o.environment = j.environment and o.id = j.id
             where j.environment = $1 and j.state not in ('done', 'cancelled', 'discarded', 'dead') and j.queue = any($2)
               and (o.id is null or o.handed_over_at is not null) and j.id < $4
             order by j.id desc limit $3",
            self.0.env_name(),
            queues.iter().map(ToString::to_string).collect::<Vec<_>>(),
            i64::from(limit),
            JobId::from_parts(before, 0).to_string()
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on("read the newest unfinished jobs"))?;
        Ok(rows.into_iter().filter_map(|(queue, id)| Some((queue.parse().ok()?, id.parse().ok()?))).collect())
    }
}
