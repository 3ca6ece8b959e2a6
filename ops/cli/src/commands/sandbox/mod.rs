//! `perch sandbox`: local stand-ins for X and the language models.

mod play;
mod stage;

use std::net::SocketAddr;

use perch_base::telemetry;
use perch_sandbox::Sandbox;

use crate::{
    app::App,
    error::{CommandError, chain},
    process::{Stop, on_signals, options},
};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Where it listens; sandbox.bind when it is left out
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
    /// Its accounts have written nothing and write nothing by themselves
    #[arg(long)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Option<SandboxCommand>,
}

/// What can be done with a running sandbox.
#[derive(Debug, clap::Subcommand)]
pub enum SandboxCommand {
    /// A scripted day in a running sandbox and what the bots should make of it; or weeks of bots that learn
    Play(play::Args),
}

pub async fn run(app: &App, args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Some(SandboxCommand::Play(args)) => play::run(app, args).await,
        None => serve(app, args).await,
    }
}

async fn serve(app: &App, args: &Args) -> Result<(), CommandError> {
    let settings = app.settings()?;
    let _telemetry = telemetry::init("perch-sandbox", &settings.telemetry)?;
    let stop = Stop::default();
    on_signals(&stop)?;
    let failed = |error: perch_sandbox::SandboxError| CommandError::Part { part: "sandbox", reason: chain(&error) };
    let mut options = options(&settings)?;
    if args.quiet {
        options.watched.clear();
        options.post_every = None;
    }
    let sandbox = Sandbox::start(args.bind.unwrap_or(settings.sandbox.bind), options).await.map_err(failed)?;
    app.out.note(format_args!("sandbox at {} (X under it, models under /v1, a page at /)", sandbox.base_url()));
    sandbox.run_until(stop.token().cancelled_owned()).await.map_err(failed)
}
