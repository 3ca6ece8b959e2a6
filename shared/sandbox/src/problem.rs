//! X's problem objects.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

const TYPES: &str = "https://api.x.com/2/problems/";
/// The type of a problem that X explains only in its detail.
const BLANK: &str = "about:blank";

/// A response with a problem object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    more: Map<String, Value>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, title, detail: detail.into(), more: Map::new() }
    }

    fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.more.insert(field.to_owned(), value.into());
        self
    }

    /// 400 for one parameter or field.
    pub fn invalid(parameter: &str, value: &str, message: impl Into<String>) -> Self {
        let detail = "One or more parameters to your request was invalid.";
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", "Invalid Request", detail)
            .with("parameter", parameter)
            .with("value", value)
            .with("errors", json!([{ "message": message.into(), "parameters": { parameter: [value] } }]))
    }

    /// 401.
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not-authorized-for-resource", "Unauthorized", detail)
            .with("resource_type", "credentials")
    }

    /// 403.
    pub fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, BLANK, "Forbidden", detail)
    }

    /// As one of the errors beside `data`: it exists, but its account is protected.
    pub fn hidden(resource: &str, parameter: &str, value: &str) -> Self {
        let detail = format!("Sorry, you are not authorized to see the {resource} with {parameter}: [{value}].");
        Self::new(StatusCode::FORBIDDEN, "not-authorized-for-resource", "Authorization Error", detail)
            .about(resource, parameter, value)
    }

    /// As one of the errors beside `data`: only the author is told the field, and only of posts of the last 30 days.
    pub fn private(field: &str, id: &str) -> Self {
        let detail = format!("Sorry, you are not authorized to access '{field}' on the Tweet with ids : [{id}].");
        Self::new(StatusCode::FORBIDDEN, "not-authorized-for-field", "Field Authorization Error", detail)
            .about("tweet", "ids", id)
            .with("section", "data")
            .with("field", field)
    }

    /// As an error in a response without `data`: X has suspended the account.
    pub fn suspended(parameter: &str, value: &str) -> Self {
        let detail = format!("User has been suspended: [{value}].");
        Self::new(StatusCode::NOT_FOUND, "resource-not-found", "Forbidden", detail).about("user", parameter, value)
    }

    fn about(self, resource: &str, parameter: &str, value: &str) -> Self {
        self.with("resource_type", resource)
            .with("resource_id", value)
            .with("parameter", parameter)
            .with("value", value)
    }

    /// 403 for an application token where a user must act.
    pub fn unsupported_authentication() -> Self {
        let detail = "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint. \
                      Supported authentication types are [OAuth 1.0a User Context, OAuth 2.0 User Context].";
        Self::new(StatusCode::FORBIDDEN, "unsupported-authentication", "Unsupported Authentication", detail)
    }

    /// 404, also as one of the errors beside `data`.
    pub fn not_found(resource: &str, parameter: &str, value: &str) -> Self {
        let detail = format!("Could not find {resource} with {parameter}: [{value}].");
        Self::new(StatusCode::NOT_FOUND, "resource-not-found", "Not Found Error", detail)
            .about(resource, parameter, value)
    }

    /// 429.
    pub fn rate_limited() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limit-exceeded", "Too Many Requests", "Too Many Requests")
    }

    /// 503.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "internal-error", "Service Unavailable", "Service Unavailable")
    }

    /// 504, at the end of a request that was held.
    pub fn gateway_timeout() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "internal-error", "Gateway Timeout", "The request was held.")
    }

    /// As one of the errors beside `data`: without a status.
    pub fn partial(&self) -> Value {
        let mut object = self.more.clone();
        let kind = if self.kind == BLANK { BLANK.to_owned() } else { format!("{TYPES}{}", self.kind) };
        object.insert("type".into(), kind.into());
        object.insert("title".into(), self.title.into());
        object.insert("detail".into(), self.detail.clone().into());
        Value::Object(object)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut object = self.partial();
        object["status"] = self.status.as_u16().into();
        let mut response = Response::new(Body::from(object.to_string()));
        *response.status_mut() = self.status;
        let kind = HeaderValue::from_static("application/problem+json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
