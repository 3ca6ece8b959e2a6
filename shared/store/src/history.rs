use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use perch_jobs::{JobId, JobState, Priority, QueueName};
use perch_queue::JobFilter;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Postgres, QueryBuilder, Row as _, postgres::PgRow};

use crate::{
    Store, StoreError, StoredEffect, query_as,
    row::{self, Moment, parsed, parsed_option, readable_rows, small_count, time, time_option, unsigned, word},
};

/// What Postgres knows of a job. In a queue whose history keeps only failures, that is the job's last failure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its kind, unless the envelope never arrived or could not be read.
    pub kind: Option<String>,
    /// Its state.
    pub state: JobState,
    /// Its priority.
    pub priority: Priority,
    /// Its payload.
    pub payload: Option<serde_json::Value>,
    /// Its envelope without the payload.
    pub envelope: Option<serde_json::Value>,
    /// The group that its limits are counted by.
    pub group: Option<String>,
    /// The job whose handler enqueued it.
    pub parent: Option<JobId>,
    /// Attempts allowed.
    pub max_attempts: Option<u32>,
    /// When it runs next, or was last meant to.
    pub run_at: Option<DateTime<Utc>>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When the last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it became done, dead, cancelled or discarded.
    pub finished_at: Option<DateTime<Utc>>,
    /// Attempts counted.
    pub attempts: u32,
    /// How often it was replayed.
    pub replays: u32,
    /// The worker of the last attempt.
    pub worker: Option<String>,
    /// The last error.
    pub last_error: Option<String>,
    /// The result that the handler returned.
    pub result: Option<serde_json::Value>,
    /// The trace of the enqueue, as a W3C `traceparent`.
    pub traceparent: Option<String>,
    /// When its last recorded event happened.
    pub changed_at: DateTime<Utc>,
}

impl FromRow<'_, PgRow> for JobRecord {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: parsed(row, "id")?,
            queue: parsed(row, "queue")?,
            kind: row.try_get("kind")?,
            state: word(row, "state")?,
            priority: word(row, "priority")?,
            payload: row.try_get("payload")?,
            envelope: row.try_get("envelope")?,
            group: row.try_get("group_key")?,
            parent: parsed_option(row, "parent")?,
            max_attempts: row.try_get::<Option<i32>, _>("max_attempts")?.and_then(|n| u32::try_from(n).ok()),
            run_at: time_option(row, "run_at")?,
            created_at: time(row, "created_at")?,
            started_at: time_option(row, "started_at")?,
            finished_at: time_option(row, "finished_at")?,
            attempts: small_count(row, "attempts")?,
            replays: small_count(row, "replays")?,
            worker: row.try_get("worker")?,
            last_error: row.try_get("last_error")?,
            result: row.try_get("result")?,
            traceparent: row.try_get("traceparent")?,
            changed_at: time(row, "changed_at")?,
        })
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It has not ended.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed, and another was to follow.
    Retried,
    /// The handler snoozed the job; the attempt does not count.
    Snoozed,
    /// It failed, and the job became a dead letter.
    Dead,
    /// It was cancelled.
    Cancelled,
    /// Its worker was lost.
    Lost,
    /// Its worker shut down; the attempt does not count.
    Released,
    /// It failed according to Redis; what followed is not known yet.
    Failed,
}

impl AttemptOutcome {
    /// As it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Retried => "retried",
            Self::Snoozed => "snoozed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Released => "released",
            Self::Failed => "failed",
        }
    }
}

/// One attempt of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Attempt))]
pub struct AttemptRecord {
    /// Its number, from 1. One that does not count shares its number with the next.
    pub attempt: u32,
    /// The worker.
    pub worker: Option<String>,
    /// When it began, where that was recorded.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What went wrong.
    pub error: Option<String>,
    /// When the next attempt was to follow.
    pub next_run: Option<DateTime<Utc>>,
    /// Its trace: 32 hexadecimal digits.
    pub trace: Option<String>,
}

impl FromRow<'_, PgRow> for AttemptRecord {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            attempt: small_count(row, "attempt")?,
            worker: row.try_get("worker")?,
            started_at: time_option(row, "started_at")?,
            finished_at: time_option(row, "finished_at")?,
            duration_ms: row.try_get::<Option<i64>, _>("duration_ms")?.map(unsigned),
            outcome: word(row, "outcome")?,
            error: row.try_get("error")?,
            next_run: time_option(row, "next_run")?,
            trace: row.try_get("trace")?,
        })
    }
}

/// One event of a job, as it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct EventRecord {
    /// When.
    #[sqlx(try_from = "Moment")]
    pub at: DateTime<Utc>,
    /// The name of the event.
    #[sqlx(rename = "kind")]
    pub event: String,
    /// The attempt it belongs to.
    pub attempt: Option<i32>,
    /// The worker.
    pub worker: Option<String>,
    /// What went wrong, or why.
    pub error: Option<String>,
    /// Who did it, for operations such as a cancel or a replay.
    pub actor: Option<String>,
}

/// Whether the state is rare, so that the table has an index of such jobs.
const fn is_aside(state: JobState) -> bool {
    matches!(state, JobState::Delayed | JobState::Dead | JobState::Cancelled | JobState::Discarded)
}

/// The name of this list in its cursors.
const LIST: &str = "history";

/// Selects the columns of a job by name: `select *` fails in processes that run while a migration adds a column.
macro_rules! select_jobs {
    ($with:ident, $large:literal, $rest:literal $(, $argument:expr)*) => {
        $with!(
            "select id, queue, kind, state, priority, group_key, parent, max_attempts, run_at, created_at, started_at,
                    finished_at, attempts, replays, worker, last_error, traceparent, changed_at, "
            $large
            " from jobs where environment = "
            $rest
            $(, $argument)*
        )
    };
}

/// The beginning of a statement, to which a filter is appended.
macro_rules! beginning {
    ($($text:literal)+) => {
        concat!($($text),+)
    };
}

/// The columns of a job without those that may be large.
const BRIEFLY: &str =
    select_jobs!(beginning, "null::jsonb as payload, null::jsonb as envelope, null::jsonb as result", "");

/// The history of jobs in Postgres.
#[derive(Debug, Clone, Copy)]
pub struct History<'a>(pub(crate) &'a Store);

impl Store {
    /// The history of jobs in Postgres.
    pub fn history(&self) -> History<'_> {
        History(self)
    }
}

impl History<'_> {
    /// One job.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        select_jobs!(query_as, "payload, envelope, result", "$1 and id = $2", self.0.env_name(), id.to_string())
            .fetch_optional(&self.0.pool)
            .await
            .map_err(StoreError::on("read a job"))
    }

    /// Its attempts, oldest first; the first 1000.
    pub async fn attempts(&self, id: JobId) -> Result<Vec<AttemptRecord>, StoreError> {
        readable_rows(
            "read the attempts of a job",
            query_as!(
                "select attempt, worker, started_at, finished_at, duration_ms, outcome, error, next_run, trace
             from job_attempts where environment = $1 and job_id = $2 order by ms, seq, idx limit 1000",
                self.0.env_name(),
                id.to_string()
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }

    /// Its events, oldest first; the first 1000.
    pub async fn events(&self, id: JobId) -> Result<Vec<EventRecord>, StoreError> {
        readable_rows(
            "read the events of a job",
            query_as!(
                "select at, kind, attempt, worker, error, actor
             from job_events where environment = $1 and job_id = $2 order by ms, seq, idx limit 1000",
                self.0.env_name(),
                id.to_string()
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }

    /// The jobs that its handler enqueued, oldest first; the first 1000.
    pub async fn children(&self, id: JobId) -> Result<Vec<JobRecord>, StoreError> {
        readable_rows(
            "read the children of a job",
            select_jobs!(
                query_as,
                "payload, envelope, result",
                "$1 and parent = $2 order by id limit 1000",
                self.0.env_name(),
                id.to_string()
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }

    /// The effects of a job.
    pub async fn effects_of(&self, id: JobId) -> Result<Vec<StoredEffect>, StoreError> {
        self.0.effects().of_job(id).await
    }

    /// Jobs, newest first, page by page, without payloads, envelopes and results, which may be large. Relative times of the filter count
    /// from `now`.
    pub async fn page(
        &self,
        filter: &JobFilter,
        paging: &Paging,
        now: DateTime<Utc>,
    ) -> Result<Page<JobRecord>, StoreError> {
        let doing = "search jobs";
        let before: Option<String> = paging.place(LIST)?;
        let mut query = self.fitting(BRIEFLY, filter, now);
        if let Some(before) = before {
            query.push(" and id < ").push_bind(before);
        }
        query.push(" order by id desc limit ").push_bind(paging.rows());
        let rows = query.build().fetch_all(&self.0.pool).await.map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<String, _>("id"))
    }

    /// The newest 100 jobs that match, with all columns.
    pub async fn search(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, StoreError> {
        let mut query = self.fitting(select_jobs!(beginning, "payload, envelope, result", ""), filter, Utc::now());
        query.push(" order by id desc limit 100");
        readable_rows("search jobs", query.build_query_as().fetch_all(&self.0.pool)).await
    }

    fn fitting(self, columns: &str, filter: &JobFilter, now: DateTime<Utc>) -> QueryBuilder<Postgres> {
        let mut query: QueryBuilder<Postgres> = QueryBuilder::new(columns);
        query.push_bind(self.0.env_name());
        if !filter.queue.is_empty() {
            let names: Vec<String> = filter.queue.iter().map(ToString::to_string).collect();
            query.push(" and queue = any(").push_bind(names).push(")");
        }
        let texts = [
            (" and kind = ", filter.kind.as_ref().map(ToString::to_string)),
            (" and state = ", filter.state.filter(|state| !is_aside(*state)).map(|state| state.as_str().to_owned())),
            (" and aside = ", filter.state.filter(|state| is_aside(*state)).map(|state| state.as_str().to_owned())),
            (" and group_key = ", filter.group.clone()),
            (" and parent = ", filter.parent.map(|id| id.to_string())),
        ];
        for (condition, value) in texts {
            if let Some(value) = value {
                query.push(condition).push_bind(value);
            }
        }
        for (condition, time) in [(" and created_at >= ", filter.since), (" and created_at < ", filter.until)] {
            if let Some(time) = time {
                query.push(condition).push_bind(time.from(now));
            }
        }
        if let Some(error) = &filter.error {
            query.push(" and position(lower(").push_bind(error.clone()).push(") in lower(last_error)) > 0");
        }
        query
    }
}
