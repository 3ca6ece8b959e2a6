//! The command line: it operates the queues, and runs the workers, the scheduler and the HTTP API of a deployment. The caller
//! chooses its bots.
//!
//! A deployment with a bot of its own is a program of one line:
//!
//! ```no_run
//! # fn of_ones_own() -> std::process::ExitCode {
//! perch_cli::main(perch_workers::bots())
//! # }
//! ```

#![allow(clippy::doc_markdown, reason = "doc comments of arguments are the text of --help")]

mod app;
mod cli;
mod commands;
mod live;
mod parse;
mod process;

use std::{process::ExitCode, sync::Arc};

use perch_bot::{
    Bots,
    cli::{error, format, output},
};
use perch_sandbox::Actor;

use crate::{
    app::App,
    cli::{CommandSource, Invocation},
    commands::Command,
    error::CommandError,
};

// Decision 9: glibc spends a fifth of a worker's time on its batches of small allocations.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs the command in the arguments of this process, for a deployment with these bots. Its sandbox has the actors of the bots of
/// Perch.
pub fn main(bots: Bots) -> ExitCode {
    main_with(bots, perch_actors::actors())
}

/// Like [`main`], with these actors in the sandbox.
pub fn main_with(bots: Bots, actors: Vec<Arc<dyn Actor>>) -> ExitCode {
    if let Some(wrong) = bots.wrong_name().or_else(|| bots.wrong_family()).or_else(|| cli::wrong_command(&bots)) {
        return output::usage(&clap::Error::raw(clap::error::ErrorKind::InvalidValue, format!("{wrong}\n")));
    }
    app::deploy(bots);
    app::cast(actors);
    let invocation = match Invocation::parse() {
        Ok(asked) => asked,
        Err(error) => return output::usage(&error),
    };
    if matches!(invocation.source, CommandSource::Perch(Command::ApplyEdit)) {
        return commands::dead::edit_process::serve();
    }
    perch_base::tls::install();
    let app = App::new(&invocation.global);
    let outcome =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime).and_then(
            |runtime| {
                let outcome = runtime.block_on(async {
                    match invocation.source {
                        CommandSource::Perch(command) => commands::run(&app, command).await,
                        CommandSource::Bot(bot, matches) => commands::of_bots::run(&app, &*bot, &matches).await,
                    }
                });
                // A blocking handler or a terminal read must not delay the end of the process.
                runtime.shutdown_background();
                outcome
            },
        );
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            app.out.failure(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
