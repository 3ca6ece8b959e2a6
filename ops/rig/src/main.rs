//! `rig`: breaks everything that can break under a live load, and counts what came out.

#![allow(clippy::doc_markdown, reason = "doc comments of arguments are the text of --help")]

mod books;
mod chaos;
mod dice;
mod error;
mod faults;
mod fleet;
mod incident;
mod incidents;
mod journal;
mod label;
mod operator;
mod plan;
mod producers;
mod proxy;
mod publisher;
mod quiet;
mod report;
mod sabotage;
mod servers;
mod targets;
mod torture;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::error::RigError;

/// Breaks everything that can break under a live load, and counts what came out
#[derive(Debug, Parser)]
#[command(name = "rig")]
enum Cli {
    /// A whole run: servers, processes, load, faults, books
    Torture(torture::Args),
    /// A worker process of a run; started by it
    Worker,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    perch_base::tls::install();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("rig: cannot start the runtime: {error}");
            return ExitCode::from(2);
        }
    };
    let outcome = runtime.block_on(async {
        match cli {
            Cli::Torture(args) => torture::run(args).await,
            Cli::Worker => worker::run().await.map(|()| true),
        }
    });
    runtime.shutdown_background();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rig: {}", perch_base::chain(&error));
            ExitCode::from(2)
        }
    }
}

/// What a run comes to: whether the books are in order.
type Outcome = Result<bool, RigError>;
