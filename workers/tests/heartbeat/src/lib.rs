//! The smallest bot that has one of everything: it writes a line into its table whenever its cron entry fires.

mod beat;
mod commands;
mod routes;
mod settings;
mod store;

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use clap::{ArgMatches, Command, Subcommand as _};
use futures::future::{BoxFuture, FutureExt as _};
use perch_base::{ConfigSchema, Paging};
use perch_bot::{
    Bot, Check, Platform,
    cli::{CommandError, Invocation},
    http::Routes,
};
use perch_jobs::JobTypes;
use perch_queue::worker::Handlers;
use perch_store::StoreError;
use sqlx::migrate::Migrator;

use crate::{beat::Heartbeat, commands::Commands, settings::HeartbeatSettings};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// After so long without a beat something is wrong.
const SILENCE: Duration = Duration::from_secs(60);

/// The bot.
#[derive(Debug, Clone, Copy)]
pub struct HeartbeatBot;

impl Bot for HeartbeatBot {
    fn name(&self) -> &'static str {
        "heartbeat"
    }

    fn job_types(&self, types: JobTypes) -> JobTypes {
        types.with::<Heartbeat>()
    }

    fn settings(&self, schema: ConfigSchema) -> ConfigSchema {
        schema.with::<HeartbeatSettings>()
    }

    fn tables(&self) -> Option<&'static Migrator> {
        Some(&MIGRATIONS)
    }

    fn handlers(&self, handlers: Handlers) -> Handlers {
        handlers.on::<Heartbeat, _, _>(beat::beat)
    }

    fn routes(&self) -> Routes {
        routes::routes()
    }

    fn commands(&self, perch: Command) -> Command {
        Commands::augment_subcommands(perch)
    }

    fn run<'a>(&'a self, at: &'a Invocation<'a>, matches: &'a ArgMatches) -> BoxFuture<'a, Result<(), CommandError>> {
        commands::run(at, matches).boxed()
    }

    fn checks<'a>(&'a self, platform: &'a Platform) -> BoxFuture<'a, Vec<Check>> {
        const NAME: &str = "heartbeat";
        async move {
            let check = match store::beats(&platform.store, &Paging::first(1)).await {
                Err(error) => Check::fail(NAME, error.to_string()).mend("mend the connection first"),
                Ok(beats) => match beats.items.first() {
                    Some(beat) if (Utc::now() - beat.at).to_std().unwrap_or_default() < SILENCE => {
                        Check::ok(NAME, format!("the last beat was at {}", beat.at))
                    }
                    _ => Check::warn(NAME, "no beat within a minute").mend("see that a scheduler and a worker run"),
                },
            };
            vec![check]
        }
        .boxed()
    }

    fn prune<'a>(&'a self, platform: &'a Platform) -> BoxFuture<'a, Result<u64, StoreError>> {
        async move {
            let Ok(settings) = platform.settings.sections.get::<HeartbeatSettings>() else { return Ok(0) };
            let kept = TimeDelta::from_std(settings.kept).unwrap_or(TimeDelta::MAX);
            let Some(older_than) = Utc::now().checked_sub_signed(kept) else { return Ok(0) };
            store::prune(&platform.store, older_than).await
        }
        .boxed()
    }
}
