//! The subcommands of the bot.

mod accounts;
mod eval;
mod picks;
mod summary;

use clap::{ArgMatches, FromArgMatches as _};
use perch_bot::cli::{CommandError, Invocation};

/// The subcommands that the bot adds to `perch`.
#[derive(Debug, clap::Subcommand)]
pub enum Commands {
    /// Watched accounts: add, remove, list, show
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// Picks: list, show, settle, record
    #[command(subcommand)]
    Picks(picks::Picks),
    /// The summary of a day
    Summary(summary::Args),
    /// How well models and rules do on labelled examples: extraction
    #[command(subcommand)]
    Eval(eval::Eval),
}

/// Runs the subcommand of the bot that the arguments name.
pub async fn run(at: &Invocation<'_>, matches: &ArgMatches) -> Result<(), CommandError> {
    match Commands::from_arg_matches(matches).map_err(|error| CommandError::Usage(error.to_string()))? {
        Commands::Accounts(command) => accounts::run(at, &command).await,
        Commands::Picks(command) => picks::run(at, &command).await,
        Commands::Summary(args) => summary::run(at, &args).await,
        Commands::Eval(command) => eval::run(at, &command).await,
    }
}
