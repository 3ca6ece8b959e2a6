//! Looking at queues, pausing and resuming them.

use axum::{Extension, Json, extract::State};
use chrono::{DateTime, Utc};
use futures::future::join_all;
use perch_jobs::QueueName;
use perch_queue::{Queue, QueueError, QueueStats};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    App,
    guard::Caller,
    input::{Path, queue},
    problem::{Answer, Document},
};

/// A queue at one moment.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueAnswer {
    /// Its name.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Jobs that are ready or parked.
    pub waiting: u64,
    /// Ready jobs of high priority.
    pub high: u64,
    /// Ready jobs of normal priority.
    pub normal: u64,
    /// Ready jobs of low priority.
    pub low: u64,
    /// Jobs that wait for a free place of their group.
    pub parked: u64,
    /// Scheduled jobs and retries.
    pub delayed: u64,
    /// Of these, overdue: no worker has fetched since they became due.
    pub overdue: u64,
    /// Running jobs.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
    /// Jobs that succeeded since Redis began to hold the queue.
    pub succeeded: u64,
    /// When the oldest ready job was enqueued.
    pub oldest: Option<DateTime<Utc>>,
    /// When the next delayed job is due.
    pub next_due: Option<DateTime<Utc>>,
    /// True when no worker fetches from it.
    pub paused: bool,
    /// Who paused it.
    pub paused_by: Option<String>,
    /// Since when.
    pub paused_at: Option<DateTime<Utc>>,
    /// Workers seen within the last minute.
    pub workers: u64,
    /// Events kept in Redis, synced or not.
    pub events: u64,
    /// Jobs that one process runs at once.
    pub concurrency: usize,
    /// Jobs running at once over all processes; 0 stands for no limit.
    pub global_concurrency: usize,
    /// Jobs of one group running at once; 0 stands for no limit.
    pub group_concurrency: usize,
}

impl QueueAnswer {
    fn of(queue: &Queue, stats: QueueStats) -> Self {
        let settings = queue.settings();
        Self {
            waiting: stats.waiting(),
            queue: stats.queue,
            high: stats.high,
            normal: stats.normal,
            low: stats.low,
            parked: stats.parked,
            delayed: stats.delayed,
            overdue: stats.overdue,
            running: stats.running,
            dead: stats.dead,
            succeeded: stats.succeeded,
            oldest: stats.oldest,
            next_due: stats.next_due,
            paused: stats.paused_by.is_some(),
            paused_by: stats.paused_by,
            paused_at: stats.paused_at,
            workers: stats.workers,
            events: stats.events,
            concurrency: settings.concurrency,
            global_concurrency: settings.global_concurrency,
            group_concurrency: settings.group_concurrency,
        }
    }
}

/// The queues.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueList {
    /// All of them that can be read, by name.
    pub queues: Vec<QueueAnswer>,
    /// The others: what stands in one says nothing of its neighbours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<UnreadableQueue>,
}

/// A queue that cannot be read.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnreadableQueue {
    /// Its name.
    #[schema(value_type = String)]
    pub queue: QueueName,
    /// Why.
    pub reason: String,
}

/// List queues
///
/// What is waiting, delayed, running and dead in each.
#[utoipa::path(get, path = "/queues", tag = "queues", operation_id = "queues",
    responses((status = 200, description = "The queues.", body = QueueList)))]
pub(super) async fn queues(State(app): State<App>) -> Answer<Json<QueueList>> {
    let read = join_all(app.queues.iter().map(|queue| async move { (queue, queue.stats().await) })).await;
    let mut list = QueueList { queues: Vec::new(), unreadable: Vec::new() };
    let mut first = None;
    for (queue, answer) in read {
        match answer {
            Ok(stats) => list.queues.push(QueueAnswer::of(queue, stats)),
            Err(error) => {
                list.unreadable.push(unreadable(queue, &error));
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if list.queues.is_empty() => Err(error.into()),
        _ => Ok(Json(list)),
    }
}

fn unreadable(queue: &Queue, error: &QueueError) -> UnreadableQueue {
    let reason = if error.is_unavailable() {
        tracing::warn!(queue = %queue.name(), %error, "a queue was not read");
        "Redis did not answer in time; ask again."
    } else {
        tracing::error!(queue = %queue.name(), %error, "a queue cannot be read");
        "What Redis holds of it cannot be read; the log of the API says why."
    };
    UnreadableQueue { queue: queue.name().clone(), reason: reason.to_owned() }
}

/// Look at a queue
#[utoipa::path(get, path = "/queues/{queue}", tag = "queues", operation_id = "queue",
    params(("queue" = String, Path, description = "The name of the queue.", example = "extraction")),
    responses(
        (status = 200, description = "The queue.", body = QueueAnswer),
        (status = 404, description = "There is no such queue.", body = Document, content_type = "application/problem+json"),
    ))]
pub(super) async fn one(State(app): State<App>, Path(name): Path<String>) -> Answer<Json<QueueAnswer>> {
    let queue = queue(&app, &name)?;
    Ok(Json(QueueAnswer::of(queue, queue.stats().await?)))
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
) -> Answer<Json<PauseAnswer>> {
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
) -> Answer<Json<PauseAnswer>> {
    let queue = queue(&app, &name)?;
    let changed = queue.resume(&caller.actor()).await?;
    app.audit(&caller, "queue.resume", queue.name().as_str(), json!({ "changed": changed })).await;
    Ok(Json(PauseAnswer { queue: queue.name().clone(), paused: false, changed }))
}
