//! Looking at jobs, cancelling them, and starting them early.

use std::collections::HashSet;

use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures::future::try_join_all;
use perch_jobs::JobId;
use perch_queue::{Cancellation, JobView, Queue, QueueError};
use perch_store::{AttemptRecord, JobFilter, JobRecord, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    guard::Caller,
    input::{PAGE, Params, Path, job_id, page, parsed, queues},
    job_view::{History, JobAnswer, JobSummary, State as StateWord, attempts},
    problem::{Answer, Cause, Document, Problem},
};
use perch_core::look_up::{self, JobStanding, LookUp, LookUpError};

/// Jobs read at once. Each may have a payload of the largest size.
const AT_ONCE: usize = 100;
/// The furthest place in a list of jobs.
const FURTHEST: usize = 1_000_000_000;

/// A job that has not finished, in whatever queue it is.
async fn find(app: &App, id: JobId) -> Answer<Option<(Queue, JobView)>> {
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
pub(super) async fn job(State(app): State<App>, Path(id): Path<String>) -> Answer<Json<JobAnswer>> {
    let id = job_id(&id)?;
    // Redis first: a job that ends after that has told of it when its events and Postgres are read.
    let live = find(&app, id).await?.map(|(_, view)| view);
    let Some(view) = live else { return Ok(Json(gone(&app, id).await?)) };
    let answer = match of_history(&app, id).await {
        Ok((record, attempts, children)) => of_view(&view, record.as_ref(), attempts, &children, History::Recorded),
        Err(Away::Postgres(error)) => {
            tracing::warn!(%error, job = %id, "the history of a job cannot be read");
            of_view(&view, None, Vec::new(), &[], History::Unavailable)
        }
        Err(Away::Redis(error)) => return Err(error.into()),
    };
    Ok(Json(answer))
}

/// What is not there.
enum Away {
    Postgres(StoreError),
    Redis(QueueError),
}

impl From<LookUpError> for Away {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Store(error) => Self::Postgres(error),
            LookUpError::Queue(error) => Self::Redis(error),
        }
    }
}

impl From<StoreError> for Away {
    fn from(error: StoreError) -> Self {
        Self::Postgres(error)
    }
}

impl From<Away> for Problem {
    fn from(away: Away) -> Self {
        match away {
            Away::Postgres(error) => error.into(),
            Away::Redis(error) => error.into(),
        }
    }
}

async fn of_history(app: &App, id: JobId) -> Result<(Option<JobRecord>, Vec<AttemptRecord>, Vec<JobStanding>), Away> {
    let history = app.store.history();
    let record = history.job(id).await?;
    let (attempts, children) = attempts_and_children(app, id).await?;
    Ok((record, attempts, children))
}

async fn attempts_and_children(app: &App, id: JobId) -> Result<(Vec<AttemptRecord>, Vec<JobStanding>), Away> {
    let history = app.store.history();
    let (attempts, children) = (history.attempts(id).await?, history.children(id).await?);
    Ok((attempts, look_up(app).standing(children).await?))
}

fn look_up(app: &App) -> LookUp {
    LookUp::new(&app.queues, &app.store, &app.settings)
}

/// A job that Redis does not have.
async fn gone(app: &App, id: JobId) -> Answer<JobAnswer> {
    let Some((standing, told)) = look_up(app).gone(id).await? else { return Err(unknown(id)) };
    let (recorded, children) = attempts_and_children(app, id).await?;
    let job = JobSummary::from(&standing);
    let record = standing.record;
    Ok(JobAnswer {
        job,
        started_at: record.started_at,
        finished_at: record.finished_at,
        payload: record.payload.and_then(|payload| RawValue::from_string(payload.to_string()).ok()),
        result: record.result,
        traceparent: record.traceparent,
        attempt_history: attempts(look_up::attempts(recorded, &told), &[]),
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
    let attempt_history = attempts(recorded, &view.errors);
    JobAnswer {
        job: view.into(),
        started_at: record.and_then(|record| record.started_at),
        finished_at: record.filter(|_| view.state == perch_queue::JobState::Dead).and_then(|record| record.finished_at),
        traceparent: envelope.as_ref().and_then(|envelope| envelope.traceparent.clone()),
        payload: envelope.map(|envelope| envelope.payload),
        result: None,
        attempt_history,
        children: children.iter().map(JobSummary::from).collect(),
        history,
    }
}

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Only of this queue.
    queue: Option<String>,
    /// Only in this state. Without it: those not finished, in the order running, waiting, delayed, dead.
    state: Option<StateWord>,
    /// At most so many, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Leaves out the first so many. For jobs that are not finished; without both queue and state, offset and limit
    /// together are at most 1000. Jobs come and go meanwhile, so a walk with it may miss some; dead letters have a list of their
    /// own, which does not.
    #[param(maximum = 1_000_000_000)]
    offset: Option<usize>,
    /// Only those before this id: the last one of the page before. For done, cancelled and discarded jobs.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
    before: Option<JobId>,
}

/// Jobs in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobList {
    /// The jobs: those that come next first; finished ones newest first.
    pub jobs: Vec<JobSummary>,
}

/// List jobs
///
/// Jobs that are not finished come from Redis, page by page with `offset`. Done, cancelled and discarded ones come from the
/// history, page by page with `before`.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "jobs",
    operation_id = "jobs",
    params(ListParams),
    responses(
        (status = 200, description = "The jobs.", body = JobList),
        (status = 400, description = "A parameter is unknown or out of range, or does not go with the others.", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "There is no such queue.", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn jobs(State(app): State<App>, Params(params): Params<ListParams>) -> Answer<Json<JobList>> {
    let limit = page(params.limit)?;
    if let Some(offset) = params.offset.filter(|offset| *offset > FURTHEST) {
        let reason = format!("it is {offset}; at most {FURTHEST} is allowed");
        return Err(Problem::field(Cause::InvalidQuery, "offset", reason));
    }
    let queues = queues(&app, params.queue.as_deref())?;
    let refuse = |field: &str, reason: &str| Err(Problem::field(Cause::InvalidQuery, field, reason));
    let jobs = match params.state.map(|state| (state, state.live())) {
        Some((state, None)) => {
            if params.offset.is_some() {
                return refuse("offset", "finished jobs are paged with before=<last id>");
            }
            let Some(recorded) = state.recorded() else {
                return refuse("state", "no list has the jobs of which nothing tells how they ended");
            };
            let queue = params.queue.is_some().then(|| queues[0].name().clone());
            let filter = JobFilter {
                queue,
                state: Some(recorded),
                before: params.before,
                limit: u32::try_from(limit).unwrap_or(u32::MAX),
                brief: true,
                ..JobFilter::default()
            };
            app.store.history().search(&filter).await?.iter().map(JobSummary::from).collect()
        }
        _ if params.before.is_some() => return refuse("before", "jobs that are not finished are paged with offset"),
        Some((_, Some(state))) => live(&queues, &[state], params.offset.unwrap_or(0), limit).await?,
        None => live(&queues, &LIVE, params.offset.unwrap_or(0), limit).await?,
    };
    Ok(Json(JobList { jobs }))
}

const LIVE: [perch_queue::JobState; 4] = [
    perch_queue::JobState::Running,
    perch_queue::JobState::Waiting,
    perch_queue::JobState::Delayed,
    perch_queue::JobState::Dead,
];

async fn live(
    queues: &[Queue],
    states: &[perch_queue::JobState],
    offset: usize,
    limit: usize,
) -> Answer<Vec<JobSummary>> {
    if let ([queue], [state]) = (queues, states) {
        return listed(queue, *state, offset, limit).await;
    }
    let end = offset.saturating_add(limit);
    if end > PAGE {
        let reason = format!("without queue and state, offset and limit together are at most {PAGE}");
        return Err(Problem::field(Cause::InvalidQuery, "offset", reason));
    }
    let mut found = Vec::new();
    for state in states {
        for queue in queues {
            if found.len() < end {
                found.extend(listed(queue, *state, 0, end - found.len()).await?);
            }
        }
    }
    Ok(found.into_iter().skip(offset).collect())
}

/// Jobs of a queue, read some at a time: each comes with its payload, which is not shown.
async fn listed(queue: &Queue, state: perch_queue::JobState, offset: usize, limit: usize) -> Answer<Vec<JobSummary>> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for at in (offset..offset.saturating_add(limit)).step_by(AT_ONCE) {
        let step = AT_ONCE.min(offset + limit - at);
        let some = queue.list(state, at, step).await?;
        if some.is_empty() {
            break;
        }
        // One that has moved on meanwhile would come again.
        found.extend(some.iter().filter(|view| seen.insert(view.id)).map(JobSummary::from));
    }
    Ok(found)
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
) -> Answer<Response> {
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
        // It finished between the two commands.
        Cancellation::Unknown => return Err(finished_or_unknown(&app, id).await?),
    };
    app.audit(&caller, "job.cancel", &id.to_string(), json!({ "outcome": outcome, "reason": reason })).await;
    Ok((status, Json(CancelAnswer { id, outcome })).into_response())
}

async fn finished_or_unknown(app: &App, id: JobId) -> Answer<Problem> {
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
/// Makes a scheduled job, or one that waits for its next attempt, ready at once.
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
) -> Answer<Json<RunNowAnswer>> {
    let id = job_id(&id)?;
    let Some((queue, view)) = find(&app, id).await? else { return Err(finished_or_unknown(&app, id).await?) };
    if !queue.run_now(id).await? {
        let detail = format!("Job {id} is not delayed: it is {}.", view.state.as_str());
        return Err(Problem::new(Cause::Conflict, detail).because_of(id));
    }
    app.audit(&caller, "job.run_now", &id.to_string(), json!({ "queue": queue.name() })).await;
    Ok(Json(RunNowAnswer { id, ready: true }))
}
