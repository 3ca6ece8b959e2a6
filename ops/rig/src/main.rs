//! `rig`: injects faults into a live system under load, and checks what became of every job.

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

/// Injects faults into a live system under load, and checks what became of every job
#[derive(Debug, Parser)]
#[command(name = "rig")]
enum Cli {
    /// A whole run: servers, processes, load, faults, checks
    Torture(torture::Args),
    /// A worker process of a run, started by it
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

/// The result of a run: true when all checks pass.
type Outcome = Result<bool, RigError>;
