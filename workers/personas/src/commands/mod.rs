//! `perch personas`, alias `perch bots`: the personas, their stock of posts and their slots.

mod edit;
mod import;
mod import_template;
mod posts;
mod show;

use std::sync::Arc;

use clap::{ArgMatches, FromArgMatches as _};
use perch_base::Settings;
use perch_bot::cli::{CommandError, Invocation};
use perch_core::personas::{Persona, PersonaStore as _};
use perch_jobs::PersonaName;
use perch_store::Store;

use crate::PersonasSettings;

/// The subcommands of the bot.
#[derive(Debug, clap::Subcommand)]
pub enum Commands {
    /// Who the accounts post as: list, show, add, edit, remove, pause, resume, test, import, stats, posts, slots
    #[command(subcommand, visible_alias = "bots")]
    Personas(Personas),
}

#[derive(Debug, clap::Subcommand)]
pub enum Personas {
    /// Personas by name
    List(show::ListArgs),
    /// Everything about one
    Show(OfPersona),
    /// Adds a persona, from options or a file
    Add(edit::AddArgs),
    /// Changes what is given and leaves the rest
    Edit(edit::EditArgs),
    /// Removes a persona; posts that are in a slot already go out
    Remove(edit::RemoveArgs),
    /// Stops a persona from posting
    Pause(OfPersona),
    /// Lets a persona post again
    Resume(OfPersona),
    /// Writes three sample posts and publishes none
    Test(OfPersona),
    /// Adds or changes the personas in a file
    Import(import::Args),
    /// Writes a batch of posts now
    Replenish(OfPersona),
    /// Posts published and left, success ratio, cost
    Stats(show::StatsArgs),
    /// Posts of the stock, the latest first
    Posts(posts::ListArgs),
    /// Lets a post that waits for a person into the stock
    Approve(posts::ApproveArgs),
    /// Takes a post out of the stock
    Reject(posts::RejectArgs),
    /// The times of a persona and what became of them, the latest first
    Slots(show::SlotsArgs),
}

#[derive(Debug, clap::Args)]
pub struct OfPersona {
    /// The name of the persona
    pub name: PersonaName,
}

/// Runs the subcommand in the arguments of `perch`.
pub async fn run(at: &Invocation<'_>, matches: &ArgMatches) -> Result<(), CommandError> {
    let Commands::Personas(command) =
        Commands::from_arg_matches(matches).map_err(|error| CommandError::Usage(error.to_string()))?;
    match &command {
        Personas::List(args) => show::list(at, args).await,
        Personas::Show(args) => show::show(at, &args.name).await,
        Personas::Add(args) => edit::add(at, args).await,
        Personas::Edit(args) => edit::edit(at, args).await,
        Personas::Remove(args) => edit::remove(at, args).await,
        Personas::Pause(args) => edit::switch(at, &args.name, false).await,
        Personas::Resume(args) => edit::switch(at, &args.name, true).await,
        Personas::Test(args) => posts::test(at, &args.name).await,
        Personas::Import(args) => import::run(at, args).await,
        Personas::Replenish(args) => posts::replenish(at, &args.name).await,
        Personas::Stats(args) => show::stats(at, args).await,
        Personas::Posts(args) => posts::list(at, args).await,
        Personas::Approve(args) => posts::approve(at, args).await,
        Personas::Reject(args) => posts::reject(at, args).await,
        Personas::Slots(args) => show::slots(at, args).await,
    }
}

/// The settings of the bot.
fn own(settings: &Settings) -> Result<Arc<PersonasSettings>, CommandError> {
    Ok(settings.sections.get::<PersonasSettings>()?)
}

async fn one(store: &Store, name: &PersonaName) -> Result<Persona, CommandError> {
    store.personas().get(name).await?.ok_or_else(|| unknown(name))
}

fn unknown(name: &PersonaName) -> CommandError {
    CommandError::Refused(format!("there is no persona {name}; `perch personas list` shows those there are"))
}
