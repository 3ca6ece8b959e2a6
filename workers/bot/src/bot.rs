use std::{collections::BTreeMap, fmt::Debug, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use clap::ArgMatches;
use futures::future::{BoxFuture, FutureExt as _, ready};
use perch_base::{ConfigError, ConfigSchema, Settings};
use perch_core::{Clients, ClientsError, scheduler, sync_hot_state};
use perch_jobs::{
    AccountId, CollectMetrics, DeletePost, JobTypes, PublishPost, PublishThread, RetweetPost, SyncHotState,
    platform_types,
};
use perch_publishing::{
    Metrics, Origin, Publisher, WithoutRedis, collect_metrics, delete_post, publish_post, publish_thread, reconciler,
    retweet_post,
};
use perch_queue::{
    Client,
    worker::{Deps, DirectRunner, Handlers, Runtime, RuntimeError},
};
use perch_safety::{BadPattern, Guard, Rules};
use perch_store::{Families, HotStore, Store, StoreError, Syncer, Tables};
use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;

use crate::{
    Check, Platform,
    cli::{CommandError, Invocation},
    http::Routes,
};

/// Why a part of a bot cannot be set up.
pub type BotError = Box<dyn std::error::Error + Send + Sync>;

/// A bot on the platform. Only its name and its job types are required.
///
/// A deployment consists of bots ([`Bots`]). Everything that belongs to a bot is registered here and nowhere else.
pub trait Bot: Debug + Send + Sync {
    /// Its name, which is also that of its settings, their file, and its schema in Postgres.
    fn name(&self) -> &'static str;

    /// Adds its job types.
    fn job_types(&self, types: JobTypes) -> JobTypes;

    /// Adds its settings.
    fn settings(&self, schema: ConfigSchema) -> ConfigSchema {
        schema
    }

    /// The migrations of its tables, which are in a schema of its name: `sqlx::migrate!()`. See [`Tables`] for their rules.
    fn tables(&self) -> Option<&'static Migrator> {
        None
    }

    /// Adds the families of the records that its handlers write to the hot state.
    fn records(&self, families: Families) -> Families {
        families
    }

    /// Rules for the guard besides its own.
    ///
    /// # Errors
    ///
    /// The settings are not there.
    fn guard_rules(&self, _: &Settings) -> Result<Rules, BotError> {
        Ok(Rules::default())
    }

    /// What publishing asks about the posts that it hands over.
    fn origins(&self) -> Vec<Box<dyn Origin>> {
        Vec::new()
    }

    /// Adds the handlers of its job types.
    fn handlers(&self, handlers: Handlers) -> Handlers {
        handlers
    }

    /// Adds the dependencies of its handlers, besides those that every handler has: [`Platform`], [`Publisher`], [`Metrics`],
    /// [`Clients`], [`Syncer`].
    ///
    /// # Errors
    ///
    /// The settings cannot be used.
    fn deps(&self, _: &Platform, deps: Deps) -> Result<Deps, BotError> {
        Ok(deps)
    }

    /// Its routes.
    fn routes(&self) -> Routes {
        Routes::default()
    }

    /// Adds its subcommands to those of `perch`.
    fn commands(&self, perch: clap::Command) -> clap::Command {
        perch
    }

    /// Runs one of its subcommands, given the arguments of `perch`.
    fn run<'a>(&'a self, _: &'a Invocation<'a>, _: &'a ArgMatches) -> BoxFuture<'a, Result<(), CommandError>> {
        ready(Err(CommandError::Refused(format!("{} has no commands", self.name())))).boxed()
    }

    /// Plays weeks of it with simulated readers and answers what it learned, for `perch sandbox play --weeks`. `None` from a bot that does not
    /// learn.
    fn play_weeks(&self, _: &Invocation<'_>, _weeks: u32) -> Option<Result<(), CommandError>> {
        None
    }

    /// Its checks for `perch doctor`, which are made once Redis and Postgres answer.
    fn checks<'a>(&'a self, _: &'a Platform) -> BoxFuture<'a, Vec<Check>> {
        ready(Vec::new()).boxed()
    }

    /// What keeps it from doing its work though every server answers, each as a short phrase for `/ready`, which needs no key. It is asked
    /// every few seconds, so it takes one query of Postgres at most, and costs nothing.
    fn troubles<'a>(&'a self, _: &'a Settings, _: &'a Store) -> BoxFuture<'a, Result<Vec<String>, BotError>> {
        ready(Ok(Vec::new())).boxed()
    }

    /// The points at which a test lets its process die, each of which a test plays; see [`perch_base::crash_point!`].
    fn crash_points(&self) -> &'static [&'static str] {
        &[]
    }

    /// The model providers that it uses.
    ///
    /// # Errors
    ///
    /// The settings are not there.
    fn providers(&self, _: &Settings) -> Result<Vec<String>, ConfigError> {
        Ok(Vec::new())
    }

    /// The accounts that the sandbox plays for it.
    ///
    /// # Errors
    ///
    /// The settings are not there.
    fn sandbox_roles(&self, _: &Settings) -> Result<SandboxRoles, ConfigError> {
        Ok(SandboxRoles::default())
    }

    /// Kinds of its cron entries that also run while Redis is away. They find what they need in Postgres, and do each thing once however often,
    /// and by however many, they are run.
    fn runs_without_redis(&self) -> &'static [&'static str] {
        &[]
    }

    /// Removes rows beyond their retention from its tables; answers how many. The scheduler calls it every ten minutes.
    fn prune<'a>(&'a self, _: &'a Platform) -> BoxFuture<'a, Result<u64, StoreError>> {
        ready(Ok(0)).boxed()
    }
}

/// The accounts that the sandbox plays for a bot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxRoles {
    /// Handles of the accounts that write posts for it to read.
    pub authors: Vec<String>,
    /// The account that the sandbox's users write to.
    pub spoken_to: Option<AccountId>,
}

/// How often the tables of the bots are pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// How long pruning the tables of one bot may take.
const PRUNE_WITHIN: Duration = Duration::from_secs(120);

/// The bots of a deployment. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Bots(Vec<Arc<dyn Bot>>);

/// Why the dependencies of the handlers cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// X and the language models.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// A word or phrase that a bot gives the guard.
    #[error("a word or phrase for the guard: {0}")]
    Words(#[from] BadPattern),
    /// A handler needs a dependency that is not registered.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A bot.
    #[error("{name}: {source}")]
    Bot {
        /// Its name.
        name: &'static str,
        /// Why.
        source: BotError,
    },
}

impl Bots {
    /// Adds a bot. It replaces an earlier one of the same name.
    #[must_use]
    pub fn with(mut self, bot: impl Bot + 'static) -> Self {
        self.0.retain(|other| other.name() != bot.name());
        self.0.push(Arc::new(bot));
        self
    }

    /// The first bot name that cannot be used, with the reason: it must do as a Postgres schema, a file name and in variables.
    pub fn wrong_name(&self) -> Option<String> {
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.len() <= 32
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                && !name.contains("__")
        };
        let is_taken = |name: &str| name.starts_with("pg_") || matches!(name, "public" | "information_schema");
        let wrong = self.0.iter().map(|bot| bot.name()).find(|name| !is_name(name) || is_taken(name))?;
        Some(format!("a bot cannot be called {wrong:?}: 1 to 32 of a-z, 0-9 and _, no schema of Postgres itself"))
    }

    /// The first family of records that does not begin with the name of its bot, so that another bot or the platform could have it too.
    pub fn wrong_family(&self) -> Option<String> {
        let of = |bot: &Arc<dyn Bot>| {
            let (name, families) = (bot.name(), bot.records(Families::none()));
            let is_own = |family: &&str| family.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            let wrong = families.names().find(|family| !is_own(family))?;
            Some(format!("the bot {name} has the family of records {wrong:?}: call it \"{name}.{wrong}\""))
        };
        self.0.iter().find_map(of)
    }

    /// All of them, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Bot>> {
        self.0.iter()
    }

    /// The job types of the platform and of the bots.
    pub fn job_types(&self) -> JobTypes {
        self.0.iter().fold(platform_types(), |types, bot| bot.job_types(types))
    }

    /// The schema of the configuration.
    pub fn config_schema(&self) -> ConfigSchema {
        self.0.iter().fold(self.job_types().into(), |schema, bot| bot.settings(schema))
    }

    /// The store, with the tables and the records of the bots.
    #[must_use]
    pub fn store(&self, store: Store) -> Store {
        let tables = self.0.iter().filter_map(|bot| Some(Tables { bot: bot.name(), migrations: bot.tables()? }));
        let records = self.0.iter().fold(Families::default(), |families, bot| bot.records(families));
        store.with_tables(tables).with_records(records)
    }

    /// The handlers of the platform and of the bots. Their dependencies are those of [`Bots::deps`].
    pub fn handlers(&self) -> Handlers {
        let platform = Handlers::new()
            .on::<PublishPost, _, _>(publish_post)
            .on::<PublishThread, _, _>(publish_thread)
            .on::<RetweetPost, _, _>(retweet_post)
            .on::<DeletePost, _, _>(delete_post)
            .on::<CollectMetrics, _, _>(collect_metrics)
            .on::<SyncHotState, _, _>(sync_hot_state);
        self.0.iter().fold(platform, |handlers, bot| bot.handlers(handlers))
    }

    /// What the platform gives to the bots, as `settings` describe it. It does not connect yet, and a missing credential fails the first
    /// call that needs it.
    ///
    /// # Errors
    ///
    /// The settings cannot be used.
    pub fn platform(&self, settings: &Settings, store: &Store, client: &Client) -> Result<Platform, SetUpError> {
        let mut rules = Rules::default();
        for bot in &self.0 {
            let more = bot.guard_rules(settings).map_err(|source| SetUpError::Bot { name: bot.name(), source })?;
            rules.banned_topics.extend(more.banned_topics);
            rules.crisis.extend(more.crisis);
            rules.allowed_hosts.extend(more.allowed_hosts);
        }
        Ok(Platform {
            clients: Clients::new(settings, client.queues().redis(), store)?,
            guard: Arc::new(Guard::new(&rules)?),
            settings: Arc::new(settings.clone()),
            client: client.clone(),
            store: self.store(store.clone()),
        })
    }

    /// The dependencies of the handlers.
    ///
    /// # Errors
    ///
    /// The settings cannot be used.
    pub fn deps(&self, platform: &Platform) -> Result<Deps, SetUpError> {
        self.deps_with(platform, self.publisher(platform))
    }

    fn publisher(&self, platform: &Platform) -> Publisher {
        let Platform { settings, client, store, clients, guard } = platform;
        let origins = self.0.iter().flat_map(|bot| bot.origins()).collect();
        Publisher::new(settings, clients.clone(), guard.clone(), client.queues().redis(), store, origins)
    }

    fn deps_with(&self, platform: &Platform, publisher: Publisher) -> Result<Deps, SetUpError> {
        let Platform { settings, client, store, clients, .. } = platform;
        let (redis, queues) = (client.queues().redis(), client.queues().names());
        let mut deps = Deps::new()
            .with(platform.clone())
            .with(clients.clone())
            .with(publisher)
            .with(Metrics::new(clients.clone(), HotStore::new(redis.clone(), settings.env)))
            .with(Syncer::new(redis.clone(), store.clone(), settings.env, &queues, settings.sync.batch));
        for bot in &self.0 {
            deps = bot.deps(platform, deps).map_err(|source| SetUpError::Bot { name: bot.name(), source })?;
        }
        Ok(deps)
    }

    /// The runtime that runs the jobs of a deployment.
    ///
    /// # Errors
    ///
    /// The settings cannot be used, or a handler needs a dependency that is not registered.
    pub fn worker(&self, settings: &Settings, store: &Store, client: &Client) -> Result<Runtime, SetUpError> {
        let platform = self.platform(settings, store, client)?;
        Ok(Runtime::new(client.clone(), self.handlers(), self.deps(&platform)?)?)
    }

    /// Runs every duty of a scheduler until `stop`: those of the platform, and the pruning of the tables of the bots.
    pub async fn schedule(&self, platform: &Platform, stop: CancellationToken) {
        let Platform { settings, client, store, .. } = platform;
        let duties = scheduler::run(settings, client, store, reconciler(), stop.clone());
        tokio::join!(duties, self.prune(platform, stop.clone()), self.go_on_without_redis(platform, stop));
    }

    async fn go_on_without_redis(&self, platform: &Platform, stop: CancellationToken) {
        match self.without_redis(platform) {
            Ok(without_redis) => without_redis.run(stop).await,
            Err(error) => tracing::error!(%error, "nothing will be published while Redis is away"),
        }
    }

    /// What decides and publishes while Redis is away.
    ///
    /// # Errors
    ///
    /// The settings cannot be used, or a handler needs a dependency that is not registered.
    pub fn without_redis(&self, platform: &Platform) -> Result<WithoutRedis, SetUpError> {
        let Platform { settings, client, store, .. } = platform;
        let deps = self.deps_with(platform, self.publisher(platform).without_redis())?;
        let runner = DirectRunner::new(client.clone(), self.handlers(), deps)?;
        let decide: Vec<&str> = self.0.iter().flat_map(|bot| bot.runs_without_redis()).copied().collect();
        let brakes = self.brakes(settings, client.queues().redis(), store);
        Ok(WithoutRedis::new(settings, (store, client), runner, &decide, brakes))
    }

    async fn prune(&self, platform: &Platform, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(PRUNE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            for bot in &self.0 {
                // A bot that hangs or panics must not keep the others from being pruned.
                let pruned = AssertUnwindSafe(tokio::time::timeout(PRUNE_WITHIN, bot.prune(platform))).catch_unwind();
                match stop.run_until_cancelled(pruned).await {
                    None => return,
                    Some(Ok(Ok(Ok(0)))) => {}
                    Some(Ok(Ok(Ok(rows)))) => tracing::info!(bot = bot.name(), rows, "beyond their retention"),
                    Some(Ok(Ok(Err(error)))) => {
                        tracing::warn!(bot = bot.name(), %error, "the pruning of the tables of a bot waits for Postgres");
                    }
                    Some(Ok(Err(_))) => {
                        tracing::warn!(bot = bot.name(), "the pruning of the tables of a bot took too long");
                    }
                    Some(Err(_)) => tracing::error!(bot = bot.name(), "the pruning of the tables of a bot panicked"),
                }
            }
        }
    }

    /// The model providers that each bot uses, by the name of the bot.
    ///
    /// # Errors
    ///
    /// The settings of one are not there.
    pub fn providers(&self, settings: &Settings) -> Result<BTreeMap<&'static str, Vec<String>>, ConfigError> {
        let asked = self.0.iter().map(|bot| Ok((bot.name(), bot.providers(settings)?)));
        let asked = asked.collect::<Result<BTreeMap<_, _>, ConfigError>>()?;
        Ok(asked.into_iter().filter(|(_, providers)| !providers.is_empty()).collect())
    }

    /// The accounts that the sandbox plays for all bots.
    ///
    /// # Errors
    ///
    /// The settings of one are not there.
    pub fn sandbox_roles(&self, settings: &Settings) -> Result<SandboxRoles, ConfigError> {
        let mut all = SandboxRoles::default();
        for bot in &self.0 {
            let roles = bot.sandbox_roles(settings)?;
            all.authors.extend(roles.authors);
            all.spoken_to = all.spoken_to.or(roles.spoken_to);
        }
        Ok(all)
    }

    /// What keeps the bots from doing their work, each with the name of its bot. A bot that cannot tell says so.
    pub async fn troubles(&self, settings: &Settings, store: &Store) -> Vec<String> {
        let mut all = Vec::new();
        for bot in &self.0 {
            match bot.troubles(settings, store).await {
                Ok(troubles) => all.extend(troubles.into_iter().map(|trouble| format!("{}: {trouble}", bot.name()))),
                Err(error) => {
                    tracing::warn!(bot = bot.name(), %error, "a bot cannot tell whether it does its work");
                    all.push(format!("{}: not known", bot.name()));
                }
            }
        }
        all
    }

    /// The checks of all bots.
    pub async fn checks(&self, platform: &Platform) -> Vec<Check> {
        let mut checks = Vec::new();
        for bot in &self.0 {
            checks.extend(bot.checks(platform).await);
        }
        checks
    }
}
