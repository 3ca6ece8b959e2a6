//! Errors of a measurement, and waiting for conditions.

use std::time::Duration;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A prerequisite is missing.
    #[error("{0}")]
    Setup(String),
    /// A program could not be started.
    #[error("{program} could not be started: {source}; is it installed and on the path?")]
    Program {
        /// Its name.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file, a folder or a pipe.
    #[error("could not {doing}: {source}")]
    Io {
        /// What was to be done.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A condition was not met in time.
    #[error("waited {after:?} for {what}; see the log of the part under the folder that is named at the end")]
    Silent {
        /// What.
        what: String,
        /// For so long.
        after: Duration,
    },
    /// Redis.
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// Postgres.
    #[error("Postgres: {0}")]
    Postgres(#[from] sqlx::Error),
    /// The engine.
    #[error(transparent)]
    Queue(#[from] perch_queue::QueueError),
    /// An enqueue.
    #[error(transparent)]
    Enqueue(#[from] perch_queue::EnqueueError),
    /// The store.
    #[error(transparent)]
    Store(#[from] perch_store::StoreError),
    /// JSON between the processes, or of the report.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The result of a measurement.
pub type Outcome<T = ()> = Result<T, BenchError>;

impl BenchError {
    /// For what failed with an error of another kind while the scene was set.
    #[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
    pub fn setup(error: impl ToString) -> Self {
        Self::Setup(error.to_string())
    }

    /// For what failed while `doing`.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// Waits until `holds` is true, for at most `within`; checks every `every`.
pub async fn until<Fut>(what: &str, within: Duration, every: Duration, mut holds: impl FnMut() -> Fut) -> Outcome
where
    Fut: Future<Output = Outcome<bool>>,
{
    let waited = async {
        while !holds().await? {
            tokio::time::sleep(every).await;
        }
        Ok(())
    };
    match tokio::time::timeout(within, waited).await {
        Ok(outcome) => outcome,
        Err(_) => Err(BenchError::Silent { what: what.to_owned(), after: within }),
    }
}
