use clap::{ArgMatches, Command, Subcommand as _};
use futures::future::{BoxFuture, FutureExt as _};
use perch_base::{ConfigError, ConfigSchema, Settings, clock};
use perch_bot::{
    Bot, BotError, Check, Platform,
    cli::{CommandError, Invocation},
    http::Routes,
};
use perch_jobs::{JobTypes, ReplenishStock, RunPersonas, personas_types};
use perch_publishing::Origin;
use perch_queue::{
    Job as _,
    worker::{Deps, Handlers},
};
use perch_store::{Store, StoreError};
use sqlx::migrate::Migrator;

use crate::{
    FromStock, PersonaState, Personas, PersonasSettings, checks,
    commands::{self, Commands},
    replenish_stock, routes, run_personas,
    store::StockStore as _,
    troubles,
};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The bot that posts as personas.
#[derive(Debug, Clone, Copy)]
pub struct PersonasBot;

impl Bot for PersonasBot {
    fn name(&self) -> &'static str {
        "personas"
    }

    fn job_types(&self, types: JobTypes) -> JobTypes {
        personas_types(types)
    }

    fn settings(&self, schema: ConfigSchema) -> ConfigSchema {
        schema.with::<PersonasSettings>()
    }

    fn tables(&self) -> Option<&'static Migrator> {
        Some(&MIGRATIONS)
    }

    fn runs_without_redis(&self) -> &'static [&'static str] {
        &[RunPersonas::KIND]
    }

    fn crash_points(&self) -> &'static [&'static str] {
        crate::CRASH_POINTS
    }

    fn providers(&self, settings: &Settings) -> Result<Vec<String>, ConfigError> {
        Ok(settings.sections.get::<PersonasSettings>()?.providers.to_vec())
    }

    fn origins(&self) -> Vec<Box<dyn Origin>> {
        vec![Box::new(FromStock)]
    }

    fn handlers(&self, handlers: Handlers) -> Handlers {
        handlers.on::<RunPersonas, _, _>(run_personas).on::<ReplenishStock, _, _>(replenish_stock)
    }

    fn deps(&self, platform: &Platform, deps: Deps) -> Result<Deps, BotError> {
        Ok(deps.with(Personas::new(platform)?))
    }

    fn prune<'a>(&'a self, platform: &'a Platform) -> BoxFuture<'a, Result<u64, StoreError>> {
        async move { platform.store.stock().prune().await }.boxed()
    }

    fn commands(&self, perch: Command) -> Command {
        Commands::augment_subcommands(perch)
    }

    fn run<'a>(&'a self, at: &'a Invocation<'a>, matches: &'a ArgMatches) -> BoxFuture<'a, Result<(), CommandError>> {
        commands::run(at, matches).boxed()
    }

    fn routes(&self) -> Routes {
        routes::all()
    }

    fn troubles<'a>(
        &'a self,
        settings: &'a Settings,
        store: &'a Store,
    ) -> BoxFuture<'a, Result<Vec<String>, BotError>> {
        async move {
            let grace = settings.sections.get::<PersonasSettings>()?.grace;
            let of = |state: &PersonaState| -> Vec<String> {
                let troubles = troubles(state, grace, clock::now());
                troubles.iter().map(|trouble| format!("{}: {}", state.persona.name, trouble.short())).collect()
            };
            Ok(store.slots().states(None).await?.iter().flat_map(of).collect())
        }
        .boxed()
    }

    fn checks<'a>(&'a self, platform: &'a Platform) -> BoxFuture<'a, Vec<Check>> {
        checks::all(platform).boxed()
    }
}
