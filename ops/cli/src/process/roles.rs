//! The roles of a process: worker, scheduler, API, probes, metrics.

use std::future::Future;

use perch_api as api;
use perch_jobs::QueueName;
use perch_queue::worker::Runtime;
use tokio::net::TcpListener;

use super::start::Base;
use crate::error::{CommandError, chain};

fn failed(part: &'static str) -> impl FnOnce(Box<dyn std::error::Error>) -> CommandError {
    move |error| CommandError::Part { part, reason: chain(error.as_ref()) }
}

/// Runs the pools of these queues, or of all queues when none is named.
pub fn worker(
    base: &Base,
    queues: Vec<QueueName>,
) -> Result<impl Future<Output = Result<(), CommandError>> + use<>, CommandError> {
    let state = &base.state;
    let deps = state.bots.deps(&state.platform).map_err(|error| failed("workers")(error.into()))?;
    let runtime = Runtime::new(state.client.clone(), state.bots.handlers(), deps)?;
    let stop = base.stop.token();
    Ok(async move { runtime.run(&queues, stop).await.map_err(CommandError::from) })
}

/// Runs cron, intakes, the relay of the outbox and pruning.
pub fn scheduler(base: &Base) -> impl Future<Output = Result<(), CommandError>> + use<> {
    let (state, stop) = (base.state.clone(), base.stop.token());
    async move {
        state.bots.schedule(&state.platform, stop).await;
        Ok(())
    }
}

/// Serves the HTTP API.
pub fn api(base: &Base, listener: TcpListener) -> impl Future<Output = Result<(), CommandError>> + use<> {
    let (state, stop) = (base.state.clone(), base.stop.token());
    async move {
        api::serve(listener, state, stop).await;
        Ok(())
    }
}

/// Serves `/health`, `/ready` and `/metrics`.
pub fn probes(base: &Base, listener: TcpListener) -> impl Future<Output = Result<(), CommandError>> + use<> {
    let (state, stop) = (base.state.clone(), base.stop.token());
    async move {
        api::serve_probes(listener, state, stop).await;
        Ok(())
    }
}

/// Serves `/metrics` without a key at the address `http.metrics_bind`; with `queues`, including the metrics of the queues.
pub fn metrics(
    base: &Base,
    listener: TcpListener,
    queues: bool,
) -> impl Future<Output = Result<(), CommandError>> + use<> {
    let (state, stop) = (base.state.clone(), base.stop.token());
    async move {
        api::serve_metrics(listener, state, queues, stop).await;
        Ok(())
    }
}
