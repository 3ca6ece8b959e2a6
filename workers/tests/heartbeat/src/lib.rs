//! The smallest bot that has one of everything: it writes a line into its table whenever its cron entry fires.

mod beat;
mod routes;
mod settings;
mod store;

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use clap::{Arg, ArgMatches, Command, value_parser};
use futures::future::{BoxFuture, FutureExt as _};
use perch_base::ConfigSchema;
use perch_bot::{Bot, Check, CommandError, Platform, Said, http::Routes};
use perch_jobs::JobTypes;
use perch_queue::worker::Handlers;
use perch_store::StoreError;
use serde_json::json;
use sqlx::migrate::Migrator;

use crate::{beat::Heartbeat, settings::HeartbeatSettings};

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

    fn command(&self) -> Option<Command> {
        let most =
            Arg::new("limit").long("limit").value_parser(value_parser!(i64).range(1..=1_000)).default_value("20");
        Some(Command::new("heartbeat").about("The last beats of this deployment").arg(most.help("At most so many")))
    }

    fn run<'a>(&'a self, platform: &'a Platform, matches: &'a ArgMatches) -> BoxFuture<'a, Result<Said, CommandError>> {
        let limit = matches.get_one::<i64>("limit").copied().unwrap_or(20);
        async move {
            let beats = store::latest(&platform.store, limit).await?;
            Ok(Said::List {
                json: beats.iter().map(|beat| json!(beat)).collect(),
                columns: vec!["AT", "WORD"],
                rows: beats.iter().map(|beat| vec![beat.at.to_rfc3339(), beat.word.clone()]).collect(),
                none: "no beat yet".into(),
            })
        }
        .boxed()
    }

    fn checks<'a>(&'a self, platform: &'a Platform) -> BoxFuture<'a, Vec<Check>> {
        const NAME: &str = "heartbeat";
        async move {
            let check = match store::latest(&platform.store, 1).await {
                Err(error) => Check::fail(NAME, error.to_string()).mend("mend the connection first"),
                Ok(beats) => match beats.first() {
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
