use clap::{ArgMatches, Command, Subcommand as _};
use futures::future::{BoxFuture, FutureExt as _};
use perch_base::{ConfigError, ConfigSchema, Settings, clock};
use perch_bot::{
    Bot, BotError, Check, Platform,
    cli::{CommandError, Invocation},
    http::Routes,
};
use perch_jobs::{JobTypes, ReadAudience, RunLearner, ScoreCandidates, WriteCandidates, learner_types};
use perch_publishing::Origin;
use perch_queue::{
    Job as _,
    worker::{Deps, Handlers},
};
use perch_store::{Store, StoreError};
use sqlx::migrate::Migrator;

use crate::{
    Learner,
    audience::read_audience,
    checks,
    choosing::score_candidates,
    commands::{self, Commands},
    health::troubles,
    origin::Decision,
    routes,
    run::run_learner,
    settings::LearnerSettings,
    store::{BotState, LearnerStore as _},
    writing::write_candidates,
};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The learning poster.
#[derive(Debug, Clone, Copy)]
pub struct LearnerBot;

impl Bot for LearnerBot {
    fn name(&self) -> &'static str {
        "learner"
    }

    fn job_types(&self, types: JobTypes) -> JobTypes {
        learner_types(types)
    }

    fn settings(&self, schema: ConfigSchema) -> ConfigSchema {
        schema.with::<LearnerSettings>()
    }

    fn tables(&self) -> Option<&'static Migrator> {
        Some(&MIGRATIONS)
    }

    fn runs_without_redis(&self) -> &'static [&'static str] {
        &[RunLearner::KIND]
    }

    fn crash_points(&self) -> &'static [&'static str] {
        crate::CRASH_POINTS
    }

    fn providers(&self, settings: &Settings) -> Result<Vec<String>, ConfigError> {
        Ok(settings.sections.get::<LearnerSettings>()?.providers.to_vec())
    }

    fn origins(&self) -> Vec<Box<dyn Origin>> {
        vec![Box::new(Decision)]
    }

    fn handlers(&self, handlers: Handlers) -> Handlers {
        handlers
            .on::<RunLearner, _, _>(run_learner)
            .on::<WriteCandidates, _, _>(write_candidates)
            .on::<ScoreCandidates, _, _>(score_candidates)
            .on::<ReadAudience, _, _>(read_audience)
    }

    fn deps(&self, platform: &Platform, deps: Deps) -> Result<Deps, BotError> {
        Ok(deps.with(Learner::new(platform)?))
    }

    fn prune<'a>(&'a self, platform: &'a Platform) -> BoxFuture<'a, Result<u64, StoreError>> {
        async move { platform.store.learner().prune().await }.boxed()
    }

    fn commands(&self, perch: Command) -> Command {
        Commands::augment_subcommands(perch)
    }

    fn play_weeks(&self, at: &Invocation<'_>, weeks: u32) -> Option<Result<(), CommandError>> {
        Some(commands::simulate::run(at, &commands::simulate::Args::weeks(weeks)))
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
            let own = settings.sections.get::<LearnerSettings>()?;
            let of = |state: &BotState| -> Vec<String> {
                let troubles = troubles(state, &own, clock::now());
                troubles.iter().map(|trouble| format!("{}: {}", state.bot.bot, trouble.short())).collect()
            };
            Ok(store.learner().states(None).await?.iter().flat_map(of).collect())
        }
        .boxed()
    }

    fn checks<'a>(&'a self, platform: &'a Platform) -> BoxFuture<'a, Vec<Check>> {
        checks::all(platform).boxed()
    }
}
