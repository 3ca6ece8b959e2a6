use std::collections::BTreeMap;

use perch_base::{
    Clock, Environment,
    settings::{EngineSettings, QueueSettings, RedisSettings},
};
use perch_job::{InvalidName, Job, JobType, JobTypes, QueueName};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    Client, QueueError, Queues, Redis,
    worker::{Deps, Handler, Handlers, Runtime, RuntimeError},
};

/// A program of one's own on the engine: its job types, their handlers, and the Redis that keeps its jobs.
///
/// ```no_run
/// use perch_queue::{App, Job};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Hello {
///     name: String,
/// }
///
/// impl Job for Hello {
///     const KIND: &'static str = "hello";
///     const QUEUE: &'static str = "greetings";
/// }
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let app = App::connect("redis://127.0.0.1")?.on(async |job: Hello| println!("Hello, {}!", job.name));
/// app.client().enqueue(&Hello { name: "world".into() }).await?;
/// app.run().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct App {
    redis: Redis,
    env: Environment,
    engine: EngineSettings,
    queues: BTreeMap<QueueName, QueueSettings>,
    types: JobTypes,
    handlers: Handlers,
    deps: Deps,
}

/// Why an app ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The address of Redis, or a name.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The workers.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The operating system tells of no signals.
    #[error("signals cannot be waited for: {0}")]
    Signals(std::io::Error),
    /// A queue is named by no name.
    #[error(transparent)]
    Name(#[from] InvalidName),
}

impl App {
    /// An app on the Redis at `url`: `redis://…`, `rediss://…` for TLS, or several with commas between for a cluster. Nothing is
    /// connected yet, and its keys are those of staging.
    ///
    /// # Errors
    ///
    /// The URL is none.
    pub fn connect(url: impl Into<String>) -> Result<Self, QueueError> {
        Ok(Self {
            redis: Redis::new(&SecretString::from(url.into()), &RedisSettings::default())?,
            env: Environment::Staging,
            engine: EngineSettings::default(),
            queues: BTreeMap::new(),
            types: JobTypes::new(),
            handlers: Handlers::new(),
            deps: Deps::new(),
        })
    }

    /// The same for an environment: its keys begin with `stg:` or `prod:`.
    #[must_use]
    pub fn environment(self, env: Environment) -> Self {
        Self { env, ..self }
    }

    /// The same with what holds for every queue: leases, limits of payloads, and how long a stop may take.
    #[must_use]
    pub fn engine(self, engine: EngineSettings) -> Self {
        Self { engine, ..self }
    }

    /// The same with a handler for the jobs of type `J`: an async function or closure of the payload, and of up to four things from
    /// the context. A queue that was not described has the default settings.
    #[must_use]
    pub fn on<J: Job, Args, H: Handler<J, Args>>(mut self, handler: H) -> Self {
        let queue = JobType::of::<J>().queue;
        self.queues.entry(queue).or_default();
        self.types = self.types.with::<J>();
        self.handlers = self.handlers.on::<J, Args, H>(handler);
        self
    }

    /// The same with settings for a queue.
    ///
    /// # Errors
    ///
    /// The name is none.
    pub fn queue(mut self, name: &str, settings: QueueSettings) -> Result<Self, InvalidName> {
        self.queues.insert(name.parse()?, settings);
        Ok(self)
    }

    /// The same with something that handlers ask for as `Data<T>`.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.deps = self.deps.with(value);
        self
    }

    /// What enqueues jobs of this app.
    pub fn client(&self) -> Client {
        let clock = Clock::system();
        let queues = Queues::of(self.redis.clone(), self.env, &self.queues, &self.engine, self.types.clone(), &clock);
        Client::new(queues)
    }

    /// Runs jobs until SIGINT or SIGTERM. Then nothing more is fetched, and running jobs have 25 s to end (`shutdown_grace`); those
    /// that do not are given back, and that does not count as an attempt. While Redis is away it waits for it.
    ///
    /// # Errors
    ///
    /// A handler asks for something that was not given with [`with`](Self::with), or the system refuses threads or signals.
    ///
    /// # Cancel safety
    ///
    /// Where the future is dropped, jobs that run are taken over by another worker once their lease has ended.
    pub async fn run(self) -> Result<(), AppError> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(AppError::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(AppError::Signals)?;
        let stop = CancellationToken::new();
        let working = self.run_until(stop.clone());
        tokio::pin!(working);
        tokio::select! {
            ended = &mut working => return ended,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
        working.await
    }

    /// As [`run`](Self::run), until `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// As those of [`run`](Self::run).
    pub async fn run_until(self, stop: CancellationToken) -> Result<(), AppError> {
        let client = self.client();
        Ok(Runtime::new(client, self.handlers, self.deps)?.run(&[], stop).await?)
    }
}
