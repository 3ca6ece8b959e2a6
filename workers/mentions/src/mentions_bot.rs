use clap::{ArgMatches, Command, Subcommand as _};
use futures::future::{BoxFuture, FutureExt as _};
use perch_base::{ConfigError, ConfigSchema, Settings};
use perch_bot::{
    Bot, BotError, Platform,
    cli::{CommandError, Invocation},
    http::Routes,
};
use perch_jobs::{JobTypes, PollMentions, ReplyToMention, mentions_types};
use perch_publishing::Origin;
use perch_queue::worker::{Deps, Handlers};
use perch_safety::Rules;
use sqlx::migrate::Migrator;

use crate::{
    Mentions, MentionsSettings, Replies,
    commands::{self, Commands},
    poll_mentions, reply_to_mention, routes,
};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The bot that answers mentions.
#[derive(Debug, Clone, Copy)]
pub struct MentionsBot;

impl Bot for MentionsBot {
    fn name(&self) -> &'static str {
        "mentions"
    }

    fn job_types(&self, types: JobTypes) -> JobTypes {
        mentions_types(types)
    }

    fn settings(&self, schema: ConfigSchema) -> ConfigSchema {
        schema.with::<MentionsSettings>()
    }

    fn tables(&self) -> Option<&'static Migrator> {
        Some(&MIGRATIONS)
    }

    fn guard_rules(&self, settings: &Settings) -> Result<Rules, BotError> {
        Ok(settings.sections.get::<MentionsSettings>()?.rules())
    }

    fn providers(&self, settings: &Settings) -> Result<Vec<String>, ConfigError> {
        Ok(settings.sections.get::<MentionsSettings>()?.providers.to_vec())
    }

    fn origins(&self) -> Vec<Box<dyn Origin>> {
        vec![Box::new(Replies)]
    }

    fn handlers(&self, handlers: Handlers) -> Handlers {
        handlers.on::<PollMentions, _, _>(poll_mentions).on::<ReplyToMention, _, _>(reply_to_mention)
    }

    fn deps(&self, platform: &Platform, deps: Deps) -> Result<Deps, BotError> {
        let Platform { settings, client, store, clients, guard } = platform;
        Ok(deps.with(Mentions::new(settings, clients.clone(), guard.clone(), store, client)?))
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
}
