//! Shows, pauses and resumes queues.

use axum::{Extension, Json, extract::State};
use perch_bot::http::{ApiResult, Document};
use perch_core::queue_list::{self, QueueList, QueueSummary};
use perch_jobs::QueueName;
use perch_queue::{Queue, QueueError};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    App,
    guard::Caller,
    input::{NoFilter, Paged, Paging, Path, queue},
};

/// List queues
///
/// What is waiting, delayed, running and dead in each, by name.
#[utoipa::path(get, path = "/queues", tag = "queues", operation_id = "queues", params(Paging),
    responses((status = 200, description = "The queues.", body = QueueList)))]
pub(super) async fn queues(
    State(app): State<App>,
    Paged(NoFilter {}, paging): Paged<NoFilter>,
) -> ApiResult<Json<QueueList>> {
    let all: Vec<Queue> = app.queues.iter().cloned().collect();
    Ok(Json(queue_list::queues(&all, &paging, unreadable).await?))
}

/// Why a queue cannot be read. The error of the server goes to the log only, since it may name hosts.
fn unreadable(queue: &Queue, error: &QueueError) -> String {
    let reason = if error.is_unavailable() {
        tracing::warn!(queue = %queue.name(), %error, "a queue was not read");
        "Redis did not answer in time; ask again."
    } else {
        tracing::error!(queue = %queue.name(), %error, "a queue cannot be read");
        "What Redis holds of it cannot be read; the log of the API says why."
    };
    reason.to_owned()
}

/// Look at a queue
#[utoipa::path(get, path = "/queues/{queue}", tag = "queues", operation_id = "queue",
    params(("queue" = String, Path, description = "The name of the queue.", example = "extraction")),
    responses(
        (status = 200, description = "The queue.", body = QueueSummary),
        (status = 404, description = "There is no such queue.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn one(State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<QueueSummary>> {
    let queue = queue(&app, &name)?;
    Ok(Json(QueueSummary::of(queue, queue.stats().await?)))
}

/// What became of a pause or resume.
#[derive(Debug, Serialize, ToSchema)]
pub struct PauseAnswer {
    /// The queue.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Whether it is paused now.
    pub paused: bool,
    /// False when it was so before.
    pub changed: bool,
}

/// Pause a queue
///
/// No process fetches from it until it is resumed. Running jobs go on; new jobs are accepted and wait.
#[utoipa::path(post, path = "/queues/{queue}/pause", tag = "queues", operation_id = "pause",
    params(("queue" = String, Path, description = "The name of the queue.", example = "extraction")),
    responses(
        (status = 200, description = "It is paused.", body = PauseAnswer),
        (status = 404, description = "There is no such queue.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn pause(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<PauseAnswer>> {
    let queue = queue(&app, &name)?;
    let changed = queue.pause(&caller.actor()).await?;
    app.audit(&caller, "queue.pause", queue.name().as_str(), json!({ "changed": changed })).await;
    Ok(Json(PauseAnswer { queue: queue.name().clone(), paused: true, changed }))
}

/// Resume a queue
#[utoipa::path(post, path = "/queues/{queue}/resume", tag = "queues", operation_id = "resume",
    params(("queue" = String, Path, description = "The name of the queue.", example = "extraction")),
    responses(
        (status = 200, description = "It is not paused.", body = PauseAnswer),
        (status = 404, description = "There is no such queue.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn resume(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> ApiResult<Json<PauseAnswer>> {
    let queue = queue(&app, &name)?;
    let changed = queue.resume(&caller.actor()).await?;
    app.audit(&caller, "queue.resume", queue.name().as_str(), json!({ "changed": changed })).await;
    Ok(Json(PauseAnswer { queue: queue.name().clone(), paused: false, changed }))
}
