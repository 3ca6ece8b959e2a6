//! What platforms ask every process: is it alive, is it ready, what does it measure. None of it needs a key.

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
    health::{Alive, Health, Readiness},
};

#[derive(Clone)]
struct Probed {
    health: Health,
    metrics: PrometheusHandle,
    gauges: Option<Arc<Gauges>>,
}

/// The probes without what they stand on.
fn described() -> OpenApiRouter<Probed> {
    OpenApiRouter::new().routes(routes!(health_probe)).routes(routes!(ready_probe)).routes(routes!(metrics_probe))
}

/// The description of the probes.
pub(super) fn document() -> OpenApi {
    described().into_openapi()
}

/// The probes; with `gauges`, the metrics show the queues too.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(
    health: Health,
    metrics: PrometheusHandle,
    gauges: Option<Arc<Gauges>>,
) -> Router<S> {
    described().with_state(Probed { health, metrics, gauges }).into()
}

/// `/health`, `/ready` and `/metrics` for a process that serves nothing else.
///
/// Its metrics are those of the process alone: reading the queues costs Redis commands, and one process that does it, the
/// API, is enough.
pub fn probe_router(health: Health, metrics: PrometheusHandle) -> Router {
    super::covered(routes(health, metrics, None))
}

/// Is the process alive?
///
/// Answers at once and asks nobody. A platform restarts a process that does not answer this.
#[utoipa::path(get, path = "/health", tag = "probes", operation_id = "health",
    responses((status = 200, description = "It is.", body = Alive)))]
async fn health_probe(State(probed): State<Probed>) -> Json<Alive> {
    Json(probed.health.alive())
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
async fn ready_probe(State(probed): State<Probed>) -> (StatusCode, Json<Readiness>) {
    let readiness = probed.health.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

/// Metrics
///
/// In the text format of Prometheus. The API shows the queues too; other processes show only themselves.
#[utoipa::path(get, path = "/metrics", tag = "probes", operation_id = "metrics",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain")))]
async fn metrics_probe(State(probed): State<Probed>) -> Response {
    if let Some(gauges) = &probed.gauges {
        gauges.refresh().await;
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], probed.metrics.render()).into_response()
}
