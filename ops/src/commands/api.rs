//! `perch api`: serves the HTTP API.

use std::net::SocketAddr;

use crate::{
    app::App,
    error::OpsError,
    process::{Base, Logs, Parts, api, listen},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it listens; http.bind when it is left out
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), OpsError> {
    let settings = app.settings()?;
    let listener = listen(args.bind.unwrap_or(settings.http.bind)).await?;
    let base = Base::start(settings, "perch-api", Logs::Plain, false).await?;
    let mut parts = Parts::new(&base.stop);
    parts.add("api", api(&base, listener));
    let outcome = parts.ended().await;
    base.end().await;
    outcome
}
