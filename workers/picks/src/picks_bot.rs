use clap::{ArgMatches, Command, Subcommand as _};
use futures::future::{BoxFuture, FutureExt as _};
use perch_base::{ConfigError, ConfigSchema, Settings};
use perch_bot::{
    Bot, BotError, Check, Platform, SandboxRoles,
    cli::{CommandError, Invocation},
    http::Routes,
};
use perch_jobs::{
    ExtractPost, FetchResults, JobTypes, PollAccount, PollAccounts, PollDueAccounts, SummariseDay, picks_types,
};
use perch_publishing::Origin;
use perch_queue::worker::{Deps, Handlers};
use perch_store::Families;
use sqlx::migrate::Migrator;

use crate::{
    Actions, Picks, PicksSettings, checks,
    commands::{self, Commands},
    extraction::extract_post,
    fetch_results, poll_account, poll_accounts, poll_due_accounts, routes,
    store::{ExtractionRecord, PickRecord, PickSighting, PostRecord},
    summarise_day,
};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The picks bot.
#[derive(Debug, Clone, Copy)]
pub struct PicksBot;

impl Bot for PicksBot {
    fn name(&self) -> &'static str {
        "picks"
    }

    fn job_types(&self, types: JobTypes) -> JobTypes {
        picks_types(types)
    }

    fn settings(&self, schema: ConfigSchema) -> ConfigSchema {
        schema.with::<PicksSettings>()
    }

    fn tables(&self) -> Option<&'static Migrator> {
        Some(&MIGRATIONS)
    }

    fn records(&self, families: Families) -> Families {
        families.with::<PostRecord>().with::<PickRecord>().with::<PickSighting>().with::<ExtractionRecord>()
    }

    fn origins(&self) -> Vec<Box<dyn Origin>> {
        vec![Box::new(Actions)]
    }

    fn handlers(&self, handlers: Handlers) -> Handlers {
        handlers
            .on::<PollAccounts, _, _>(poll_accounts)
            .on::<PollAccount, _, _>(poll_account)
            .on::<PollDueAccounts, _, _>(poll_due_accounts)
            .on::<ExtractPost, _, _>(extract_post)
            .on::<FetchResults, _, _>(fetch_results)
            .on::<SummariseDay, _, _>(summarise_day)
    }

    fn deps(&self, platform: &Platform, deps: Deps) -> Result<Deps, BotError> {
        let Platform { settings, client, store, clients, guard } = platform;
        Ok(deps.with(Picks::new(settings, clients.clone(), guard.clone(), client.queues().redis(), store)?))
    }

    fn routes(&self) -> Routes {
        routes::all()
    }

    fn commands(&self, perch: Command) -> Command {
        Commands::augment_subcommands(perch)
    }

    fn run<'a>(&'a self, at: &'a Invocation<'a>, matches: &'a ArgMatches) -> BoxFuture<'a, Result<(), CommandError>> {
        commands::run(at, matches).boxed()
    }

    fn providers(&self, settings: &Settings) -> Result<Vec<String>, ConfigError> {
        Ok(settings.sections.get::<PicksSettings>()?.providers.to_vec())
    }

    fn sandbox_roles(&self, settings: &Settings) -> Result<SandboxRoles, ConfigError> {
        let picks = settings.sections.get::<PicksSettings>()?;
        Ok(SandboxRoles { authors: picks.watch.clone(), spoken_to: Some(picks.account.clone()) })
    }

    fn checks<'a>(&'a self, platform: &'a Platform) -> BoxFuture<'a, Vec<Check>> {
        checks::all(platform).boxed()
    }
}
