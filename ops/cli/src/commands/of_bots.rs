//! Runs the subcommands of bots.

use clap::ArgMatches;
use perch_base::Settings;
use perch_bot::{
    Bot, Platform,
    cli::{CommandSetup, Invocation},
};
use perch_store::Store;

use crate::{
    app::{App, operator, platform, store},
    error::CommandError,
};

impl CommandSetup for App {
    fn settings(&self) -> Result<Settings, CommandError> {
        Self::settings(self)
    }

    fn store(&self) -> Result<(Settings, Store), CommandError> {
        Self::store(self)
    }

    fn platform(&self) -> Result<Platform, CommandError> {
        let (settings, client) = self.client()?;
        platform(&settings, &client, &store(&settings)?)
    }
}

/// Runs a subcommand of a bot.
pub async fn run(app: &App, bot: &dyn Bot, matches: &ArgMatches) -> Result<(), CommandError> {
    bot.run(&Invocation::new(app.out, operator(), app), matches).await
}
