//! What a subcommand of a bot answers. How it is shown is for `perch` to say: as text, as a table, or as JSON.

use perch_base::ConfigError;
use perch_queue::{EnqueueError, QueueError};
use perch_store::StoreError;
use serde_json::Value;

/// What a subcommand answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// One thing.
    One {
        /// With `--json`.
        json: Value,
        /// Otherwise: a line, or some.
        text: String,
    },
    /// A list.
    List {
        /// With `--json`: one element a row.
        json: Vec<Value>,
        /// The heads of the columns.
        columns: Vec<&'static str>,
        /// The rows, a text for each column.
        rows: Vec<Vec<String>>,
        /// What is said where there are none.
        none: String,
    },
}

/// Why a subcommand did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What was asked cannot be: what is wrong, and what to do.
    #[error("{0}")]
    Refused(String),
    /// Redis or Postgres, or something else, failed.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl CommandError {
    /// Something that the command needs failed.
    pub fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Self::failed(error)
    }
}

impl From<QueueError> for CommandError {
    fn from(error: QueueError) -> Self {
        Self::failed(error)
    }
}

impl From<EnqueueError> for CommandError {
    fn from(error: EnqueueError) -> Self {
        Self::failed(error)
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::failed(error)
    }
}
