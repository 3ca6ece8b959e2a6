//! `perch openapi`: the description of the HTTP API.

use std::sync::Arc;

use axum::{body, extract::Request};
use perch_base::telemetry;
use perch_queue::Client;
use perch_workers::api::{ApiState, Health, router};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{
    app::{App, queues, store},
    error::{OpsError, chain},
};

#[derive(Debug, clap::Args)]
pub struct Args {}

/// Far more than the description takes.
const MOST_BYTES: usize = 16 * 1024 * 1024;

pub async fn run(app: &App, _: &Args) -> Result<(), OpsError> {
    let failed = |error: &dyn std::error::Error| OpsError::Part { part: "openapi", reason: chain(error) };
    let request = Request::get("/openapi.json").body(body::Body::empty()).map_err(|error| failed(&error))?;
    let response = router(state(app)?).oneshot(request).await.map_err(|error| failed(&error))?;
    let bytes = body::to_bytes(response.into_body(), MOST_BYTES).await.map_err(|error| failed(&error))?;
    let document: Value = serde_json::from_slice(&bytes).map_err(|error| failed(&error))?;
    app.out.json(&document)
}

/// An API that is asked for its description alone: nothing is connected.
fn state(app: &App) -> Result<ApiState, OpsError> {
    let settings = app.settings_without_servers()?;
    let (queues, store) = (queues(&settings)?, store(&settings)?);
    Ok(ApiState {
        client: Client::new(queues.clone()),
        health: Health::new(queues.redis().clone(), store.clone()),
        settings: Arc::new(settings),
        queues,
        store,
        metrics: telemetry::metrics()?,
    })
}
