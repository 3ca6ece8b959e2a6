//! Observes each request: a span in its caller's trace, a log line, two metrics, and an id that connects
//! them.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue},
    middleware::Next,
    response::Response,
};
use perch_base::telemetry;
use tracing::{Instrument as _, Span, field::Empty};

const REQUEST_ID: &str = "x-request-id";

/// The middleware.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let id = request_id(request.headers());
    let span = span(request.headers(), method.as_str(), &route, &id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let took = began.elapsed();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    // A client may send any method; labels must be few.
    let label = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    metrics::counter!("perch_http_requests_total", "route" => route.clone(), "method" => label.clone(), "status" => status.as_str().to_owned())
        .increment(1);
    metrics::histogram!("perch_http_request_seconds", "route" => route, "method" => label).record(took.as_secs_f64());
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match status.as_u16() {
        ..400 => tracing::debug!(parent: &span, status = status.as_u16(), ms, "answered"),
        400..500 => tracing::info!(parent: &span, status = status.as_u16(), ms, "refused"),
        503 => tracing::warn!(parent: &span, status = status.as_u16(), ms, "not available"),
        _ => tracing::error!(parent: &span, status = status.as_u16(), ms, "failed"),
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn span(headers: &HeaderMap, method: &str, route: &str, id: &str) -> Span {
    // Platforms probe every few seconds; their traces would hide the others.
    if matches!(route, "/health" | "/ready" | "/metrics") {
        return Span::none();
    }
    let span = tracing::error_span!(
        "http",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        method,
        route,
        request_id = id,
        http.response.status_code = Empty,
        key = Empty,
    );
    if let Some(traceparent) = headers.get("traceparent").and_then(|value| value.to_str().ok()) {
        telemetry::set_parent(&span, traceparent);
    }
    span
}

/// The id that the caller gave its request, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let fits = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(fits);
    given.map_or_else(|| ulid::Ulid::generate().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_caller_is_kept_unless_it_could_forge_a_log_line() {
        let of = |value: &str| {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
            request_id(&HeaderMap::from_iter([(axum::http::HeaderName::from_static(REQUEST_ID), value)]))
        };
        assert_eq!(of("abc-123"), "abc-123");
        assert_ne!(of("two words"), "two words");
        assert_ne!(of(&"x".repeat(129)), "x".repeat(129));
        assert_eq!(request_id(&HeaderMap::new()).len(), 26);
    }
}
