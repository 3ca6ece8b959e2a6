use std::sync::Arc;

use chrono::{DateTime, Utc};
use perch_base::{
    Clock, Environment,
    settings::{EngineSettings, History, QueueSettings},
};
use perch_jobs::{Priority, QueueName};
use redis::{FromRedisValue, Script};

use crate::{Connection, Keys, QueueError, Redis, scripts::Call};

/// One queue: its name, its keys, its settings, and the door to Redis. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: QueueName,
    env: Environment,
    keys: Keys,
    script_keys: Vec<String>,
    settings: QueueSettings,
    engine: EngineSettings,
    redis: Redis,
    clock: Clock,
}

impl Queue {
    /// The queue `name` of `env`.
    pub fn new(
        redis: Redis,
        env: Environment,
        name: QueueName,
        settings: QueueSettings,
        engine: EngineSettings,
        clock: Clock,
    ) -> Self {
        let keys = Keys::new(env, &name);
        let script_keys = script_keys(&keys);
        Self(Arc::new(Inner { name, env, keys, script_keys, settings, engine, redis, clock }))
    }

    /// The same queue through connections of its own, for use on another runtime.
    pub(crate) fn with_own_door(&self) -> Self {
        Self::new(
            self.0.redis.separate(),
            self.0.env,
            self.0.name.clone(),
            self.0.settings.clone(),
            self.0.engine.clone(),
            self.0.clock.clone(),
        )
    }

    /// Its name.
    pub fn name(&self) -> &QueueName {
        &self.0.name
    }

    /// The environment it belongs to.
    pub fn env(&self) -> Environment {
        self.0.env
    }

    /// Where it keeps what.
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// Its block of the configuration.
    pub fn settings(&self) -> &QueueSettings {
        &self.0.settings
    }

    /// What holds for every queue.
    pub fn engine(&self) -> &EngineSettings {
        &self.0.engine
    }

    /// The door to Redis.
    pub fn redis(&self) -> &Redis {
        &self.0.redis
    }

    /// The clock it goes by.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// A call of `script` with the keys and the arguments that all scripts share (see `scripts/head.lua`).
    pub(crate) fn invocation(&self, script: &'static Script) -> Call {
        let mut call = Call::new(script, &self.0.script_keys);
        let now = if self.0.clock.is_system() { 0 } else { self.now().timestamp_millis() };
        let history = match self.0.settings.history {
            History::Full => "full",
            History::Failures => "failures",
        };
        call.arg(now).arg(history).arg(self.0.settings.events_kept).arg(self.0.engine.errors_kept);
        call
    }

    pub(crate) async fn run<T: FromRedisValue + Send>(
        &self,
        doing: &'static str,
        call: &Call,
    ) -> Result<T, QueueError> {
        self.0.redis.call(doing, |mut conn: Connection| async move { call.invoke(&mut conn).await }).await
    }
}

fn script_keys(keys: &Keys) -> Vec<String> {
    vec![
        keys.jobs(),
        keys.ready(Priority::High),
        keys.ready(Priority::Normal),
        keys.ready(Priority::Low),
        keys.delayed(),
        keys.leases(),
        keys.dead(),
        keys.attempts(),
        keys.errors(),
        keys.priority(),
        keys.group(),
        keys.cancelled(),
        keys.cancelling(),
        keys.state(),
        keys.wake(),
        keys.events(),
        keys.unique_queued(),
        keys.unique_done(),
        keys.running(),
        keys.parked_count(),
        keys.reserved(),
        keys.workers(),
        keys.worker_info(),
        keys.cron(),
        keys.cron_jobs(),
        keys.intake(),
        keys.unique(),
        keys.parked(),
        keys.rate(),
        keys.planned(),
    ]
}
