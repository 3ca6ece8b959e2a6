//! A Redis server, one queue on it, and jobs of 200 bytes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use perch_base::{
    Clock, Environment,
    settings::{History, QueueSettings},
};
use perch_job::{Job, JobTypes, QueueName, RetryPolicy};
use perch_queue::{
    Client, EnqueueOptions, Fail, Lease, NewJob, Queue, Queues, testing,
    worker::{Deps, HandlerResult, Handlers, Runtime},
};
use perch_testkit::{OwnRedis, TestRedis};
use redis::aio::MultiplexedConnection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    support::{engine, queue_settings},
    tally::{Cost, Tally},
};

/// Bytes of a payload.
const PAYLOAD: usize = 200;
/// Longer than any test, so that nothing happens because of elapsed time.
const NEVER: Duration = Duration::from_secs(600);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    filler: String,
}

impl Load {
    pub fn new() -> Self {
        Self { filler: "x".repeat(PAYLOAD - r#"{"filler":""}"#.len()) }
    }
}

impl Job for Load {
    const KIND: &'static str = "load";
    const QUEUE: &'static str = "loads";
    const RETRY: RetryPolicy = RetryPolicy::new(3, NEVER, NEVER);
    const TIMEOUT: Duration = NEVER;
}

pub fn jobs(n: usize) -> Vec<NewJob> {
    jobs_with(n, &EnqueueOptions::default())
}

pub fn jobs_with(n: usize, options: &EnqueueOptions) -> Vec<NewJob> {
    (0..n).map(|_| NewJob::of(&Load::new()).expect("JSON").with(options.clone())).collect()
}

/// How the attempts of a worker end.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    Success,
    RetryIn(Duration),
    Dead,
}

pub struct Ground {
    pub queue: Queue,
    pub client: Client,
    pub conn: MultiplexedConnection,
    pub clock: Clock,
    _server: OwnRedis,
}

impl Ground {
    pub async fn start(history: History) -> Self {
        Self::build(history, Clock::system(), NEVER).await
    }

    /// A ground whose clock stands still until it is advanced.
    pub async fn of_clock(clock: Clock) -> Self {
        Self::build(History::Failures, clock, NEVER).await
    }

    /// One whose idle workers look after `idle_block`.
    pub async fn idling(idle_block: Duration) -> Self {
        Self::build(History::Failures, Clock::system(), idle_block).await
    }

    async fn build(history: History, clock: Clock, idle_block: Duration) -> Self {
        let server = OwnRedis::with(&[]).await;
        let redis = TestRedis::at(&server.url());
        let mut engine = engine();
        (engine.lease, engine.heartbeat, engine.idle_block) = (3 * NEVER, NEVER, idle_block);
        let settings =
            QueueSettings { concurrency: 200, prefetch: 200, intake_kind: None, history, ..queue_settings() };
        let name = QueueName::from_static(Load::QUEUE);
        let blocks = BTreeMap::from([(name.clone(), settings)]);
        let types = JobTypes::new().with::<Load>();
        let queues = Queues::of(redis.door(), Environment::Staging, &blocks, &engine, types, &clock);
        let queue = queues.get(&name).expect("it was configured").clone();
        let ground = Self { queue, client: Client::new(queues), conn: redis.raw().await, clock, _server: server };
        // A warm-up: opens connections, loads scripts into Redis, and initialises statics.
        ground.fill(1).await;
        ground.work(1, Ending::Success).await;
        ground.fill(2).await;
        let fetched = testing::fetch(&ground.queue, "first", 1, 0).await.expect("Redis answers");
        let leases: Vec<Lease> = fetched.jobs.into_iter().map(|(lease, _)| lease).collect();
        testing::renew(&ground.queue, "first", &leases, 0).await.expect("Redis answers");
        redis::cmd("FLUSHALL").exec_async(&mut ground.conn.clone()).await.expect("FLUSHALL");
        ground
    }

    pub async fn tally(&self) -> Tally {
        Tally::now(&mut self.conn.clone()).await
    }

    pub async fn enqueue(&self, jobs: Vec<NewJob>) {
        assert!(self.client.submit_all(jobs).await.iter().all(Result::is_ok), "all are accepted");
    }

    pub async fn fill(&self, n: usize) {
        self.enqueue(jobs(n)).await;
    }

    /// The cost of enqueuing `n` jobs in one call.
    pub async fn cost_of_bulk(&self, what: &str, n: usize) -> Cost {
        let jobs = jobs(n);
        let before = self.tally().await;
        self.enqueue(jobs).await;
        self.tally().await.since(&before, what, n)
    }

    /// The cost of a worker, from its start to its end, that runs `n` jobs.
    pub async fn cost_of_drain(&self, what: &str, n: usize) -> Cost {
        let before = self.tally().await;
        self.work(n, Ending::Success).await;
        self.tally().await.since(&before, what, n)
    }

    /// Runs until `n` attempts have ended and their acks are in Redis.
    pub async fn work(&self, n: usize, ending: Ending) {
        let ended = Arc::new(AtomicUsize::new(0));
        let all = Arc::new(Notify::new());
        let handlers = Handlers::new().on({
            let all = all.clone();
            move |_: Load| {
                if ended.fetch_add(1, Ordering::Relaxed) + 1 == n {
                    all.notify_one();
                }
                async move { outcome(ending) }
            }
        });
        let running = self.start_worker(handlers);
        tokio::time::timeout(Duration::from_secs(60), all.notified()).await.expect("all attempts end in a minute");
        running.stop().await;
    }

    pub fn start_worker(&self, handlers: Handlers) -> Running {
        let runtime = Runtime::new(self.client.clone(), handlers, Deps::new()).expect("nothing is missing");
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move { runtime.run(&[], stop).await.expect("workers end without an error") }
        });
        Running { stop, task }
    }
}

fn outcome(ending: Ending) -> HandlerResult<()> {
    match ending {
        Ending::Success => Ok(()),
        Ending::RetryIn(delay) => Err(Fail::RetryAfter(delay, "the other side asks for patience".into())),
        Ending::Dead => Err(Fail::Dead("it can never work".into())),
    }
}

/// A worker of this process.
pub struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("workers do not panic");
    }
}
