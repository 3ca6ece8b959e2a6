//! The probes of every process: alive, ready, metrics. The first two need no key and reveal
//! nothing about its work. The metrics name accounts and costs: they need a key, except at their own
//! address on a private network (`http.metrics_bind`).

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics_exporter_prometheus::PrometheusHandle;
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    gauges::Gauges,
    guard::{AccessControl, RequiredScopes, guarded},
    health::{Alive, Health, Readiness},
};

/// The metrics of a process. `gauges` are set where the queues are included: reading them costs Redis commands, so only
/// the API includes them.
#[derive(Clone)]
pub(super) struct MetricsSource {
    pub metrics: PrometheusHandle,
    pub gauges: Option<Arc<Gauges>>,
}

/// The routes of the probes that need no key.
fn open() -> OpenApiRouter<Health> {
    OpenApiRouter::new().routes(routes!(health_probe)).routes(routes!(ready_probe))
}

fn measured() -> OpenApiRouter<MetricsSource> {
    OpenApiRouter::new().routes(routes!(metrics_probe))
}

/// The OpenAPI document of the probes.
pub(super) fn document() -> OpenApi {
    let mut document = open().into_openapi();
    document.merge(guarded(None, RequiredScopes::READ, measured()).into_openapi());
    document
}

/// `/health` and `/ready`, and `/metrics` for keys that `door` accepts.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(
    door: &Arc<AccessControl>,
    health: Health,
    metrics: MetricsSource,
) -> Router<S> {
    let guarded = guarded(Some(door), RequiredScopes::READ, measured()).with_state(metrics);
    Router::from(open().with_state(health)).merge(Router::from(guarded))
}

/// `/metrics` without a key.
pub(super) fn metrics_routes(metrics: MetricsSource) -> Router {
    measured().with_state(metrics).into()
}

/// Is the process alive?
///
/// Answers at once and asks nobody. A platform restarts a process that does not answer this.
#[utoipa::path(get, path = "/health", tag = "probes", operation_id = "health",
    responses((status = 200, description = "It is.", body = Alive)))]
async fn health_probe(State(health): State<Health>) -> Json<Alive> {
    Json(health.alive())
}

/// Is the process ready?
///
/// Redis and Postgres answer, and the database has the schema of this release. A platform sends no work to a process that
/// is not ready, and does not restart it for that.
#[utoipa::path(get, path = "/ready", tag = "probes", operation_id = "ready",
    responses(
        (status = 200, description = "It is.", body = Readiness),
        (status = 503, description = "It is not; the answer says what it lacks.", body = Readiness),
    ))]
async fn ready_probe(State(health): State<Health>) -> (StatusCode, Json<Readiness>) {
    let readiness = health.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

/// Metrics
///
/// In the text format of Prometheus. The API shows the queues too; other processes show only themselves. At the address
/// `http.metrics_bind`, where that is set, they need no key.
#[utoipa::path(get, path = "/metrics", tag = "probes", operation_id = "metrics",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain")))]
async fn metrics_probe(State(measured): State<MetricsSource>) -> Response {
    if let Some(gauges) = &measured.gauges {
        gauges.refresh().await;
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], measured.metrics.render()).into_response()
}
