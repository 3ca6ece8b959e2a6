//! `perch eval`: how well models and rules do on labelled examples.

mod examples;
mod extraction;
mod report;

use perch_bot::cli::{CommandError, Invocation};

#[derive(Debug, clap::Subcommand)]
pub enum Eval {
    /// Reads labelled posts with a provider, or by rules, and compares the picks with the labels
    Extraction(extraction::Args),
}

pub async fn run(at: &Invocation<'_>, command: &Eval) -> Result<(), CommandError> {
    match command {
        Eval::Extraction(args) => extraction::run(at, args).await,
    }
}
