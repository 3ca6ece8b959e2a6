use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use perch_base::{
    Clock, Environment, Settings,
    settings::{EngineSettings, QueueSettings},
};
use perch_job::{JobTypes, QueueName};

use crate::{Ledger, Queue, Redis};

/// All queues of a deployment and their job types. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queues(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queues: BTreeMap<QueueName, Queue>,
    types: JobTypes,
    redis: Redis,
    clock: Clock,
    ledger: Option<Arc<dyn Ledger>>,
}

impl Queues {
    /// The queues of `settings`, on the clock of Redis.
    pub fn new(redis: Redis, settings: &Settings, types: JobTypes) -> Self {
        Self::with_clock(redis, settings, types, &Clock::system())
    }

    /// The queues of `settings`, on the given clock.
    pub fn with_clock(redis: Redis, settings: &Settings, types: JobTypes, clock: &Clock) -> Self {
        Self::of(redis, settings.env, &settings.queues, &settings.engine, types, clock)
    }

    /// Queues from their blocks of the configuration.
    pub fn of(
        redis: Redis,
        env: Environment,
        blocks: &BTreeMap<QueueName, QueueSettings>,
        engine: &EngineSettings,
        types: JobTypes,
        clock: &Clock,
    ) -> Self {
        let queue = |(name, block): (&QueueName, &QueueSettings)| {
            let queue = Queue::new(redis.clone(), env, name.clone(), block.clone(), engine.clone(), clock.clone());
            (name.clone(), queue)
        };
        Self(Arc::new(Inner {
            queues: blocks.iter().map(queue).collect(),
            types,
            redis,
            clock: clock.clone(),
            ledger: None,
        }))
    }

    /// Sets the ledger for queues whose block has `ledger = true`. Without it, their jobs are in Redis only.
    #[must_use]
    pub fn with_ledger(&self, ledger: Arc<dyn Ledger>) -> Self {
        let Inner { queues, types, redis, clock, .. } = &*self.0;
        let (queues, types, redis, clock) = (queues.clone(), types.clone(), redis.clone(), clock.clone());
        Self(Arc::new(Inner { queues, types, redis, clock, ledger: Some(ledger) }))
    }

    /// The ledger, if there is one.
    pub(crate) fn ledger(&self) -> Option<&dyn Ledger> {
        self.0.ledger.as_deref()
    }

    /// The queue of that name.
    pub fn get(&self, name: &QueueName) -> Option<&Queue> {
        self.0.queues.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Queue> {
        self.0.queues.values()
    }

    /// Their names.
    pub fn names(&self) -> Vec<QueueName> {
        self.0.queues.keys().cloned().collect()
    }

    /// The job types of the deployment.
    pub fn types(&self) -> &JobTypes {
        &self.0.types
    }

    /// The current time by the clock of Redis, with which all times of the queues are compared (see [`Redis::now`]).
    pub fn now(&self) -> DateTime<Utc> {
        if self.0.clock.is_system() { self.0.redis.now() } else { self.0.clock.now() }
    }

    /// Their connections to Redis.
    pub fn redis(&self) -> &Redis {
        &self.0.redis
    }
}
