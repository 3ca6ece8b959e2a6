//! Shows, lists and cancels jobs, and runs delayed ones early.

use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures::future::try_join_all;
use perch_bot::http::{ApiResult, Cause, Document, Problem};
use perch_core::{
    job_list::{JobSummary, finished, unfinished},
    look_up::{self, JobStanding, LookUp, LookUpError},
};
use perch_jobs::{JobId, JobState, QueueName};
use perch_queue::{Cancellation, JobFilter, JobView, Queue, QueueError};
use perch_store::{AttemptRecord, JobRecord, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    guard::Caller,
    input::{Page, Paged, Paging, Params, Path, job_id, queues},
    job_view::{History, JobAnswer},
};

/// Finds an unfinished job in any queue.
async fn find(app: &App, id: JobId) -> ApiResult<Option<(Queue, JobView)>> {
    let looked = try_join_all(
        app.queues
            .iter()
            .map(|queue| async move { Ok::<_, Problem>(queue.job(id).await?.map(|view| (queue.clone(), view))) }),
    );
    Ok(looked.await?.into_iter().flatten().next())
}

fn unknown(id: JobId) -> Problem {
    Problem::new(Cause::NotFound, format!("There is no job {id}."))
}

/// Look up a job
///
/// Where it stands, every attempt with error, worker, duration and trace, and the jobs that followed from it. A state never goes
/// backwards: a job that has just finished is `done`, although the history in Postgres is a few seconds behind.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "jobs",
    operation_id = "job",
    params(("id" = String, Path, description = "The id of the job.", example = "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2")),
    responses(
        (status = 200, description = "The job.", body = JobAnswer),
        (status = 404, description = "There is no such job.", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn job(State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<JobAnswer>> {
    let id = job_id(&id)?;
    // Redis is read first: if the job ends after that, its events are there when the stream and Postgres are read.
    let live = find(&app, id).await?.map(|(_, view)| view);
    let Some(view) = live else { return Ok(Json(gone(&app, id).await?)) };
    let answer = match of_history(&app, id).await {
        Ok((record, attempts, children)) => of_view(&view, record.as_ref(), attempts, &children, History::Recorded),
        Err(SourceUnavailable::Postgres(error)) => {
            tracing::warn!(%error, job = %id, "the history of a job cannot be read");
            of_view(&view, None, Vec::new(), &[], History::Unavailable)
        }
        Err(SourceUnavailable::Redis(error)) => return Err(error.into()),
    };
    Ok(Json(answer))
}

/// The server that is away.
enum SourceUnavailable {
    Postgres(StoreError),
    Redis(QueueError),
}

impl From<LookUpError> for SourceUnavailable {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Store(error) => Self::Postgres(error),
            LookUpError::Queue(error) => Self::Redis(error),
        }
    }
}

impl From<StoreError> for SourceUnavailable {
    fn from(error: StoreError) -> Self {
        Self::Postgres(error)
    }
}

impl From<SourceUnavailable> for Problem {
    fn from(away: SourceUnavailable) -> Self {
        match away {
            SourceUnavailable::Postgres(error) => error.into(),
            SourceUnavailable::Redis(error) => error.into(),
        }
    }
}

async fn of_history(
    app: &App,
    id: JobId,
) -> Result<(Option<JobRecord>, Vec<AttemptRecord>, Vec<JobStanding>), SourceUnavailable> {
    let history = app.store.history();
    let record = history.job(id).await?;
    let (attempts, children) = attempts_and_children(app, id).await?;
    Ok((record, attempts, children))
}

async fn attempts_and_children(
    app: &App,
    id: JobId,
) -> Result<(Vec<AttemptRecord>, Vec<JobStanding>), SourceUnavailable> {
    let history = app.store.history();
    let (attempts, children) = (history.attempts(id).await?, history.children(id).await?);
    Ok((attempts, look_up(app).standing(children).await?))
}

fn look_up(app: &App) -> LookUp {
    LookUp::new(&app.queues, &app.store, &app.settings)
}

/// A job that is not in Redis.
async fn gone(app: &App, id: JobId) -> ApiResult<JobAnswer> {
    let Some((standing, told)) = look_up(app).gone(id).await? else { return Err(unknown(id)) };
    let (recorded, children) = attempts_and_children(app, id).await?;
    let job = JobSummary::from(&standing);
    let record = standing.record;
    Ok(JobAnswer {
        job,
        started_at: record.started_at,
        payload: record.payload.and_then(|payload| RawValue::from_string(payload.to_string()).ok()),
        result: record.result,
        traceparent: record.traceparent,
        attempt_history: look_up::attempts(recorded, &told, None),
        children: children.iter().map(JobSummary::from).collect(),
        history: History::Recorded,
    })
}

fn of_view(
    view: &JobView,
    record: Option<&JobRecord>,
    recorded: Vec<AttemptRecord>,
    children: &[JobStanding],
    history: History,
) -> JobAnswer {
    let envelope = view.decoded();
    let attempt_history = look_up::attempts(recorded, &[], Some(view));
    let finished_at = record.filter(|_| view.state == JobState::Dead).and_then(|record| record.finished_at);
    JobAnswer {
        job: JobSummary { finished_at, ..view.into() },
        started_at: record.and_then(|record| record.started_at),
        traceparent: envelope.as_ref().and_then(|envelope| envelope.traceparent.clone()),
        payload: envelope.map(|envelope| envelope.payload),
        result: None,
        attempt_history,
        children: children.iter().map(JobSummary::from).collect(),
        history,
    }
}

/// List jobs
///
/// Jobs that are not finished come from Redis, those that come next first, and the dead the latest first. Done, cancelled and discarded
/// ones come from the history, the newest first. For the next page, give `next` of the answer as `cursor`, until it is null: each job
/// that stays in its state is listed once. A page may have fewer jobs than asked for, because many were looked through that do not fit.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "jobs",
    operation_id = "jobs",
    params(JobFilter, Paging),
    responses(
        (status = 200, description = "The jobs.", body = Page<JobSummary>),
        (status = 400, description = "A parameter is unknown or out of range, or does not go with the others.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such queue.", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn jobs(
    State(app): State<App>,
    Paged(filter, paging): Paged<JobFilter>,
) -> ApiResult<Json<Page<JobSummary>>> {
    let queues = queues(&app, filter.queue.iter().map(QueueName::as_str))?;
    Ok(Json(match filter.state {
        Some(JobState::Unknown) => {
            let reason = "no list has the jobs of which nothing tells how they ended";
            return Err(Problem::field(Cause::InvalidQuery, "state", reason));
        }
        Some(state) if !state.is_live() => finished(&app.store, &filter, &paging, app.queues.now()).await?,
        _ => unfinished(&queues, &filter, &paging).await?,
    }))
}

/// Why a job is cancelled.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CancelParams {
    /// Why; it is kept in the history of the job.
    reason: Option<String>,
}

/// What became of a cancellation.
#[derive(Debug, Serialize, ToSchema)]
pub struct CancelAnswer {
    /// The job.
    #[schema(value_type = String)]
    pub id: JobId,
    /// `cancelled` when it was waiting and is gone; `cancelling` when it runs and was asked to stop.
    #[schema(value_type = String, example = "cancelled")]
    pub outcome: Cancellation,
}

/// Cancel a job
///
/// A waiting job is gone at once. A running one is asked to stop: its handler gets a moment to end in its own way.
#[utoipa::path(
    delete,
    path = "/jobs/{id}",
    tag = "jobs",
    operation_id = "cancel",
    params(("id" = String, Path, description = "The id of the job.", example = "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2"), CancelParams),
    responses(
        (status = 200, description = "It was waiting and is gone.", body = CancelAnswer),
        (status = 202, description = "It runs, and was asked to stop.", body = CancelAnswer),
        (status = 404, description = "There is no such job.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It is finished, or in the dead letters.", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Params(params): Params<CancelParams>,
) -> ApiResult<Response> {
    let id = job_id(&id)?;
    let reason: String = params.reason.unwrap_or_else(|| "no reason given".into()).chars().take(500).collect();
    let Some((queue, _)) = find(&app, id).await? else { return Err(finished_or_unknown(&app, id).await?) };
    let outcome = queue.cancel(id, &caller.actor(), &reason).await?;
    let status = match outcome {
        Cancellation::Cancelled => StatusCode::OK,
        Cancellation::Cancelling => StatusCode::ACCEPTED,
        Cancellation::Dead => {
            let detail = format!("Job {id} is in the dead letters. Discard it there with POST /api/v1/dead/discard.");
            return Err(Problem::new(Cause::Conflict, detail).because_of(id));
        }
        // The job finished between the two commands.
        Cancellation::Unknown => return Err(finished_or_unknown(&app, id).await?),
    };
    app.audit(&caller, "job.cancel", &id.to_string(), json!({ "outcome": outcome, "reason": reason })).await;
    Ok((status, Json(CancelAnswer { id, outcome })).into_response())
}

async fn finished_or_unknown(app: &App, id: JobId) -> ApiResult<Problem> {
    Ok(match look_up(app).gone(id).await? {
        Some((JobStanding { record, is_known: true }, _)) => {
            let detail = format!("Job {id} is finished: it is {}.", record.state.as_str());
            Problem::new(Cause::Conflict, detail).because_of(id)
        }
        _ => unknown(id),
    })
}

/// What became of a wish to run a job now.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunNowAnswer {
    /// The job.
    #[schema(value_type = String)]
    pub id: JobId,
    /// True: it is ready.
    pub ready: bool,
}

/// Run a delayed job now
///
/// Makes a job that was put off, or one that waits for its next attempt, ready at once.
#[utoipa::path(
    post,
    path = "/jobs/{id}/run-now",
    tag = "jobs",
    operation_id = "run_now",
    params(("id" = String, Path, description = "The id of the job.", example = "01KAJ3Z8Q0V5N6T7R8S9W0X1Y2")),
    responses(
        (status = 200, description = "It is ready.", body = RunNowAnswer),
        (status = 404, description = "There is no such job.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "It is not delayed.", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn run_now(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> ApiResult<Json<RunNowAnswer>> {
    let id = job_id(&id)?;
    let Some((queue, view)) = find(&app, id).await? else { return Err(finished_or_unknown(&app, id).await?) };
    if !queue.run_now(id).await? {
        let detail = format!("Job {id} is not delayed: it is {}.", view.state.as_str());
        return Err(Problem::new(Cause::Conflict, detail).because_of(id));
    }
    app.audit(&caller, "job.run_now", &id.to_string(), json!({ "queue": queue.name() })).await;
    Ok(Json(RunNowAnswer { id, ready: true }))
}
