//! Enqueuing many jobs: each is accepted or refused on its own.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use perch_queue::NewJob;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    App,
    enqueue::{EnqueueAnswer, trace_of},
    failure, idempotency,
    input::{MediaType, from_json, media_type, read_body, text, wrong_type},
    problem::{Answer, Cause, Document, Problem},
    request::JobRequest,
};

/// Jobs handed to the engine at once. When Redis goes away, no more than these wait for its answer.
const AT_ONCE: usize = 250;

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
    pub job: Option<EnqueueAnswer>,
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
pub(super) async fn enqueue_batch(State(app): State<App>, request: Request) -> Answer<Response> {
    let headers = request.headers().clone();
    let media = media_type(&headers).ok_or_else(|| wrong_type("application/json or application/x-ndjson"))?;
    if headers.contains_key(idempotency::HEADER) {
        let reason = "a batch does not take it; give each job an id, which makes its repetition a duplicate";
        return Err(Problem::field(Cause::InvalidHeader, "Idempotency-Key", reason));
    }
    let body = read_body(request, app.settings.http.max_body_bytes).await?;
    let asked = match media {
        MediaType::Json => of_array(&app, &headers, text(&body)?)?,
        MediaType::JsonLines => of_lines(&app, &headers, &body)?,
    };
    let items = submit(&app, asked).await;
    if !items.is_empty() && items.iter().all(|item| item.status == StatusCode::SERVICE_UNAVAILABLE) {
        return Err(failure::redis_is_away());
    }
    Ok(answer(media, items))
}

/// A job of the batch, by its place; or why it is none.
type Asked = (usize, Answer<NewJob>);

fn of_array(app: &App, headers: &HeaderMap, body: &str) -> Answer<Vec<Asked>> {
    let items: Vec<&RawValue> = from_json(body)?;
    within(items.len(), app.settings.http.max_batch)?;
    let read = |item: &RawValue| from_json::<JobRequest>(item.get())?.into_job(&app.queues, trace_of(headers));
    Ok(items.into_iter().map(read).enumerate().collect())
}

fn of_lines(app: &App, headers: &HeaderMap, body: &[u8]) -> Answer<Vec<Asked>> {
    let lines: Vec<(usize, &[u8])> =
        body.split(|byte| *byte == b'\n').zip(1..).map(|(line, place)| (place, line.trim_ascii())).collect();
    let lines = lines.into_iter().filter(|(_, line)| !line.is_empty());
    within(lines.clone().count(), app.settings.http.max_batch)?;
    let read = |line: &[u8]| from_json::<JobRequest>(text(line)?)?.into_job(&app.queues, trace_of(headers));
    Ok(lines.map(|(place, line)| (place, read(line))).collect())
}

fn within(jobs: usize, limit: usize) -> Answer<()> {
    if jobs <= limit {
        return Ok(());
    }
    let detail = format!("The batch has {jobs} jobs; {limit} are allowed (http.max_batch). None was enqueued.");
    Err(Problem::new(Cause::TooManyJobs, detail))
}

async fn submit(app: &App, asked: Vec<Asked>) -> Vec<Item> {
    let mut items = Vec::with_capacity(asked.len());
    let mut asked = asked.into_iter();
    let mut away = false;
    loop {
        let chunk: Vec<Asked> = asked.by_ref().take(AT_ONCE).collect();
        if chunk.is_empty() {
            return items;
        }
        let places: Vec<(usize, Option<Problem>)> =
            chunk.iter().map(|(place, read)| (*place, read.as_ref().err().cloned())).collect();
        let jobs: Vec<NewJob> = chunk.into_iter().filter_map(|(_, read)| read.ok()).collect();
        // A Redis that just failed would only keep the client waiting once more for every chunk.
        let answers = if away { Vec::new() } else { app.client.submit_all(jobs).await };
        let mut answers = answers.into_iter();
        for (place, refused) in places {
            let result = match refused {
                Some(problem) => Err(problem),
                None => match answers.next() {
                    Some(result) => result.map(EnqueueAnswer::from).map_err(Problem::from),
                    None => Err(failure::redis_is_away()),
                },
            };
            away |= result.as_ref().is_err_and(|problem| problem.cause() == Cause::Unavailable);
            items.push(item(place, result));
        }
    }
}

fn item(place: usize, result: Answer<EnqueueAnswer>) -> Item {
    match result {
        Ok(job) => Item { place, status: job.outcome.status().as_u16(), job: Some(job), problem: None },
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
