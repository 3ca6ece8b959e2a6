//! A separate world for each test: a Redis database, a few queues, and job types whose handlers the test controls.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use perch_base::{
    Clock, Environment,
    settings::{EngineSettings, History, QueueSettings},
};
use perch_job::{Job, JobId, JobTypes, QueueName, RetryPolicy, Unique, UniqueScope};
use perch_queue::{
    Client, EntryId, EventKind, JobEvent, Ledger, LedgerError, LedgerJob, LedgerState, Queue, Queues, Redis,
    RelayState,
    worker::{Deps, Handlers, Runtime},
};
use perch_testkit::TestRedis;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const QUEUE: &str = "chores";

/// A job whose handler is given by the test.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chore {
    pub n: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl Chore {
    pub fn number(n: u64) -> Self {
        Self { n, group: None }
    }

    pub fn of_group(n: u64, group: &str) -> Self {
        Self { n, group: Some(group.to_owned()) }
    }
}

impl Job for Chore {
    const KIND: &'static str = "chore";
    const QUEUE: &'static str = QUEUE;
    const RETRY: RetryPolicy = RetryPolicy::new(3, Duration::from_millis(1), Duration::from_millis(20));
    const TIMEOUT: Duration = Duration::from_secs(20);

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn group(&self) -> Option<String> {
        self.group.clone()
    }
}

/// A job of which at most one may be unfinished.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct OnlyOne {
    pub key: String,
}

impl Job for OnlyOne {
    const KIND: &'static str = "only_one";
    const QUEUE: &'static str = QUEUE;
    const RETRY: RetryPolicy = RetryPolicy::new(1, Duration::from_millis(1), Duration::from_millis(1));

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: self.key.clone(), scope: UniqueScope::Done })
    }
}

pub fn engine() -> EngineSettings {
    EngineSettings {
        max_payload_bytes: 262_144,
        max_schedule_ahead: Duration::from_secs(366 * 86_400),
        lease: Duration::from_millis(1_500),
        heartbeat: Duration::from_millis(200),
        shutdown_grace: Duration::from_millis(500),
        idle_block: Duration::from_secs(30),
        errors_kept: 5,
        unknown_kind_wait: Duration::from_secs(86_400),
    }
}

pub fn queue_settings() -> QueueSettings {
    QueueSettings {
        concurrency: 4,
        prefetch: 0,
        global_concurrency: 0,
        group_concurrency: 0,
        group_rate: None,
        rate: None,
        intake_kind: Some("chore".parse().expect("a kind")),
        ledger: false,
        history: History::Full,
        events_kept: 100_000,
        events_max_bytes: 64 * 1024 * 1024,
        max_depth: 0,
        dead_retention: Duration::from_secs(86_400),
        dead_kept: 1_000,
    }
}

pub struct World {
    pub redis: TestRedis,
    pub door: Redis,
    pub queues: Queues,
    pub queue: Queue,
    pub client: Client,
}

impl World {
    pub async fn start() -> Self {
        Self::with(|_, _| {}, Clock::system()).await
    }

    pub async fn with(change: impl FnOnce(&mut QueueSettings, &mut EngineSettings), clock: Clock) -> Self {
        let redis = TestRedis::claim().await;
        let (mut settings, mut engine) = (queue_settings(), engine());
        change(&mut settings, &mut engine);
        let door = redis.door();
        Self::on(redis, door, settings, &engine, &clock)
    }

    pub fn on(redis: TestRedis, door: Redis, settings: QueueSettings, engine: &EngineSettings, clock: &Clock) -> Self {
        let name = QueueName::from_static(QUEUE);
        let types = JobTypes::new().with::<Chore>().with::<OnlyOne>();
        let blocks = BTreeMap::from([(name.clone(), settings)]);
        let queues = Queues::of(door.clone(), Environment::Staging, &blocks, engine, types, clock);
        let queue = queues.get(&name).expect("it was configured").clone();
        Self { redis, door, client: Client::new(queues.clone()), queues, queue }
    }

    /// Starts the workers of one worker process inside this process.
    pub fn work(&self, handlers: Handlers) -> Working {
        self.work_with(handlers, Deps::new())
    }

    pub fn work_with(&self, handlers: Handlers, deps: Deps) -> Working {
        let runtime = Runtime::new(self.client.clone(), handlers, deps).expect("nothing is missing");
        let stop = CancellationToken::new();
        let name = runtime.name().to_string();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { runtime.run(&[], stop).await.expect("workers end without an error") }
        });
        Working { stop, task: Some(task), name }
    }

    /// All events so far, in order.
    pub async fn events(&self) -> Vec<JobEvent> {
        let entries = self.queue.events_after(EntryId::default(), 100_000).await.expect("Redis answers");
        entries.into_iter().flat_map(|(_, events)| events).collect()
    }

    pub async fn count(&self, kind: EventKind) -> usize {
        self.events().await.iter().filter(|e| e.kind == kind).count()
    }

    /// Waits until nothing waits, runs or is delayed.
    pub async fn drained(&self) {
        eventually("the queue is drained", || async {
            let stats = self.queue.stats().await.expect("Redis answers");
            stats.waiting() + stats.delayed + stats.running == 0
        })
        .await;
    }
}

pub struct Working {
    pub stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    pub name: String,
}

impl Working {
    /// Stops as SIGTERM would and waits for the end.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await.expect("workers do not panic");
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits for a condition, at most 30 seconds.
pub async fn eventually<F, Fut>(what: &str, condition: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "waited 30 seconds in vain: {what}");
        pace.tick().await;
    }
}

/// What handlers saw, in order.
#[derive(Debug, Clone, Default)]
pub struct Seen<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Seen<T> {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    pub fn push(&self, item: T) {
        self.0.lock().expect("no test panics while it holds this").push(item);
    }

    pub fn all(&self) -> Vec<T> {
        self.0.lock().expect("no test panics while it holds this").clone()
    }

    pub fn len(&self) -> usize {
        self.all().len()
    }
}

/// A ledger that always succeeds and gives every job the same state. The tests of the store cover what a ledger keeps.
#[derive(Debug)]
pub struct SilentLedger(pub LedgerState);

impl Ledger for SilentLedger {
    fn keep<'a>(&'a self, jobs: &'a [LedgerJob]) -> BoxFuture<'a, Result<Vec<LedgerState>, LedgerError>> {
        async { Ok(vec![self.0; jobs.len()]) }.boxed()
    }

    fn settle<'a>(
        &'a self,
        _: &'a [JobId],
        _: &'a [JobId],
    ) -> BoxFuture<'a, Result<HashMap<JobId, RelayState>, LedgerError>> {
        async { Ok(HashMap::new()) }.boxed()
    }
}
