//! `perch sandbox`: local stand-ins for X and the language models.

use std::net::SocketAddr;

use perch_base::telemetry;
use perch_sandbox::Sandbox;

use crate::{
    app::App,
    error::{OpsError, chain},
    process::{Stop, on_signals, options},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it listens; sandbox.bind when it is left out
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
}

pub async fn run(app: &App, args: &Args) -> Result<(), OpsError> {
    let settings = app.settings()?;
    let _telemetry = telemetry::init("perch-sandbox", &settings.telemetry)?;
    let stop = Stop::default();
    on_signals(&stop)?;
    let failed = |error: perch_sandbox::SandboxError| OpsError::Part { part: "sandbox", reason: chain(&error) };
    let sandbox =
        Sandbox::start(args.bind.unwrap_or(settings.sandbox.bind), options(&settings)).await.map_err(failed)?;
    app.out.note(format_args!("sandbox at {} (X under it, models under /v1, a page at /)", sandbox.base_url()));
    sandbox.run_until(stop.token().cancelled_owned()).await.map_err(failed)
}
