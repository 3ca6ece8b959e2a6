//! Settings, clients and other things that every command needs.

use std::{
    env,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, Utc};
use perch_base::{Environment, Settings, crash};
use perch_bot::{Bots, Platform};
use perch_jobs::{JobKind, QueueName};
use perch_queue::{Client, Queue, Queues, Redis};
use perch_sandbox::Actor;
use perch_store::Store;

use crate::{
    cli::Global,
    error::{CommandError, chain},
    output::Output,
    process::use_named,
};

/// The bots of this process, set once.
static BOTS: OnceLock<Bots> = OnceLock::new();

/// Sets the bots of this process. Only the first call has an effect.
pub fn deploy(bots: Bots) {
    bots.iter().for_each(|bot| crash::add(bot.crash_points()));
    let _ = BOTS.set(bots);
}

/// The bots of this deployment.
pub fn bots() -> &'static Bots {
    BOTS.get_or_init(perch_workers::bots)
}

/// The actors of the sandbox, which play the people on X; set once.
static ACTORS: OnceLock<Vec<Arc<dyn Actor>>> = OnceLock::new();

/// Sets the actors of the sandbox. Only the first call has an effect.
pub fn cast(actors: Vec<Arc<dyn Actor>>) {
    let _ = ACTORS.set(actors);
}

/// The actors of this deployment.
pub fn actors() -> Vec<Arc<dyn Actor>> {
    ACTORS.get_or_init(perch_actors::actors).clone()
}

/// The platform that bots use.
pub fn platform(settings: &Settings, client: &Client, store: &Store) -> Result<Platform, CommandError> {
    bots().platform(settings, store, client).map_err(|error| CommandError::Part { part: "bots", reason: chain(&error) })
}

/// The options of every command, and constructors of what commands need.
#[derive(Debug)]
pub struct App {
    env: Option<Environment>,
    config_dir: PathBuf,
    /// Where output goes.
    pub out: Output,
}

impl App {
    /// Does not read settings or connect yet.
    pub fn new(global: &Global) -> Self {
        Self {
            env: global.env.map(Environment::from),
            config_dir: global.config_dir.clone().unwrap_or_else(perch_base::config_dir),
            out: Output::new(global.looks()),
        }
    }

    /// The settings of the environment. If they name a sandbox, it replaces services without credentials.
    pub fn settings(&self) -> Result<Settings, CommandError> {
        let mut settings = self.settings_without_sandbox()?;
        use_named(&mut settings);
        Ok(settings)
    }

    /// The settings of the environment, for a process that has a sandbox of its own.
    pub fn settings_without_sandbox(&self) -> Result<Settings, CommandError> {
        match self.env {
            Some(env) => self.settings_of(env),
            None => Ok(Settings::load(&self.config_dir, bots().config_schema())?),
        }
    }

    /// The settings of staging, for commands that must work without a chosen environment.
    pub fn settings_of_staging(&self) -> Result<Settings, CommandError> {
        self.settings_of(Environment::Staging)
    }

    fn settings_of(&self, env: Environment) -> Result<Settings, CommandError> {
        let others = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name != "APP_ENV");
        let vars = others.chain([("APP_ENV".to_owned(), env.to_string())]);
        Ok(Settings::load_from(&self.config_dir, bots().config_schema(), vars)?)
    }

    /// The settings and the queues they describe.
    pub fn queues(&self) -> Result<(Settings, Queues), CommandError> {
        let settings = self.settings()?;
        let queues = queues(&settings)?;
        Ok((settings, queues))
    }

    /// A client that enqueues. It writes jobs of ledger queues into Postgres, if there is one.
    pub fn client(&self) -> Result<(Settings, Client), CommandError> {
        let (settings, queues) = self.queues()?;
        let queues = match settings.secrets.database_url {
            Some(_) => queues.with_ledger(Arc::new(store(&settings)?)),
            None => queues,
        };
        Ok((settings, Client::new(queues)))
    }

    /// The settings and the store.
    pub fn store(&self) -> Result<(Settings, Store), CommandError> {
        let settings = self.settings()?;
        let store = store(&settings)?;
        Ok((settings, store))
    }
}

/// The queues that `settings` describe.
pub fn queues(settings: &Settings) -> Result<Queues, CommandError> {
    let redis = Redis::new(settings.redis_url()?, &settings.redis)?;
    Ok(Queues::new(redis, settings, bots().job_types()))
}

/// The time by the clock of Redis, which all times of queues follow. The clock of this machine may differ.
pub async fn now(redis: &Redis) -> Result<DateTime<Utc>, CommandError> {
    let (seconds, micros): (i64, i64) = redis.cmd("read the time", &redis::cmd("TIME")).await?;
    Ok(DateTime::from_timestamp_micros(seconds * 1_000_000 + micros).unwrap_or_else(Utc::now))
}

/// The store that `settings` describe.
pub fn store(settings: &Settings) -> Result<Store, CommandError> {
    Ok(bots().store(Store::of(settings)?))
}

/// The queue of that name, or an error that lists the configured queues.
pub fn named<'a>(queues: &'a Queues, name: &QueueName) -> Result<&'a Queue, CommandError> {
    queues.get(name).ok_or_else(|| {
        let known: Vec<String> = queues.names().iter().map(ToString::to_string).collect();
        CommandError::Refused(format!("there is no queue {name}; configured are {}", known.join(", ")))
    })
}

/// The queues of these names, or all queues when none is named.
pub fn chosen(queues: &Queues, names: &[QueueName]) -> Result<Vec<Queue>, CommandError> {
    if names.is_empty() {
        return Ok(queues.iter().cloned().collect());
    }
    names.iter().map(|name| named(queues, name).cloned()).collect()
}

/// Refuses a kind as misspelt when nothing was found by it and no job type has it. Jobs of a kind that this release does not know
/// may still exist.
pub fn known_kind(queues: &Queues, kind: Option<&JobKind>, found: u64) -> Result<(), CommandError> {
    let Some(kind) = kind.filter(|kind| found == 0 && queues.types().get(kind.as_str()).is_none()) else {
        return Ok(());
    };
    let known: Vec<&str> = queues.types().iter().map(|job_type| job_type.kind.as_str()).collect();
    Err(CommandError::Refused(format!("there is no kind {kind}; known are {}", known.join(", "))))
}

/// The operator named in the history of jobs and the audit log: `PERCH_OPERATOR`, or else the system user.
pub fn operator() -> String {
    ["PERCH_OPERATOR", "SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .filter_map(|name| env::var(name).ok())
        .map(|name| name.chars().filter(|c| !c.is_control()).take(64).collect::<String>())
        .find(|name| !name.trim().is_empty())
        .unwrap_or_else(|| "operator".to_owned())
}
