//! Why a command failed.

use std::{io, path::PathBuf};

pub use perch_base::chain;
use perch_base::{ConfigError, InvalidCursor, telemetry::TelemetryError};
use perch_core::job_list::ListError;
use perch_queue::{EnqueueError, QueueError, worker::RuntimeError};
use perch_store::{OpenError, StoreError};

/// Why a command failed. The message is what the operator sees.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Redis.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A job was not accepted.
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
    /// Postgres.
    #[error(transparent)]
    Store(StoreError),
    /// The recovery.
    #[error(transparent)]
    Recovery(#[from] perch_core::recovery::RecoveryError),
    /// The workers cannot run.
    #[error(transparent)]
    Workers(#[from] RuntimeError),
    /// Logs and traces.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// A part of a long-running process did not start or did not end well.
    #[error("{part}: {reason}")]
    Part {
        /// Which part.
        part: &'static str,
        /// Why.
        reason: String,
    },
    /// The process could not be set up.
    #[error("the process could not start: {0}")]
    Runtime(io::Error),
    /// The options contradict one another.
    #[error("{0}")]
    Usage(String),
    /// The command was refused; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// The command was refused, and the output has said why already.
    #[error("it was not done; the lines above say why")]
    Reported,
    /// Standard output cannot be written.
    #[error("the output could not be written: {0}")]
    Output(io::Error),
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl From<InvalidCursor> for CommandError {
    fn from(bad: InvalidCursor) -> Self {
        Self::Usage(format!("--cursor: {bad}"))
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cursor(bad) => bad.into(),
            error => Self::Store(error),
        }
    }
}

impl From<ListError> for CommandError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Cursor(bad) => bad.into(),
            ListError::Queue(error) => error.into(),
            ListError::Store(error) => error.into(),
        }
    }
}

impl From<OpenError> for CommandError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Config(error) => Self::Config(error),
            OpenError::Store(error) => error.into(),
        }
    }
}

impl CommandError {
    /// 0 when the reader closed the output early, 2 for options that contradict one another, otherwise 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Usage(_) => 2,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        assert_eq!(CommandError::Output(io::ErrorKind::BrokenPipe.into()).exit_code(), 0);
        assert_eq!(CommandError::Output(io::ErrorKind::StorageFull.into()).exit_code(), 1);
    }
}
