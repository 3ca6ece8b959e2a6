//! Enqueues one job.

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use perch_bot::http::{ApiResult, Cause, Document, Problem, internal};
use perch_jobs::JobId;
use perch_queue::{Acceptance, Enqueued, JobRequest, NewJob};

use super::{
    App,
    guard::Caller,
    idempotency::{self, IdempotencyKey, PriorRequest},
    input::{MediaType, from_json, media_type, read_body, text, wrong_type},
    request::into_job,
};

/// Bytes of a request beyond the payload of its job.
const AROUND: usize = 44 * 1024;

/// The status of an answer.
pub(super) fn status(acceptance: Acceptance) -> StatusCode {
    match acceptance {
        Acceptance::Accepted | Acceptance::Replaced => StatusCode::CREATED,
        Acceptance::Deferred => StatusCode::ACCEPTED,
        Acceptance::Duplicate | Acceptance::Kept => StatusCode::OK,
    }
}

/// The trace of a request: its own span if traces are on, or else the one its caller sent.
pub(super) fn trace_of(headers: &HeaderMap) -> Option<String> {
    let sent = || headers.get("traceparent")?.to_str().ok().map(str::to_owned);
    perch_base::telemetry::current_traceparent().or_else(sent)
}

/// Enqueue a job
///
/// When the answer is 201, 202 or 200 the job is kept: it runs, or it ends in the dead letters with its reason. Send an
/// `Idempotency-Key` to be able to repeat a request whose answer never came; the key holds for 24 hours.
#[utoipa::path(
    post,
    path = "/jobs",
    tag = "jobs",
    operation_id = "enqueue",
    request_body = JobRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,255}$", description = "Makes repetitions of this request one job. 1 to 255 visible ASCII characters; the same key with another body is refused."),
        ("traceparent" = Option<String>, Header, description = "The trace that the job belongs to (W3C Trace Context)."),
    ),
    responses(
        (status = 201, description = "A new job; Location says where to look it up.", body = Enqueued),
        (status = 202, description = "A new job of a ledger queue while Redis is away: Postgres keeps it, and it starts when Redis is back.", body = Enqueued),
        (status = 200, description = "Nothing new: a duplicate, the holder of the unique key, or an answer given before (Idempotency-Replayed: true).", body = Enqueued),
        (status = 400, description = "The body is not JSON or not UTF-8.", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "Another job holds the unique key, and on_conflict is reject.", body = Document, content_type = "application/problem+json"),
        (status = 413, description = "The body or the payload is too large.", body = Document, content_type = "application/problem+json"),
        (status = 415, description = "The body is not application/json.", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "The request or its payload has the wrong form; errors name the fields.", body = Document, content_type = "application/problem+json"),
    )
)]
pub(super) async fn enqueue(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> ApiResult<Response> {
    let headers = request.headers().clone();
    if media_type(&headers) != Some(MediaType::Json) {
        return Err(wrong_type("application/json, or to /api/v1/jobs/batch as application/x-ndjson"));
    }
    let key = idempotency::key(&headers)?;
    let limit = app.settings.engine.max_payload_bytes + AROUND;
    let body = read_body(&app, request, limit.min(app.settings.http.max_body_bytes)).await?;
    let job = into_job(from_json(text(&body)?)?, &app.queues, trace_of(&headers))?;
    let Some(key) = key else {
        return Ok(answer(app.client.submit(job).await?, false));
    };
    let queue = queue_of(&app, &job)?;
    let once = IdempotencyKey::new(&queue, &app.store, caller.key_id(), key, &body);
    // Boxed, because the large future would otherwise be moved with every request.
    Box::pin(enqueue_once(&app, job, &once)).await
}

fn queue_of(app: &App, job: &NewJob) -> ApiResult<perch_queue::Queue> {
    let name = app.queues.types().get(job.kind.as_str()).map(|job_type| &job_type.queue);
    name.and_then(|name| app.queues.get(name)).cloned().ok_or_else(internal)
}

async fn enqueue_once(app: &App, mut job: NewJob, once: &IdempotencyKey) -> ApiResult<Response> {
    let id = job.options.id.unwrap_or_else(|| JobId::at(app.queues.now()));
    let (id, again) = match once.claim(id).await? {
        PriorRequest::None => (id, false),
        PriorRequest::Answered(before) => return Ok(answer(before, true)),
        PriorRequest::Unanswered(before) => {
            if let Some(found) = accepted_before(app, before).await {
                once.settle(&found).await;
                return Ok(answer(found, true));
            }
            (before, true)
        }
    };
    job.options.id = Some(id);
    match app.client.submit(job).await {
        Ok(mut enqueued) => {
            if again && enqueued.acceptance == Acceptance::Duplicate {
                // The existing job is that of this same request.
                enqueued.acceptance = Acceptance::Accepted;
            }
            once.settle(&enqueued).await;
            Ok(answer(enqueued, again))
        }
        Err(error) => {
            let problem = Problem::from(error);
            // When it is unknown whether the job arrived, the key stays claimed with the id of the job.
            if !matches!(problem.cause(), Cause::Unavailable | Cause::Internal) {
                once.release().await;
            }
            Err(problem)
        }
    }
}

/// The answer to a repeated request whose first answer was lost, if its job is known; it may be done by now.
async fn accepted_before(app: &App, id: JobId) -> Option<Enqueued> {
    let queue = app.store.idempotency_keys().accepted(id).await.ok()??;
    Some(Enqueued { id, queue, acceptance: Acceptance::Accepted, replaced: None })
}

fn answer(enqueued: Enqueued, replayed: bool) -> Response {
    let status = if replayed { StatusCode::OK } else { status(enqueued.acceptance) };
    let location = HeaderValue::from_str(&format!("/api/v1/jobs/{}", enqueued.id));
    let mut response = (status, Json(enqueued)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if replayed {
        response.headers_mut().insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
