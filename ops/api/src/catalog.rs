//! What there is besides jobs: kinds, cron entries, workers.

use std::time::Duration;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use perch_jobs::{JobId, JobType, Priority, QueueName};
use perch_queue::{CronView, WorkerView};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App,
    problem::{Answer, Problem},
};

/// Workers that were silent for longer are not listed.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// A kind of job and its rules.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Kind)]
pub struct KindAnswer {
    /// Its name.
    #[schema(example = "publish_post")]
    pub kind: String,
    /// The queue its jobs wait in.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Which jobs go first.
    pub priority: Priority,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// Attempts in all.
    pub max_attempts: u32,
    /// The longest first delay between attempts, in milliseconds.
    pub base_ms: u64,
    /// The longest delay of all, in milliseconds.
    pub cap_ms: u64,
    /// The JSON schema of its payload.
    #[schema(value_type = Object)]
    pub schema: serde_json::Value,
}

impl From<&JobType> for KindAnswer {
    fn from(job_type: &JobType) -> Self {
        Self {
            kind: job_type.kind.to_string(),
            queue: job_type.queue.clone(),
            priority: job_type.priority,
            timeout_ms: u64::try_from(job_type.timeout.as_millis()).unwrap_or(u64::MAX),
            max_attempts: job_type.retry.max_attempts,
            base_ms: job_type.retry.base_ms,
            cap_ms: job_type.retry.cap_ms,
            schema: job_type.schema().to_value(),
        }
    }
}

/// The kinds.
#[derive(Debug, Serialize, ToSchema)]
pub struct KindList {
    /// All of them, by name.
    pub kinds: Vec<KindAnswer>,
}

/// List kinds
///
/// What can be enqueued, by which rules it runs, and the JSON schema of its payload.
#[utoipa::path(get, path = "/kinds", tag = "catalog", operation_id = "kinds",
    responses((status = 200, description = "The kinds.", body = KindList)))]
pub(super) async fn kinds(State(app): State<App>) -> Json<KindList> {
    Json(KindList { kinds: app.queues.types().iter().map(KindAnswer::from).collect() })
}

/// A cron entry and where it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct CronAnswer {
    /// The entry.
    pub entry: String,
    /// Its schedule as configured.
    #[schema(example = "0 9 * * *")]
    pub schedule: String,
    /// Its time zone.
    #[schema(example = "UTC")]
    pub timezone: String,
    /// The kind of its jobs.
    pub kind: String,
    /// Whether it fires.
    pub enabled: bool,
    /// The last tick that was fired.
    pub last: Option<DateTime<Utc>>,
    /// The next tick.
    pub next: Option<DateTime<Utc>>,
    /// The job of the last tick.
    #[schema(value_type = Option<String>)]
    pub last_job: Option<JobId>,
}

impl From<CronView> for CronAnswer {
    fn from(view: CronView) -> Self {
        let CronView { entry, schedule, timezone, kind, enabled, last, next, last_job } = view;
        Self { entry, schedule, timezone, kind, enabled, last, next, last_job }
    }
}

/// The cron entries.
#[derive(Debug, Serialize, ToSchema)]
pub struct CronList {
    /// All of them, by name.
    pub entries: Vec<CronAnswer>,
}

/// List cron entries
#[utoipa::path(get, path = "/cron", tag = "catalog", operation_id = "cron",
    responses((status = 200, description = "The entries.", body = CronList)))]
pub(super) async fn cron(State(app): State<App>) -> Answer<Json<CronList>> {
    let views = try_join_all(app.cron.iter().map(perch_queue::CronEntry::view)).await?;
    Ok(Json(CronList { entries: views.into_iter().map(CronAnswer::from).collect() }))
}

/// A worker process, as one queue knows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// The queue.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// When it last fetched or renewed its leases.
    pub seen: DateTime<Utc>,
    /// When it started.
    pub since: Option<DateTime<Utc>>,
    /// Its release.
    pub version: Option<String>,
    /// Jobs that it runs at once from this queue.
    pub concurrency: Option<u64>,
    /// Jobs that it has now.
    pub running: u64,
}

impl From<WorkerView> for Worker {
    fn from(view: WorkerView) -> Self {
        let WorkerView { name, queue, seen, since, version, concurrency, running } = view;
        Self { name, queue, seen, since, version, concurrency, running }
    }
}

/// The workers.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerList {
    /// Those seen within the last minute, once for each of their queues.
    pub workers: Vec<Worker>,
}

/// List workers
#[utoipa::path(get, path = "/workers", tag = "catalog", operation_id = "workers",
    responses((status = 200, description = "The workers.", body = WorkerList)))]
pub(super) async fn workers(State(app): State<App>) -> Answer<Json<WorkerList>> {
    let read = app.queues.iter().map(|queue| async move { Ok::<_, Problem>(queue.workers(SEEN_WITHIN).await?) });
    let workers = try_join_all(read).await?.into_iter().flatten().map(Worker::from).collect();
    Ok(Json(WorkerList { workers }))
}
