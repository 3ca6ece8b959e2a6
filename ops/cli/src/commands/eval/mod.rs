//! `perch eval`: how well models and rules do on labelled examples.

mod examples;
mod extraction;
mod report;

use crate::{app::App, error::OpsError};

#[derive(Debug, clap::Subcommand)]
pub enum Eval {
    /// Reads labelled posts with a provider, or by rules, and compares the picks with the labels
    Extraction(extraction::Args),
}

pub async fn run(app: &App, command: &Eval) -> Result<(), OpsError> {
    match command {
        Eval::Extraction(args) => extraction::run(app, args).await,
    }
}
