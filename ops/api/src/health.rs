//! Whether a process can do its work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use perch_base::{Environment, Settings};
use perch_bot::Bots;
use perch_queue::Redis;
use perch_store::{BrakeScope, BrakeState, Brakes, Store, StoreError};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

/// How long a server may take to answer before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer is cached, so that many probes ask the servers once.
const FRESH: Duration = Duration::from_secs(1);
/// The same for what the bots say, which changes by the minute.
const FRESH_OF_BOTS: Duration = Duration::from_secs(15);

/// Checks the servers that a process needs. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    redis: Redis,
    store: Store,
    bots: Option<(Bots, Arc<Settings>)>,
    started: Instant,
    draining: AtomicBool,
    troubles: Mutex<Option<(Instant, Vec<String>)>>,
    last: Mutex<Option<(Instant, Readiness)>>,
}

/// One thing that a process needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Check)]
pub struct Check {
    /// Whether it is as it has to be.
    pub ok: bool,
    /// What is wrong, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Check {
    fn good() -> Self {
        Self { ok: true, detail: None }
    }

    fn bad(detail: impl Into<String>) -> Self {
        Self { ok: false, detail: Some(detail.into()) }
    }
}

/// Whether a process is ready, and what it lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    /// True when everything is there and the process is not shutting down.
    pub ready: bool,
    /// True once the process is shutting down.
    pub draining: bool,
    /// Redis answers.
    pub redis: Check,
    /// Postgres answers.
    pub postgres: Check,
    /// The database has the schema of this release.
    pub migrations: Check,
    /// What holds publishing: the emergency brake, or those of some accounts or bots. It makes no process unready; the field is there while
    /// one is on, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brake: Option<String>,
    /// What keeps bots from doing their work though every server answers, such as a missed slot. It makes no process unready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bots: Vec<String>,
}

/// That a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Alive {
    /// `ok`.
    pub status: &'static str,
    /// The environment it belongs to.
    #[schema(value_type = String, example = "staging")]
    pub environment: &'static str,
    /// Its release.
    pub version: &'static str,
    /// Seconds since it started.
    pub uptime_seconds: u64,
}

impl Health {
    /// The health of a process with these servers.
    pub fn new(redis: Redis, store: Store) -> Self {
        Self::with_bots(redis, store, None)
    }

    /// The same, with what keeps these bots from doing their work.
    pub fn of_bots(redis: Redis, store: Store, bots: Bots, settings: Arc<Settings>) -> Self {
        Self::with_bots(redis, store, Some((bots, settings)))
    }

    fn with_bots(redis: Redis, store: Store, bots: Option<(Bots, Arc<Settings>)>) -> Self {
        Self(Arc::new(Inner {
            redis,
            store,
            bots,
            started: Instant::now(),
            draining: AtomicBool::new(false),
            troubles: Mutex::new(None),
            last: Mutex::new(None),
        }))
    }

    /// Marks the process as shutting down: it is not ready from now on.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// The environment of the process.
    pub fn environment(&self) -> Environment {
        self.0.store.env()
    }

    /// Reports that the process runs, without asking a server.
    pub fn alive(&self) -> Alive {
        Alive {
            status: "ok",
            environment: self.environment().as_str(),
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: self.0.started.elapsed().as_secs(),
        }
    }

    /// Whether the process is ready. Takes little more than 2 seconds at most; an answer is cached for a second.
    pub async fn readiness(&self) -> Readiness {
        let mut last = self.0.last.lock().await;
        let known = last.as_ref().filter(|(asked, _)| asked.elapsed() < FRESH).map(|(_, readiness)| readiness.clone());
        let mut readiness = match known {
            Some(readiness) => readiness,
            None => last.insert((Instant::now(), self.ask().await)).1.clone(),
        };
        readiness.draining = self.0.draining.load(Ordering::Relaxed);
        readiness.ready &= !readiness.draining;
        readiness
    }

    async fn ask(&self) -> Readiness {
        let (redis, (postgres, migrations), brake) =
            tokio::join!(self.ask_redis(), self.ask_postgres(), self.ask_brake());
        let ready = redis.ok && postgres.ok && migrations.ok;
        let bots = if ready { self.ask_bots().await } else { Vec::new() };
        Readiness { ready, draining: false, redis, postgres, migrations, brake, bots }
    }

    async fn ask_bots(&self) -> Vec<String> {
        let Some((bots, settings)) = &self.0.bots else { return Vec::new() };
        let mut known = self.0.troubles.lock().await;
        if let Some((_, troubles)) = known.as_ref().filter(|(asked, _)| asked.elapsed() < FRESH_OF_BOTS) {
            return troubles.clone();
        }
        let asked = tokio::time::timeout(PATIENCE, bots.troubles(settings, &self.0.store)).await;
        let troubles = asked.unwrap_or_else(|_| vec!["not known: Postgres took too long".to_owned()]);
        known.insert((Instant::now(), troubles)).1.clone()
    }

    async fn ask_brake(&self) -> Option<String> {
        let Inner { redis, store, bots, .. } = &*self.0;
        let brakes = match bots {
            Some((bots, settings)) => bots.brakes(settings, redis, store),
            None => Brakes::with(redis, store, []),
        };
        match tokio::time::timeout(PATIENCE, Box::pin(brakes.states())).await {
            Ok(Ok(states)) => braked(&states),
            _ => Some("not known, so nothing is published: Redis and Postgres do not both answer".to_owned()),
        }
    }

    async fn ask_redis(&self) -> Check {
        let answer = tokio::time::timeout(PATIENCE, self.0.redis.ping()).await;
        if let Ok(Err(error)) = &answer {
            tracing::warn!(%error, "not ready");
        }
        match answer {
            Ok(Ok(())) => Check::good(),
            _ => Check::bad("Redis does not answer; check REDIS_URL and that the server is up"),
        }
    }

    async fn ask_postgres(&self) -> (Check, Check) {
        let answer = tokio::time::timeout(PATIENCE, self.0.store.require_schema()).await;
        if let Ok(Err(error)) = &answer {
            tracing::warn!(%error, "not ready");
        }
        match answer {
            Ok(Ok(())) => (Check::good(), Check::good()),
            // These errors name versions and commands, but no servers.
            Ok(Err(
                error @ (StoreError::SchemaMissing { .. }
                | StoreError::SchemaBehind { .. }
                | StoreError::SchemaNewer { .. }
                | StoreError::BotSchemaBehind { .. }
                | StoreError::BotSchemaNewer { .. }),
            )) => (Check::good(), Check::bad(error.to_string())),
            Ok(Err(error @ StoreError::OtherEnvironment { .. })) => (Check::bad(error.to_string()), Check::good()),
            _ => (
                Check::bad("Postgres does not answer; check DATABASE_URL and that the server is up"),
                Check::bad("not known while Postgres does not answer"),
            ),
        }
    }
}

/// What the brakes stop, if one is on. The probe needs no key, so it does not say who pulled it and why, nor which account or bot.
fn braked(states: &[BrakeState]) -> Option<String> {
    let on = |is: fn(&BrakeScope) -> bool| states.iter().filter(|state| state.on && is(&state.scope)).count();
    if on(BrakeScope::is_everything) > 0 {
        return Some("on, so nothing is published".to_owned());
    }
    let accounts = on(|scope| matches!(scope, BrakeScope::Account(_)));
    let bots = on(|scope| matches!(scope, BrakeScope::Bot(_)));
    let counts = [(accounts, "account"), (bots, "bot")].into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> =
        counts.map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" })).collect();
    (!counts.is_empty()).then(|| format!("on for {}, so nothing of theirs is published", counts.join(" and ")))
}

#[cfg(test)]
mod tests {
    use perch_base::settings::{PostgresSettings, RedisSettings};
    use secrecy::SecretString;

    use super::*;

    fn health_of_nothing() -> Health {
        let short = Duration::from_millis(200);
        let redis = RedisSettings { pool_size: 1, connect_timeout: short, command_timeout: short };
        let postgres = PostgresSettings { max_connections: 1, acquire_timeout: short, statement_timeout: short };
        let door = Redis::new(&SecretString::from("redis://user:hunter2@127.0.0.1:9"), &redis).expect("a Redis URL");
        let url = SecretString::from("postgres://user:hunter2@127.0.0.1:9/none");
        let store = Store::connect_lazy(&url, Environment::Staging, &postgres).expect("a Postgres URL");
        Health::new(door, store)
    }

    #[tokio::test]
    async fn a_process_without_its_servers_says_which_it_lacks_and_shows_no_address() {
        let readiness = health_of_nothing().readiness().await;
        assert!(!readiness.ready && !readiness.redis.ok && !readiness.postgres.ok && !readiness.migrations.ok);
        let text = serde_json::to_string(&readiness).expect("it is JSON");
        assert!(!text.contains("127.0.0.1") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_probe_is_told_what_the_brakes_stop_and_neither_names_nor_reasons() {
        let state = |scope: &str, on| BrakeState {
            scope: scope.parse().expect("a scope"),
            on,
            reason: Some("wrong odds".into()),
            ..BrakeState::default()
        };
        let off = state("everything", false);
        assert_eq!(braked(&[off.clone(), state("bot:picks", false)]), None);
        let some = [off, state("account:main", true), state("account:other", true), state("bot:picks", true)];
        assert_eq!(braked(&some).as_deref(), Some("on for 2 accounts and 1 bot, so nothing of theirs is published"));
        let all = [state("everything", true), state("account:main", true)];
        assert_eq!(braked(&all).as_deref(), Some("on, so nothing is published"));
    }

    #[tokio::test]
    async fn a_process_that_shuts_down_is_not_ready_but_alive() {
        let health = health_of_nothing();
        health.drain();
        assert!(health.readiness().await.draining);
        assert_eq!(health.alive().status, "ok");
    }
}
