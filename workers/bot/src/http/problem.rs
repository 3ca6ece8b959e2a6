//! The error responses of the API: problem documents (RFC 9457).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use perch_jobs::JobId;
use serde::Serialize;
use utoipa::ToSchema;

/// The type of a problem. It determines the status, the title and the `type` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The body is not JSON.
    InvalidJson,
    /// The body is not UTF-8.
    NotUtf8,
    /// The query string has a parameter that is unknown or malformed.
    InvalidQuery,
    /// A header cannot be used.
    InvalidHeader,
    /// The body is JSON of another form than expected.
    InvalidRequest,
    /// The payload does not fit its kind.
    InvalidPayload,
    /// No job type has that kind.
    UnknownKind,
    /// The idempotency key belongs to another request.
    KeyReused,
    /// No usable key came with the request.
    Unauthorized,
    /// The key lacks the scope.
    Forbidden,
    /// The object does not exist.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The body took too long to arrive.
    RequestTimeout,
    /// The request conflicts with the present state.
    Conflict,
    /// The body or the payload is too large.
    TooLarge,
    /// The batch has too many jobs.
    TooManyJobs,
    /// The type of the body is not supported.
    UnsupportedMediaType,
    /// The key made too many requests.
    RateLimited,
    /// The queue has reached its `max_depth`.
    QueueFull,
    /// A fault of Perch.
    Internal,
    /// Too many bytes or requests are under way.
    Overloaded,
    /// Redis or Postgres is away.
    Unavailable,
}

impl Cause {
    /// All of them, for the documentation.
    pub const ALL: [Self; 22] = [
        Self::InvalidJson,
        Self::NotUtf8,
        Self::InvalidQuery,
        Self::InvalidHeader,
        Self::InvalidRequest,
        Self::InvalidPayload,
        Self::UnknownKind,
        Self::KeyReused,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::Conflict,
        Self::TooLarge,
        Self::TooManyJobs,
        Self::UnsupportedMediaType,
        Self::RateLimited,
        Self::QueueFull,
        Self::Internal,
        Self::Overloaded,
        Self::Unavailable,
    ];

    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidJson => (StatusCode::BAD_REQUEST, "invalid-json", "The body is not JSON"),
            Self::NotUtf8 => (StatusCode::BAD_REQUEST, "not-utf-8", "The body is not UTF-8"),
            Self::InvalidQuery => (StatusCode::BAD_REQUEST, "invalid-query", "The query cannot be read"),
            Self::InvalidHeader => (StatusCode::BAD_REQUEST, "invalid-header", "A header cannot be used"),
            Self::InvalidRequest => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "The request has the wrong form")
            }
            Self::InvalidPayload => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid-payload", "The payload does not fit its kind")
            }
            Self::UnknownKind => (StatusCode::UNPROCESSABLE_ENTITY, "unknown-kind", "No job type has this kind"),
            Self::KeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "key-reused", "The idempotency key belongs to another request")
            }
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A key is needed"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "The key may not do this"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The path has no such method")
            }
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request-timeout", "The body came too slowly"),
            Self::Conflict => (StatusCode::CONFLICT, "conflict", "Something is in the way"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Self::TooManyJobs => (StatusCode::PAYLOAD_TOO_LARGE, "too-many-jobs", "The batch has too many jobs"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has the wrong type")
            }
            Self::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests"),
            Self::QueueFull => (StatusCode::TOO_MANY_REQUESTS, "queue-full", "The queue takes no more jobs"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "A fault of Perch"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too much is under way"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available at the moment"),
        }
    }

    /// The HTTP status of the response.
    pub const fn status(self) -> StatusCode {
        self.parts().0
    }

    /// Its name in the `type` of a problem: the part after `/docs#`.
    pub const fn slug(self) -> &'static str {
        self.parts().1
    }

    /// Its title.
    pub const fn title(self) -> &'static str {
        self.parts().2
    }
}

/// One part of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where: a JSON path such as `$.payload.post.id`, or the name of a parameter or header.
    #[schema(example = "$.payload.post.id")]
    pub field: String,
    /// What is wrong there, and what is allowed.
    pub reason: String,
}

/// A problem document.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// The type of the problem: a reference to its section in `/docs`.
    #[serde(rename = "type")]
    #[schema(example = "/docs#invalid-payload")]
    pub type_uri: String,
    /// The same for every problem of this type.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong in this case, and what to do.
    pub detail: String,
    /// The parts of the request that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The job that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub job_id: Option<JobId>,
}

/// An error response.
#[derive(Debug, Clone)]
pub struct Problem(Box<Refusal>);

#[derive(Debug, Clone)]
struct Refusal {
    cause: Cause,
    document: Document,
    retry_after: Option<u64>,
    challenge: Option<String>,
}

/// The result of a route handler.
pub type ApiResult<T> = Result<T, Problem>;

impl Problem {
    /// A problem of this type; `detail` says what is wrong in this case and what to do.
    pub fn new(cause: Cause, detail: impl Into<String>) -> Self {
        let document = Document {
            type_uri: format!("/docs#{}", cause.slug()),
            title: cause.title(),
            status: cause.status().as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            job_id: None,
        };
        Self(Box::new(Refusal { cause, document, retry_after: None, challenge: None }))
    }

    /// A problem with one part of the request.
    pub fn field(cause: Cause, field: impl Into<String>, reason: impl Into<String>) -> Self {
        let (field, reason) = (field.into(), reason.into());
        let mut problem = Self::new(cause, format!("{field}: {reason}"));
        problem.0.document.errors.push(FieldError { field, reason });
        problem
    }

    /// The same with a number of seconds after which the client may try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The same with a `WWW-Authenticate` header that says which key is needed.
    #[must_use]
    pub fn challenge(mut self, challenge: impl Into<String>) -> Self {
        self.0.challenge = Some(challenge.into());
        self
    }

    /// The same with the job that the request conflicts with.
    #[must_use]
    pub fn because_of(mut self, job: JobId) -> Self {
        self.0.document.job_id = Some(job);
        self
    }

    /// The same for a request that has the query parameter `parameter` in its body, at `path`.
    #[must_use]
    pub fn in_body(self, parameter: &str, path: &str) -> Self {
        match self.0.document.errors.first() {
            Some(error) if error.field == parameter => Self::field(Cause::InvalidRequest, path, error.reason.clone()),
            _ => self,
        }
    }

    /// The type of the problem.
    pub fn cause(&self) -> Cause {
        self.0.cause
    }

    /// The document, for a response that has several.
    pub fn into_document(self) -> Document {
        self.0.document
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Refusal { cause, document, retry_after, challenge } = *self.0;
        let mut response = (cause.status(), Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_causes_share_a_type() {
        let slugs: std::collections::BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.slug()).collect();
        assert_eq!(slugs.len(), Cause::ALL.len());
    }

    #[test]
    fn a_problem_is_answered_as_a_problem_document_with_its_headers() {
        let problem = Problem::new(Cause::Unavailable, "Redis does not answer.").retry_after(5);
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
    }
}
