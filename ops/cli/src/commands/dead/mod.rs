//! `perch dead`: the dead letters.

mod discard;
mod edit;
pub mod edit_process;
mod editor;
mod export;
mod filter;
mod list;
mod pages;
mod plan;
mod replay;
mod show;
mod stats;

use crate::{app::App, error::CommandError};

#[derive(Debug, clap::Subcommand)]
pub enum Dead {
    /// Dead letters, the latest first
    List(list::Args),
    /// Dead letters by cause
    Stats(stats::Args),
    /// Everything about a dead letter
    Show(show::Args),
    /// Brings dead letters back, with as many attempts again
    Replay(replay::Args),
    /// Removes dead letters for good
    Discard(discard::Args),
    /// Writes dead letters as NDJSON
    ///
    /// Each line is a job as `perch enqueue --ndjson` takes it, with the letter under `died`. What is enqueued of it are new jobs, whose
    /// effects are their own; to have a job go on as the one that it was, bring it back with `perch dead replay`.
    Export(export::Args),
}

pub async fn run(app: &App, command: &Dead) -> Result<(), CommandError> {
    match command {
        Dead::List(args) => list::run(app, args).await,
        Dead::Stats(args) => stats::run(app, args).await,
        Dead::Show(args) => show::run(app, args).await,
        Dead::Replay(args) => replay::run(app, args).await,
        Dead::Discard(args) => discard::run(app, args).await,
        Dead::Export(args) => export::run(app, args).await,
    }
}
