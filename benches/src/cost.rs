//! What a job costs in bytes between its process and Redis and in allocations of the process: counts that hardly depend on how
//! busy a machine is. Round trips and commands are counted by the tests of the engine.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use perch_base::{Clock, Environment, settings::History};
use perch_jobs::{JobTypes, QueueName};
use perch_queue::{
    Client, Envelope, Fail, Lease, NewJob, Queue, Queues, Redis,
    testing::{self, AttemptEnd},
    worker::{Deps, HandlerResult, Handlers, Runtime, WorkerName},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    error::{BenchError, Outcome},
    jobs::{Idle, Pool, QUEUES, first, job, settings},
    numbers::float,
    servers::RedisServer,
};

/// Longer than any step, so that nothing happens because of the time that it took.
const NEVER: Duration = Duration::from_secs(3_600);
/// Jobs of most steps.
const JOBS: usize = 10_000;

/// The cost of a step, for each job.
#[derive(Debug, Serialize, Deserialize)]
pub struct Step {
    /// What it is.
    pub name: String,
    /// Bytes to Redis.
    pub sent: f64,
    /// Bytes from Redis.
    pub received: f64,
    /// Allocations and reallocations of this process.
    pub allocations: f64,
}

/// Counts each step and prints it as a line of JSON. `allocations` answers how many there were so far; nothing else may run in
/// the process.
///
/// # Errors
///
/// A server could not be started, or did not do what it was asked.
pub async fn measure(allocations: fn() -> usize) -> Outcome {
    let ground = MeteredQueue::start(allocations, History::Failures, Clock::system()).await?;
    let alone = jobs(2_000)?;
    ground.cost("enqueued alone", 2_000, 0, 0, || ground.one_by_one(alone)).await?;
    ground.wipe().await?;
    ground.cost_of_bulk("enqueued in bulk", JOBS).await?;
    ground.cost("drained", JOBS, 1, 1, || ground.work(JOBS, HandlerEnd::Success)).await?;
    ground.wipe().await?;
    beside_queued(&ground).await?;
    ground.wipe().await?;
    beside_delayed_and_dead(&ground).await?;

    let full = MeteredQueue::start(allocations, History::Full, Clock::system()).await?;
    full.cost_of_bulk("enqueued in bulk, full history", JOBS).await?;
    full.cost("drained, full history", JOBS, 2, 1, || full.work(JOBS, HandlerEnd::Success)).await?;

    const DELAY: Duration = Duration::from_secs(60);
    const RETRIED: usize = 4_000;
    let ground = MeteredQueue::start(allocations, History::Failures, Clock::manual(Utc::now())).await?;
    ground.fill(RETRIED).await?;
    let twice = async || {
        ground.work(RETRIED, HandlerEnd::RetryIn(DELAY)).await?;
        ground.clock.advance(DELAY);
        ground.work(RETRIED, HandlerEnd::Success).await
    };
    ground.cost("failed once and retried", RETRIED, 4, 2, twice).await
}

/// The same work with 1,000 and with 50,000 jobs queued.
async fn beside_queued(ground: &MeteredQueue) -> Outcome {
    ground.fill(1_000).await?;
    for (queued, more) in [("1,000", 0), ("50,000", 5)] {
        for _ in 0..more {
            ground.fill(JOBS).await?;
        }
        ground.cost_of_bulk(&format!("enqueued in bulk, {queued} queued"), 1_000).await?;
        let name = format!("fetch of 200, {queued} queued");
        let leases = ground.cost(&name, 1, 0, 0, || ground.fetch(200)).await?;
        let name = format!("acknowledged alone, {queued} queued");
        ground.cost(&name, leases.len(), 0, 0, || ground.acknowledge(&leases)).await?;
    }
    Ok(())
}

/// The same work with and without 10,000 delayed and 5,000 dead beside it.
async fn beside_delayed_and_dead(ground: &MeteredQueue) -> Outcome {
    const SOME: usize = 5_000;
    for (beside, others) in [("none", 0), ("delayed and dead", SOME)] {
        ground.fill(others).await?;
        ground.work(others, HandlerEnd::Dead).await?;
        ground.delay(2 * others).await?;
        ground.cost_of_bulk(&format!("enqueued in bulk, {beside} beside"), SOME).await?;
        let drain = || ground.work(SOME, HandlerEnd::Success);
        ground.cost(&format!("drained, {beside} beside"), SOME, 1, 1, drain).await?;
    }
    Ok(())
}

/// How the attempts of a worker end.
#[derive(Debug, Clone, Copy)]
enum HandlerEnd {
    Success,
    RetryIn(Duration),
    Dead,
}

/// A Redis server with one queue, and a counter of bytes and allocations.
struct MeteredQueue {
    server: RedisServer,
    client: Client,
    queue: Queue,
    clock: Clock,
    allocations: fn() -> usize,
}

impl MeteredQueue {
    async fn start(allocations: fn() -> usize, history: History, clock: Clock) -> Outcome<Self> {
        let server = RedisServer::start().await?;
        let settings = settings(&[])?;
        let mut engine = settings.engine.clone();
        (engine.lease, engine.heartbeat, engine.idle_block) = (3 * NEVER, NEVER, NEVER);
        let pool = Pool { full_history: history == History::Full, ..Pool::default() };
        let blocks = BTreeMap::from([(QueueName::from_static(QUEUES[0]), pool.block())]);
        let door = Redis::new(&SecretString::from(server.url()), &settings.redis)?;
        let types = JobTypes::new().with::<Idle<0>>();
        let client = Client::new(Queues::of(door, Environment::Staging, &blocks, &engine, types, &clock));
        let ground = Self { queue: first(&client)?, server, client, clock, allocations };
        // Warms up: opens connections, loads scripts and initialises statics.
        ground.one_by_one(jobs(1)?).await?;
        ground.work(1, HandlerEnd::Success).await?;
        ground.fill(2).await?;
        ground.work(2, HandlerEnd::Dead).await?;
        ground.fill(2).await?;
        let leases = ground.fetch(1).await?;
        ground.acknowledge(&leases).await?;
        ground.wipe().await?;
        Ok(ground)
    }

    async fn wipe(&self) -> Outcome {
        self.server.wipe().await
    }

    /// Runs a step, and prints its cost for each of `jobs`. The worker's name contains the host name, whose length differs:
    /// those bytes, sent and received, are not counted.
    async fn cost<T, Fut: Future<Output = Outcome<T>>>(
        &self,
        name: &str,
        jobs: usize,
        names_sent: usize,
        names_received: usize,
        step: impl FnOnce() -> Fut,
    ) -> Outcome<T> {
        let before = (self.server.traffic().await?, (self.allocations)());
        let done = step().await?;
        let allocations = (self.allocations)() - before.1;
        let traffic = self.server.traffic().await?;
        let length = WorkerName::of_this_process().to_string().len();
        let each = |bytes: f64, names: usize| bytes / float(jobs) - float(names * length);
        let step = Step {
            name: name.to_owned(),
            sent: each(traffic.sent - before.0.sent, names_sent),
            received: each(traffic.received - before.0.received - before.0.answer, names_received),
            allocations: float(allocations) / float(jobs),
        };
        let line = serde_json::to_string(&step)?;
        writeln!(std::io::stdout(), "{line}").map_err(BenchError::io("print what was counted"))?;
        Ok(done)
    }

    async fn cost_of_bulk(&self, name: &str, n: usize) -> Outcome {
        let jobs = jobs(n)?;
        self.cost(name, n, 0, 0, || self.enqueue(jobs)).await
    }

    async fn one_by_one(&self, jobs: Vec<NewJob>) -> Outcome {
        for job in jobs {
            self.client.submit(job).await?;
        }
        Ok(())
    }

    async fn enqueue(&self, jobs: Vec<NewJob>) -> Outcome {
        for answer in self.client.submit_all(jobs).await {
            answer?;
        }
        Ok(())
    }

    async fn fill(&self, n: usize) -> Outcome {
        self.enqueue(jobs(n)?).await
    }

    async fn delay(&self, n: usize) -> Outcome {
        let run_at = Some(self.queue.now() + TimeDelta::days(1));
        let mut delayed = jobs(n)?;
        for job in &mut delayed {
            job.options.run_at = run_at;
        }
        self.enqueue(delayed).await
    }

    async fn fetch(&self, slots: usize) -> Outcome<Vec<(Lease, Envelope)>> {
        let fetched = testing::fetch(&self.queue, "steps", slots, 100).await?.jobs;
        let read = |(lease, bytes): (Lease, Vec<u8>)| Ok((lease, Envelope::decode(&bytes).map_err(BenchError::setup)?));
        fetched.into_iter().map(read).collect()
    }

    async fn acknowledge(&self, leases: &[(Lease, Envelope)]) -> Outcome {
        for (lease, envelope) in leases {
            testing::finish(&self.queue, lease, envelope, AttemptEnd::Succeeded).await?;
        }
        Ok(())
    }

    /// Works, from the start of a worker to its end, until `n` attempts have ended.
    async fn work(&self, n: usize, ending: HandlerEnd) -> Outcome {
        if n == 0 {
            return Ok(());
        }
        let (ended, all) = (AtomicUsize::new(0), Arc::new(Notify::new()));
        let ended = Arc::new(ended);
        let handlers = Handlers::new().on({
            let all = all.clone();
            move |_: Idle<0>| {
                if ended.fetch_add(1, Ordering::Relaxed) + 1 == n {
                    all.notify_one();
                }
                async move { outcome(ending) }
            }
        });
        let runtime = Runtime::new(self.client.clone(), handlers, Deps::new()).map_err(BenchError::setup)?;
        let stop = CancellationToken::new();
        let working = tokio::spawn(runtime.run(&[], stop.clone()));
        let patience = Duration::from_secs(120);
        let within = tokio::time::timeout(patience, all.notified()).await;
        within.map_err(|_| BenchError::Silent { what: "all attempts to end".into(), after: patience })?;
        stop.cancel();
        working.await.map_err(BenchError::setup)?.map_err(BenchError::setup)
    }
}

fn jobs(n: usize) -> Outcome<Vec<NewJob>> {
    (0..n).map(|_| job(0)).collect()
}

fn outcome(ending: HandlerEnd) -> HandlerResult<()> {
    match ending {
        HandlerEnd::Success => Ok(()),
        HandlerEnd::RetryIn(delay) => Err(Fail::RetryAfter(delay, "the other side asks for patience".into())),
        HandlerEnd::Dead => Err(Fail::Dead("it can never work".into())),
    }
}
