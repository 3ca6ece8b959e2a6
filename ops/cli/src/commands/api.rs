//! `perch api`: serves the HTTP API.

use std::net::SocketAddr;

use crate::{
    app::App,
    error::CommandError,
    process::{Base, Listeners, Logs, Parts, api, metrics},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it listens; http.bind when it is left out
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    let settings = app.settings()?;
    let listeners = Listeners::open(&settings, args.bind).await?;
    let base = Base::start(settings, "perch-api", Logs::Plain, false).await?;
    let mut parts = Parts::new(&base.stop);
    parts.add("api", api(&base, listeners.main));
    if let Some(listener) = listeners.metrics {
        parts.add("metrics", metrics(&base, listener, true));
    }
    let outcome = parts.ended().await;
    base.end().await;
    outcome
}
