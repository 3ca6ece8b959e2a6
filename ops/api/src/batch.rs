//! Enqueues many jobs: each is accepted or refused on its own.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use perch_bot::http::{ApiResult, Cause, Document, Problem, redis_is_away};
use perch_queue::{Enqueued, JobRequest, NewJob};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::{
    App,
    enqueue::{status, trace_of},
    idempotency,
    input::{MediaType, from_json, media_type, read_body, text, wrong_type},
    request::into_job,
};

/// Jobs handed to the engine in one step. When Redis goes away, only the jobs of running steps wait for it.
const AT_ONCE: usize = 250;
/// How many steps run concurrently.
const UNDER_WAY: usize = 2;

/// What became of one job of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchItem)]
pub struct Item {
    /// Its place: the index in the array from 0, or the line from 1.
    pub place: usize,
    /// The status that the job alone would have been answered with.
    pub status: u16,
    /// The job, when it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Enqueued>,
    /// What is wrong, when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Document>,
}

/// What became of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchAnswer)]
pub struct BatchAnswer {
    /// Jobs that are kept.
    pub accepted: usize,
    /// Jobs that are not.
    pub refused: usize,
    /// What became of each, in the order of the request.
    pub results: Vec<Item>,
}

/// Enqueue many jobs
///
/// Send a JSON array of jobs, or one job a line as `application/x-ndjson`; lines in, lines out. Each job is accepted or
/// refused on its own, so read the results. A batch over a limit is refused as a whole. To be able to repeat a batch whose
/// answer never came, give each job an `id`.
#[utoipa::path(
    post,
    path = "/jobs/batch",
    tag = "jobs",
    operation_id = "enqueue_batch",
    request_body(
        description = "An array of jobs, or one job a line.",
        content((Vec<JobRequest> = "application/json"), (String = "application/x-ndjson"))
    ),
    params(("traceparent" = Option<String>, Header, description = "The trace that the jobs belong to (W3C Trace Context).")),
    responses(
        (status = 200, description = "Every job is kept.", content((BatchAnswer = "application/json"), (Item = "application/x-ndjson"))),
        (status = 207, description = "Some jobs are not kept; the results say which, and why.", content((BatchAnswer = "application/json"), (Item = "application/x-ndjson"))),
        (status = 400, description = "The body is not JSON or not UTF-8.", body = Document, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large, or it has too many jobs. None was enqueued.", body = Document, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor lines of JSON.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The body is not an array.", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn enqueue_batch(State(app): State<App>, request: Request) -> ApiResult<Response> {
    let headers = request.headers().clone();
    let media = media_type(&headers).ok_or_else(|| wrong_type("application/json or application/x-ndjson"))?;
    if headers.contains_key(idempotency::HEADER) {
        let reason = "a batch does not take it; give each job an id, which makes its repetition a duplicate";
        return Err(Problem::field(Cause::InvalidHeader, "Idempotency-Key", reason));
    }
    let body = read_body(&app, request, app.settings.http.max_body_bytes).await?;
    let items = match media {
        MediaType::Json => {
            let array: Vec<&RawValue> = from_json(text(&body)?)?;
            submit(&app, &headers, array.into_iter().map(|item| item.get().as_bytes()).enumerate().collect()).await?
        }
        MediaType::JsonLines => submit(&app, &headers, lines(&body)).await?,
    };
    if !items.is_empty() && items.iter().all(|item| item.status == StatusCode::SERVICE_UNAVAILABLE) {
        return Err(redis_is_away());
    }
    Ok(answer(media, items))
}

/// A job of the batch as it was sent, with its place.
type PlacedJob<'a> = (usize, &'a [u8]);

fn lines(body: &[u8]) -> Vec<PlacedJob<'_>> {
    let lines = body.split(|byte| *byte == b'\n').zip(1..).map(|(line, place)| (place, line.trim_ascii()));
    lines.filter(|(_, line)| !line.is_empty()).collect()
}

fn within(jobs: usize, limit: usize) -> ApiResult<()> {
    if jobs <= limit {
        return Ok(());
    }
    let detail = format!("The batch has {jobs} jobs; {limit} are allowed (http.max_batch). None was enqueued.");
    Err(Problem::new(Cause::TooManyJobs, detail))
}

/// Enqueues the jobs in steps; the next step is parsed while Redis works on the one before.
async fn submit(app: &App, headers: &HeaderMap, sent: Vec<PlacedJob<'_>>) -> ApiResult<Vec<Item>> {
    within(sent.len(), app.settings.http.max_batch)?;
    let turn = SubmitOrder::default();
    let trace = trace_of(headers);
    let chunks: Vec<_> = sent.chunks(AT_ONCE).map(|chunk| submit_some(app, trace.as_deref(), chunk, &turn)).collect();
    Ok(stream::iter(chunks).buffered(UNDER_WAY).collect::<Vec<_>>().await.into_iter().flatten().collect())
}

/// Lets the steps reach Redis in the order of the request.
#[derive(Default)]
struct SubmitOrder {
    order: Mutex<()>,
    /// Set when Redis failed, so that the following steps do not make the client wait again.
    away: AtomicBool,
}

async fn submit_some(app: &App, trace: Option<&str>, sent: &[PlacedJob<'_>], turn: &SubmitOrder) -> Vec<Item> {
    // Lets the step before send its command to Redis first.
    tokio::task::yield_now().await;
    let mut jobs = Vec::with_capacity(sent.len());
    let mut refused = Vec::with_capacity(sent.len());
    for (_, json) in sent {
        match read(app, trace, json) {
            Ok(job) => {
                jobs.push(job);
                refused.push(None);
            }
            Err(problem) => refused.push(Some(problem)),
        }
    }
    let mine = turn.order.lock().await;
    let away = turn.away.load(Ordering::Relaxed);
    let answers = if away { Vec::new() } else { app.client.submit_all(jobs).await };
    let mut answers = answers.into_iter();
    let result = |refused: Option<Problem>| match refused {
        Some(problem) => Err(problem),
        None => match answers.next() {
            Some(result) => result.map_err(Problem::from),
            None => Err(redis_is_away()),
        },
    };
    let results: Vec<ApiResult<Enqueued>> = refused.into_iter().map(result).collect();
    let unavailable =
        |result: &ApiResult<_>| result.as_ref().is_err_and(|problem| problem.cause() == Cause::Unavailable);
    if results.iter().any(unavailable) {
        turn.away.store(true, Ordering::Relaxed);
    }
    drop(mine);
    sent.iter().zip(results).map(|((place, _), result)| item(*place, result)).collect()
}

fn read(app: &App, trace: Option<&str>, json: &[u8]) -> ApiResult<NewJob> {
    into_job(from_json(text(json)?)?, &app.queues, trace.map(str::to_owned))
}

fn item(place: usize, result: ApiResult<Enqueued>) -> Item {
    match result {
        Ok(job) => Item { place, status: status(job.acceptance).as_u16(), job: Some(job), problem: None },
        Err(problem) => {
            let document = problem.into_document();
            Item { place, status: document.status, job: None, problem: Some(document) }
        }
    }
}

fn answer(media: MediaType, results: Vec<Item>) -> Response {
    let accepted = results.iter().filter(|item| item.job.is_some()).count();
    let refused = results.len() - accepted;
    let status = if refused == 0 { StatusCode::OK } else { StatusCode::MULTI_STATUS };
    match media {
        MediaType::Json => (status, Json(BatchAnswer { accepted, refused, results })).into_response(),
        MediaType::JsonLines => {
            let lines = results.iter().filter_map(|item| serde_json::to_string(item).ok());
            let body: String = lines.flat_map(|line| [line, "\n".to_owned()]).collect();
            (status, [(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_with_a_refused_job_says_so_in_its_status() {
        let refused = || item(1, Err(Problem::new(Cause::UnknownKind, "no such kind")));
        assert_eq!(answer(MediaType::Json, vec![refused()]).status(), StatusCode::MULTI_STATUS);
        assert_eq!(answer(MediaType::JsonLines, Vec::new()).status(), StatusCode::OK);
    }

    #[test]
    fn a_batch_over_the_limit_is_refused_as_a_whole() {
        assert!(within(10, 10).is_ok());
        assert_eq!(within(11, 10).expect_err("one too many").cause(), Cause::TooManyJobs);
    }
}
