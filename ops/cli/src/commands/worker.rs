//! `perch worker`: runs the jobs of queues.

use std::net::SocketAddr;

use perch_jobs::QueueName;

use crate::{
    app::{App, chosen},
    error::CommandError,
    process::{Base, Listeners, Logs, Parts, metrics, probes, worker},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these queues; all of them when none is named
    #[arg(value_name = "QUEUE")]
    pub queues: Vec<QueueName>,
    /// Where /health, /ready and /metrics are served; http.bind when it is left out
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let settings = app.settings()?;
    // Finds a misspelt queue before anything starts.
    chosen(&crate::app::queues(&settings)?, &args.queues)?;
    let listeners = Listeners::open(&settings, args.bind).await?;
    let base = Base::start(settings, "perch-worker", Logs::Plain, false).await?;
    let mut parts = Parts::new(&base.stop);
    parts.add("workers", worker(&base, args.queues.clone())?);
    parts.add("probes", probes(&base, listeners.main));
    if let Some(listener) = listeners.metrics {
        parts.add("metrics", metrics(&base, listener, false));
    }
    let outcome = parts.ended().await;
    base.end().await;
    outcome
}
