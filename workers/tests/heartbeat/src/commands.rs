use clap::{ArgMatches, FromArgMatches as _};
use perch_bot::cli::{
    CommandError, Invocation, Paging,
    format::table::{Listing, cell, cut, whole},
};

use crate::store;

#[derive(Debug, clap::Subcommand)]
pub enum Commands {
    /// The last beats of this deployment
    Heartbeat(Paging),
}

/// Shows the last beats.
pub async fn run(at: &Invocation<'_>, matches: &ArgMatches) -> Result<(), CommandError> {
    let Commands::Heartbeat(paging) =
        Commands::from_arg_matches(matches).map_err(|error| CommandError::Usage(error.to_string()))?;
    let page = store::beats(&at.platform()?.store, &paging.or(20)).await?;
    at.out.page(&page, "no beat yet", |beats| {
        let mut listing = Listing::new([whole("AT"), cut("WORD")]);
        for beat in beats {
            listing.row([cell(beat.at.to_rfc3339()), cell(&beat.word)]);
        }
        listing
    })
}
