//! Jobs: their ids, types and rules. No I/O.
//!
//! This is all that the engine knows of jobs. A job type is a struct that implements [`Job`].

mod id;
mod job;
mod payload_error;
mod retry;
mod state;
pub mod strict;
mod types;

pub use id::{AccountId, InvalidName, JobId, JobKind, PostId, QueueName};
pub use job::{Job, Priority, Unique, UniqueScope};
pub use payload_error::PayloadError;
pub use retry::{InvalidRetryPolicy, RetryPolicy};
pub use state::JobState;
pub use types::{JobType, JobTypes, read_payload};
