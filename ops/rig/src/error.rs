use std::{io, path::PathBuf};

use perch_queue::QueueError;
use perch_store::StoreError;

/// Why a run could not be carried out. A run that found something wrong is not an error of this kind.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// A program could not be started.
    #[error("{program} cannot be started: {source}; install it, or run this through ./ops/torture, which does")]
    Program {
        /// Its name.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed: {said}")]
    Ended {
        /// Its name and arguments.
        program: String,
        /// The end of what it wrote.
        said: String,
    },
    /// A server did not come up.
    #[error("{what} does not answer; its log is {}", log.display())]
    Silent {
        /// Which.
        what: &'static str,
        /// Where it says why.
        log: PathBuf,
    },
    /// A file could not be written or read.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was to be done, and with what.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The sandbox, the settings or a client could not be set up.
    #[error("{0}")]
    Setup(String),
    /// Redis, while its queues were read.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Redis, while its keys were read.
    #[error("the keys of Redis cannot be read: {0}")]
    Redis(#[from] redis::RedisError),
    /// Postgres, during a sync.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Postgres, while its tables were read.
    #[error("the tables of Postgres cannot be read: {0}")]
    Postgres(#[from] sqlx::Error),
}

impl RigError {
    /// For an error of anything that has to be set up.
    pub fn setup(error: impl std::error::Error) -> Self {
        Self::Setup(perch_base::chain(&error))
    }

    /// For an error of the file system.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
