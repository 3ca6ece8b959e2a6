use std::{
    collections::BTreeMap,
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use apalis::layers::WorkerBuilderExt as _;
use apalis_core::{error::BoxDynError, monitor::Monitor, task::Task, worker::builder::WorkerBuilder};
use futures::{FutureExt as _, future::BoxFuture};
use perch_job::{JobKind, QueueName};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{
    backend::QueueBackend,
    buffer::{Buffer, Delivery},
    context::Deps,
    dispatch::Pool,
    fetcher::{Fetcher, release},
    finisher,
    handler::Handlers,
    heartbeat,
    meters::Meters,
};
use crate::{Client, Queue, Queues, finish::Ack, lease};

/// The name of a worker process, unique among all that run: host, process id and a few random letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerName(String);

impl WorkerName {
    /// A name for this process.
    pub fn of_this_process() -> Self {
        let host = std::env::var("FLY_MACHINE_ID")
            .or_else(|_| std::env::var("RAILWAY_REPLICA_ID"))
            .or_else(|_| std::env::var("HOSTNAME"))
            .or_else(|_| std::fs::read_to_string("/etc/hostname"))
            .unwrap_or_default();
        let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect();
        let host = if host.is_empty() { "worker".to_owned() } else { host };
        Self(format!("{host}-{}-{:04x}", std::process::id(), rand::random::<u16>()))
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why workers cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A handler has a dependency that was not provided.
    #[error("the handler of {kind} needs {what}, which this process does not provide")]
    Missing {
        /// The kind.
        kind: JobKind,
        /// The type.
        what: &'static str,
    },
    /// A queue that is not configured.
    #[error("queue {0} is not configured; add a block [queues.{0}] to config/base.toml")]
    UnknownQueue(QueueName),
    /// The operating system refused a thread.
    #[error("the heartbeat thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    /// apalis ended with an error.
    #[error("the worker runtime ended: {0}")]
    Apalis(String),
}

/// The workers of one process.
pub struct Runtime {
    name: WorkerName,
    client: Client,
    handlers: Handlers,
    deps: Deps,
    ready: Arc<AtomicBool>,
}

struct RunningPool {
    queue: Queue,
    buffer: Arc<Buffer>,
    acks: mpsc::Sender<Ack>,
}

impl Runtime {
    /// Workers that run `handlers` with `deps` on queues of `client`.
    ///
    /// # Errors
    ///
    /// A handler has a missing dependency.
    pub fn new(client: Client, handlers: Handlers, deps: Deps) -> Result<Self, RuntimeError> {
        if let Some((kind, what)) = handlers.missing(&deps) {
            return Err(RuntimeError::Missing { kind, what });
        }
        Ok(Self { name: WorkerName::of_this_process(), client, handlers, deps, ready: Arc::default() })
    }

    /// The name of this worker.
    pub fn name(&self) -> &WorkerName {
        &self.name
    }

    /// Runs jobs of the queues `only` (of all queues if it is empty) until `shutdown` is cancelled.
    ///
    /// Then it fetches nothing more and releases fetched jobs that were not started. Running jobs have `engine.shutdown_grace` to
    /// finish before they are released too. Neither counts as an attempt.
    ///
    /// # Errors
    ///
    /// A queue in `only` is not configured, the system refuses a thread, or apalis ends with an error. An outage of Redis is no
    /// error; the workers wait for it.
    ///
    /// # Cancel safety
    ///
    /// If dropped, it releases nothing: its leases run out, and its jobs run again elsewhere. Cancel `shutdown` instead.
    pub async fn run(self, only: &[QueueName], shutdown: CancellationToken) -> Result<(), RuntimeError> {
        let queues = self.chosen(only)?;
        let interrupt = CancellationToken::new();
        let heartbeats_stop = CancellationToken::new();
        // The end of this future, for whatever reason, also ends the renewal of its leases.
        let _stops_heartbeats = heartbeats_stop.clone().drop_guard();
        let mut monitor = Monitor::new();
        let mut background = tokio::task::JoinSet::new();
        let mut finishers = tokio::task::JoinSet::new();
        let mut running = Vec::new();
        for queue in queues {
            let concurrency = queue.settings().concurrency;
            let buffer = Arc::new(Buffer::new(concurrency + queue.settings().prefetch));
            let (acks, inbox) = mpsc::channel(4 * crate::finish::ACKS_AT_ONCE);
            let pool = Arc::new(Pool {
                queue: queue.clone(),
                client: self.client.clone(),
                handlers: self.handlers.clone(),
                deps: self.deps.clone(),
                interrupt: interrupt.clone(),
                meters: Meters::new(queue.name().clone()),
            });
            let attempts = AttemptService { pool, buffer: buffer.clone(), acks: acks.clone() };
            let name = format!("{}:{}", self.name, queue.name());
            let shared_buffer = buffer.clone();
            monitor = monitor.register(move |_| {
                WorkerBuilder::new(name.clone())
                    .backend(QueueBackend { buffer: shared_buffer.clone() })
                    .concurrency(concurrency)
                    .build(attempts.clone())
            });
            finishers.spawn(finisher::run(queue.clone(), buffer.clone(), inbox, queue.engine().lease));
            background.spawn(self.fetcher(&queue, &buffer, &acks, &shutdown).run());
            running.push(RunningPool { queue, buffer, acks });
        }
        let pulse = running.iter().map(|r| (r.queue.clone(), r.buffer.clone())).collect();
        let heartbeats = heartbeat::start(self.name.to_string(), pulse, heartbeats_stop.clone())?;
        self.ready.store(true, Ordering::Release);
        tracing::info!(worker = %self.name, queues = running.len(), "working");

        let closing = close(&running, &shutdown, &interrupt);
        let signal = shutdown.clone();
        // On the threads of the runtime, like the handlers. The thread that drives this future may be another one, which would be
        // woken for each job.
        let mut work = tokio::task::JoinSet::new();
        work.spawn(monitor.should_restart(|_, _| true).run_with_signal(async move {
            signal.cancelled().await;
            Ok(())
        }));
        // Without its pools the process must not fetch more jobs.
        let working = async {
            let worked = work.join_next().await;
            shutdown.cancel();
            worked
        };
        let (worked, ()) = tokio::join!(working, closing);

        background.join_all().await;
        // The finishers end with the last sender of acks.
        let queues: Vec<Queue> = running.into_iter().map(|r| r.queue).collect();
        finishers.join_all().await;
        for queue in &queues {
            if let Err(error) = lease::leave(queue, &self.name.to_string()).await {
                tracing::debug!(%error, "this worker was not removed from the list of workers");
            }
        }
        heartbeats_stop.cancel();
        let _ = tokio::task::spawn_blocking(move || heartbeats.join()).await;
        tracing::info!(worker = %self.name, "stopped");
        match worked {
            Some(Ok(Err(error))) => Err(RuntimeError::Apalis(error.to_string())),
            Some(Err(error)) => Err(RuntimeError::Apalis(error.to_string())),
            Some(Ok(Ok(()))) | None => Ok(()),
        }
    }

    fn chosen(&self, only: &[QueueName]) -> Result<Vec<Queue>, RuntimeError> {
        let queues: &Queues = self.client.queues();
        if only.is_empty() {
            return Ok(queues.iter().cloned().collect());
        }
        let mut chosen = BTreeMap::new();
        for name in only {
            let queue = queues.get(name).ok_or_else(|| RuntimeError::UnknownQueue(name.clone()))?;
            chosen.insert(name, queue.clone());
        }
        Ok(chosen.into_values().collect())
    }

    fn fetcher(
        &self,
        queue: &Queue,
        buffer: &Arc<Buffer>,
        acks: &mpsc::Sender<Ack>,
        shutdown: &CancellationToken,
    ) -> Fetcher {
        let about = json!({
            "pid": std::process::id(),
            "since": queue.now().timestamp_millis(),
            "version": env!("CARGO_PKG_VERSION"),
            "concurrency": queue.settings().concurrency,
        });
        Fetcher {
            queue: queue.clone(),
            buffer: buffer.clone(),
            holder: self.name.to_string(),
            about,
            stop: shutdown.clone(),
            acks: acks.clone(),
        }
    }
}

/// At shutdown: releases jobs that were not started, then, after the grace, interrupts those still running.
async fn close(running: &[RunningPool], shutdown: &CancellationToken, interrupt: &CancellationToken) {
    shutdown.cancelled().await;
    let mut grace = std::time::Duration::ZERO;
    for RunningPool { queue, buffer, acks } in running {
        grace = grace.max(queue.engine().shutdown_grace);
        let back = buffer.close();
        if !back.is_empty() {
            tracing::info!(queue = %queue.name(), jobs = back.len(), "released jobs that were not started");
        }
        // Last first, because each goes to the front of its queue.
        for delivery in back.iter().rev() {
            release(acks, delivery.held.lease.clone()).await;
        }
    }
    let interrupt = interrupt.clone();
    tokio::spawn(async move {
        tokio::time::sleep(grace).await;
        interrupt.cancel();
    });
}

/// The service that apalis calls for each delivery. It always succeeds: the engine handles failures of handlers.
#[derive(Clone)]
struct AttemptService {
    pool: Arc<Pool>,
    buffer: Arc<Buffer>,
    acks: mpsc::Sender<Ack>,
}

impl Service<Task<Delivery>> for AttemptService {
    type Response = ();
    type Error = BoxDynError;
    /// Boxed at once: apalis moves it several times.
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Delivery>) -> Self::Future {
        let attempts = self.clone();
        Box::pin(async move {
            attempts.carry_out(task.args).await;
            Ok(())
        })
    }
}

impl AttemptService {
    async fn carry_out(&self, delivery: Delivery) {
        let lease = delivery.held.lease.clone();
        // A panic here would end the worker of the whole pool.
        let outcome = AssertUnwindSafe(self.pool.run(delivery)).catch_unwind().await;
        let finish = outcome.unwrap_or_else(|panic| Some(self.pool.broken(&lease, panic.as_ref())));
        match finish {
            Some(finish) => {
                let _ = self.acks.send(finish).await;
            }
            None => self.buffer.forget(std::iter::once(&lease)),
        }
        self.buffer.ended();
    }
}
