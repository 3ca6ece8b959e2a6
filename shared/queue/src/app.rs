use std::collections::BTreeMap;

use perch_base::{
    Clock, Environment, engine_problems,
    settings::{EngineSettings, QueueSettings, RedisSettings},
    tls,
};
use perch_job::{InvalidName, Job, JobKind, JobTypes, QueueName};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    Client, QueueError, Queues, Redis,
    worker::{Deps, Handler, Handlers, Runtime, RuntimeError},
};

/// A program on the engine: its job types, their handlers, and its Redis.
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
    redis_settings: RedisSettings,
    /// Errors found while it was built; `run` reports them.
    wrong: Vec<String>,
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
    /// The operating system does not deliver signals.
    #[error("signals cannot be waited for: {0}")]
    Signals(std::io::Error),
    /// All settings, names and job types that are invalid.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
}

impl App {
    /// An app on the Redis at `url`: `redis://…`, `rediss://…` for TLS, or several with commas between for a cluster. It does not
    /// connect yet, and uses the keys of staging.
    ///
    /// # Errors
    ///
    /// The URL is invalid.
    pub fn connect(url: impl Into<String>) -> Result<Self, QueueError> {
        Self::connect_with(url, RedisSettings::default())
    }

    /// Like [`connect`](Self::connect), with other pool sizes and timeouts.
    ///
    /// # Errors
    ///
    /// The URL is invalid.
    pub fn connect_with(url: impl Into<String>, settings: RedisSettings) -> Result<Self, QueueError> {
        tls::install();
        Ok(Self {
            redis: Redis::new(&SecretString::from(url.into()), &settings)?,
            redis_settings: settings,
            wrong: Vec::new(),
            env: Environment::Staging,
            engine: EngineSettings::default(),
            queues: BTreeMap::new(),
            types: JobTypes::new(),
            handlers: Handlers::new(),
            deps: Deps::new(),
        })
    }

    /// Sets the environment, whose keys begin with `stg:` or `prod:`.
    #[must_use]
    pub fn environment(self, env: Environment) -> Self {
        Self { env, ..self }
    }

    /// Sets what holds for every queue: leases, payload limits, and how long a shutdown may take.
    #[must_use]
    pub fn engine(self, engine: EngineSettings) -> Self {
        Self { engine, ..self }
    }

    /// Adds a handler for the jobs of type `J`: an async function or closure that takes the payload and up to four values from
    /// the context. A queue without its own settings gets the defaults. [`run`](Self::run) fails if a kind has two handlers or a
    /// type is invalid.
    #[must_use]
    pub fn on<J: Job, Args, H: Handler<J, Args>>(self, handler: H) -> Self {
        let mut app = self.knows::<J>();
        if app.handlers.has(J::KIND) {
            app.wrong.push(format!("{} has two handlers", J::KIND));
        } else if app.types.get(J::KIND).is_some() {
            app.handlers = app.handlers.on::<J, Args, H>(handler);
        }
        app
    }

    /// Adds the type `J` without a handler, to enqueue jobs that another program runs.
    #[must_use]
    pub fn knows<J: Job>(mut self) -> Self {
        let refused = match (J::KIND.parse::<JobKind>(), J::QUEUE.parse::<QueueName>()) {
            (Err(error), _) => Some(format!("the kind {:?}: {error}", J::KIND)),
            (_, Err(error)) => Some(format!("the queue {:?} of {}: {error}", J::QUEUE, J::KIND)),
            (Ok(_), Ok(queue)) => {
                self.queues.entry(queue).or_default();
                J::RETRY.validate().err().map(|error| format!("the retry policy of {}: {error}", J::KIND))
            }
        };
        match refused {
            Some(refused) => self.wrong.push(refused),
            None => self.types = self.types.with::<J>(),
        }
        self
    }

    /// Sets the settings of a queue.
    ///
    /// # Errors
    ///
    /// The name is invalid.
    pub fn queue(mut self, name: &str, settings: QueueSettings) -> Result<Self, InvalidName> {
        self.queues.insert(name.parse()?, settings);
        Ok(self)
    }

    /// Adds a value that handlers take as `Data<T>`.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.deps = self.deps.with(value);
        self
    }

    /// The client that enqueues jobs of this app.
    pub fn client(&self) -> Client {
        let clock = Clock::system();
        let queues = Queues::of(self.redis.clone(), self.env, &self.queues, &self.engine, self.types.clone(), &clock);
        Client::new(queues)
    }

    /// Runs jobs until SIGINT or SIGTERM. Then it fetches nothing more, and running jobs have 25 s to end (`shutdown_grace`).
    /// Jobs still running after that are released; this does not count as an attempt. While Redis is unavailable, it waits.
    ///
    /// # Errors
    ///
    /// A setting, a name or a job type is invalid; a handler needs a value that was not added with [`with`](Self::with); or the
    /// system refuses threads or signals.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, other workers take running jobs over once their leases have ended.
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
        let mut wrong = engine_problems(&self.engine, &self.redis_settings, &self.queues);
        let ledgers = self.queues.iter().filter(|(_, queue)| queue.ledger);
        wrong.extend(ledgers.map(|(name, _)| format!("queues.{name}.ledger is true; an app has no ledger")));
        wrong.splice(0..0, self.wrong.iter().cloned());
        if !wrong.is_empty() {
            return Err(AppError::Invalid(wrong));
        }
        let client = self.client();
        Ok(Runtime::new(client, self.handlers, self.deps)?.run(&[], stop).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use perch_job::RetryPolicy;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Odd {}

    impl Job for Odd {
        const KIND: &'static str = "odd";
        const QUEUE: &'static str = "order-mails";
        const RETRY: RetryPolicy = RetryPolicy::new(0, Duration::ZERO, Duration::ZERO);
    }

    #[derive(Serialize, Deserialize)]
    struct Plain {}

    impl Job for Plain {
        const KIND: &'static str = "plain";
        const QUEUE: &'static str = "plain";
    }

    #[tokio::test]
    async fn everything_that_is_invalid_is_refused_by_run_and_named() {
        let engine = EngineSettings { heartbeat: Duration::from_secs(20), ..EngineSettings::default() };
        let still = QueueSettings { concurrency: 0, ledger: true, ..QueueSettings::default() };
        let app = App::connect("redis://127.0.0.1:1").expect("a URL").engine(engine).queue("still", still);
        let app = app.expect("a name").on(async |_: Odd| ()).on(async |_: Plain| ()).on(async |_: Plain| ());
        let refused = app.run_until(CancellationToken::new()).await.expect_err("nothing of it can be").to_string();
        for part in ["order-mails", "plain has two handlers", "heartbeat", "still.concurrency", "still.ledger"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
    }
}
