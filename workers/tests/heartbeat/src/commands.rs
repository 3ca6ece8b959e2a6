use clap::{ArgMatches, FromArgMatches as _};
use perch_bot::cli::{
    CommandError, Invocation,
    format::table::{Listing, cell, cut, whole},
};

use crate::store;

#[derive(Debug, clap::Subcommand)]
pub enum Commands {
    /// The last beats of this deployment
    Heartbeat {
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=1_000))]
        limit: i64,
    },
}

/// Shows the last beats.
pub async fn run(at: &Invocation<'_>, matches: &ArgMatches) -> Result<(), CommandError> {
    let Commands::Heartbeat { limit } =
        Commands::from_arg_matches(matches).map_err(|error| CommandError::Usage(error.to_string()))?;
    let beats = store::latest(&at.platform()?.store, limit).await?;
    if at.out.is_json() {
        return at.out.json(&beats);
    }
    if beats.is_empty() {
        return at.out.line("no beat yet");
    }
    let mut listing = Listing::new([whole("AT"), cut("WORD")]);
    for beat in &beats {
        listing.row([cell(beat.at.to_rfc3339()), cell(&beat.word)]);
    }
    at.out.table(&listing)
}
