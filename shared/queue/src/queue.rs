use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use chrono::{DateTime, Utc};
use metrics::Counter;
use perch_base::{
    Clock, Environment,
    settings::{EngineSettings, History, QueueSettings},
};
use perch_job::{JobKind, QueueName};
use redis::FromRedisValue;
use serde::Serialize;

use crate::{
    Connection, Keys, QueueError, Redis,
    coalescer::Coalescer,
    raw_text::RawText,
    scripts::{self, Script, ScriptCall, ScriptReference, all_keys, typed_keys},
};

/// The number of parts into which the byte limit of the event stream is divided (`scripts/events.lua`).
const EVENT_MARKS: usize = 64;

/// A key of a queue whose value has the wrong Redis type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrongTypeKey {
    /// Its name.
    pub key: String,
    /// The Redis type that it has.
    pub holds: String,
    /// The Redis type that the queue expects.
    pub wanted: &'static str,
}

fn set_aside_name(key: &str) -> String {
    format!("{key}:set_aside")
}

/// One queue: its name, its keys, its settings, and its connections to Redis. Cheap to clone.
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
    /// Counters of accepted jobs by kind, looked up once instead of once for each job.
    accepted: RwLock<HashMap<JobKind, Counter>>,
    coalescer: Coalescer,
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
        let script_keys = all_keys(&keys);
        let (accepted, coalescer) = (RwLock::default(), Coalescer::default());
        Self(Arc::new(Inner { name, env, keys, script_keys, settings, engine, redis, clock, accepted, coalescer }))
    }

    /// The same queue with its own connections, for use on another runtime.
    pub(crate) fn with_own_pool(&self) -> Self {
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

    /// The names of its keys in Redis.
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// Its block of the configuration.
    pub fn settings(&self) -> &QueueSettings {
        &self.0.settings
    }

    /// The engine settings, which hold for every queue.
    pub fn engine(&self) -> &EngineSettings {
        &self.0.engine
    }

    /// Its connections to Redis.
    pub fn redis(&self) -> &Redis {
        &self.0.redis
    }

    pub(crate) fn coalescer(&self) -> &Coalescer {
        &self.0.coalescer
    }

    /// Its clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The current time by the clock of Redis, with which all times of the queue are compared (see [`Redis::now`]).
    pub fn now(&self) -> DateTime<Utc> {
        if self.0.clock.is_system() { self.0.redis.now() } else { self.0.clock.now() }
    }

    /// A call of `script` with its keys and the arguments that all scripts share (see `scripts/head.lua`).
    pub(crate) fn invocation(&self, script: &'static Script) -> ScriptCall {
        self.invocation_by(script, ScriptReference::Hash)
    }

    pub(crate) fn invocation_by(&self, script: &'static Script, by: ScriptReference) -> ScriptCall {
        let mut call = ScriptCall::new(script, &self.0.script_keys, by);
        let now = if self.0.clock.is_system() { 0 } else { self.now().timestamp_millis() };
        let history = match self.0.settings.history {
            History::Full => "full",
            History::Failures => "failures",
        };
        let bytes = (self.0.settings.events_max_bytes / EVENT_MARKS).max(1);
        call.arg(now).arg(history).arg(self.0.settings.events_kept).arg(bytes).arg(self.0.engine.errors_kept);
        call
    }

    /// A call of a read-only script, with its keys but without the arguments that other scripts share.
    pub(crate) fn reading(&self, script: &'static Script) -> ScriptCall {
        ScriptCall::new(script, &self.0.script_keys, ScriptReference::Hash)
    }

    /// Counts jobs of `kind` that were accepted.
    pub(crate) fn count_accepted(&self, kind: &JobKind, jobs: u64) {
        if let Some(counter) = self.0.accepted.read().unwrap_or_else(PoisonError::into_inner).get(kind) {
            return counter.increment(jobs);
        }
        let (queue, name) = (self.0.name.to_string(), kind.to_string());
        let counter = metrics::counter!("perch_jobs_enqueued_total", "queue" => queue, "kind" => name);
        counter.increment(jobs);
        self.0.accepted.write().unwrap_or_else(PoisonError::into_inner).insert(kind.clone(), counter);
    }

    pub(crate) async fn run<T: FromRedisValue + Send>(
        &self,
        doing: &'static str,
        call: &ScriptCall,
    ) -> Result<T, QueueError> {
        let ran = self.0.redis.call(doing, |mut conn: Connection| async move { call.invoke(&mut conn).await }).await;
        match ran {
            // Rare, so it is boxed: else it would make every future that runs a script larger.
            Err(error) if error.is_wrong_type() => Err(Box::pin(self.set_aside(error)).await),
            ran => ran,
        }
    }

    /// Renames the keys of the queue that have the wrong type, so that they fail only one call. Returns the error for that call.
    async fn set_aside(&self, error: QueueError) -> QueueError {
        let mut call = ScriptCall::new(&scripts::SET_ASIDE, &self.0.script_keys, ScriptReference::Code);
        for (_, wanted) in typed_keys(&self.0.keys) {
            call.arg(wanted);
        }
        let set_aside: Result<Vec<RawText>, _> = self
            .0
            .redis
            .call("set keys aside", |mut conn: Connection| async move { call.invoke(&mut conn).await })
            .await;
        match set_aside {
            Ok(keys) if !keys.is_empty() => {
                let keys = keys.into_iter().map(|key| key.0).collect::<Vec<_>>().join(", ");
                metrics::counter!("perch_keys_set_aside_total", "queue" => self.0.name.to_string()).increment(1);
                tracing::error!(queue = %self.0.name, keys, "keys of another type were set aside under <key>:set_aside");
                QueueError::SetAside { queue: self.0.name.clone(), keys }
            }
            _ => error,
        }
    }

    /// Keys of the queue that somebody else wrote: those set aside, and those that still have the wrong type.
    ///
    /// # Errors
    ///
    /// Redis is unavailable, or its reply cannot be read.
    ///
    /// # Cancel safety
    ///
    /// It only reads, so it may be dropped at any time.
    pub async fn keys_of_wrong_type(&self) -> Result<Vec<WrongTypeKey>, QueueError> {
        let wanted: Vec<(String, &'static str)> = typed_keys(&self.0.keys).collect();
        let mut pipe = redis::pipe();
        for (key, _) in &wanted {
            pipe.cmd("TYPE").arg(key).cmd("TYPE").arg(set_aside_name(key));
        }
        let found: Vec<String> =
            self.0.redis.call("check key types", |mut conn| async move { pipe.query_async(&mut conn).await }).await?;
        let odd = |((key, wanted), found): (&(String, &'static str), &[String])| {
            let [here, aside] = found else { return Vec::new() };
            let mut odd = Vec::new();
            if here != "none" && here != wanted {
                odd.push(WrongTypeKey { key: key.clone(), holds: here.clone(), wanted });
            }
            if aside != "none" {
                odd.push(WrongTypeKey { key: set_aside_name(key), holds: aside.clone(), wanted });
            }
            odd
        };
        Ok(wanted.iter().zip(found.chunks(2)).flat_map(odd).collect())
    }
}
