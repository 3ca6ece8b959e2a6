//! The subcommands that bots bring.

use clap::ArgMatches;
use perch_bot::{Bot, CommandError, Said};

use crate::{
    app::{App, platform, store},
    error::{OpsError, chain},
    format::table::{Listing, cell, cut},
};

/// Carries out a subcommand of a bot, and shows what it answers.
pub async fn run(app: &App, bot: &dyn Bot, matches: &ArgMatches) -> Result<(), OpsError> {
    let (settings, client) = app.client()?;
    let platform = platform(&settings, &client, &store(&settings)?)?;
    let said = bot.run(&platform, matches).await.map_err(|error| match error {
        CommandError::Refused(why) => OpsError::Refused(why),
        CommandError::Failed(error) => OpsError::Part { part: bot.name(), reason: chain(&*error) },
    })?;
    match said {
        Said::One { json, .. } if app.out.is_json() => app.out.json(&json),
        Said::One { text, .. } => app.out.text(0, &text),
        Said::List { json, .. } if app.out.is_json() => app.out.json(&json),
        Said::List { rows, none, .. } if rows.is_empty() => app.out.line(none),
        Said::List { columns, rows, .. } => {
            let mut listing = Listing::new(columns.into_iter().map(cut));
            for row in rows {
                listing.row(row.into_iter().map(cell));
            }
            app.out.table(&listing)
        }
    }
}
