//! Lists kinds, cron entries and workers.

use std::time::Duration;

use axum::{Json, extract::State};
use futures::future::try_join_all;
use perch_bot::http::ApiResult;
use perch_core::worker_list;
use perch_jobs::{JobType, Priority, QueueName};
use perch_queue::{CronView, Queue, WorkerView};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App,
    input::{NoFilter, Page, Paged, Paging},
};

/// Workers not seen for longer are not listed.
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

/// List kinds
///
/// What can be enqueued, by which rules it runs, and the JSON schema of its payload.
#[utoipa::path(get, path = "/kinds", tag = "catalog", operation_id = "kinds", params(Paging),
    responses((status = 200, description = "The kinds.", body = Page<KindAnswer>)))]
pub(super) async fn kinds(
    State(app): State<App>,
    Paged(NoFilter {}, paging): Paged<NoFilter>,
) -> ApiResult<Json<Page<KindAnswer>>> {
    let mut kinds: Vec<KindAnswer> = app.queues.types().iter().map(KindAnswer::from).collect();
    kinds.sort_by(|a, b| a.kind.cmp(&b.kind));
    Ok(Json(Page::of_all("kinds", kinds, &paging, |kind| kind.kind.clone())?))
}

/// List cron entries
#[utoipa::path(get, path = "/cron", tag = "catalog", operation_id = "cron", params(Paging),
    responses((status = 200, description = "The entries.", body = Page<CronView>)))]
pub(super) async fn cron(
    State(app): State<App>,
    Paged(NoFilter {}, paging): Paged<NoFilter>,
) -> ApiResult<Json<Page<CronView>>> {
    let mut views = try_join_all(app.cron.iter().map(perch_queue::CronEntry::view)).await?;
    views.sort_by(|a, b| a.entry.cmp(&b.entry));
    Ok(Json(Page::of_all("cron", views, &paging, |view| view.entry.clone())?))
}

/// List workers
///
/// Those seen within the last minute, once for each of their queues.
#[utoipa::path(get, path = "/workers", tag = "catalog", operation_id = "workers", params(Paging),
    responses((status = 200, description = "The workers.", body = Page<WorkerView>)))]
pub(super) async fn workers(
    State(app): State<App>,
    Paged(NoFilter {}, paging): Paged<NoFilter>,
) -> ApiResult<Json<Page<WorkerView>>> {
    let queues: Vec<Queue> = app.queues.iter().cloned().collect();
    Ok(Json(worker_list::workers(&queues, SEEN_WITHIN, &paging).await?))
}
