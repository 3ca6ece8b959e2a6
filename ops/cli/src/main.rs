//! `perch`: operates the queues, and runs the workers, the scheduler and the HTTP API.

#![allow(clippy::doc_markdown, reason = "doc comments of arguments are the text of --help")]

mod app;
mod cli;
mod commands;
mod error;
mod format;
mod live;
mod output;
mod parse;
mod process;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{app::App, cli::Cli, commands::Command, error::OpsError};

// Decision 9: a worker's batches of small pieces cost glibc a fifth of its time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    if matches!(cli.command, Command::ApplyEdit) {
        return commands::dead::edit_process::serve();
    }
    perch_base::tls::install();
    let app = App::new(&cli.global);
    let outcome = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(OpsError::Runtime).and_then(
        |runtime| {
            let outcome = runtime.block_on(commands::run(&app, cli.command));
            // A handler that blocks, or a read of the terminal, must not hold up the end of the process.
            runtime.shutdown_background();
            outcome
        },
    );
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report(&app.out);
            ExitCode::from(error.exit_code())
        }
    }
}
