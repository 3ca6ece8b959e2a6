//! The worker runtime: pools that drain queues, on apalis.

mod backend;
mod backoff;
mod buffer;
mod context;
mod direct;
mod dispatch;
mod fetcher;
mod finisher;
mod handler;
mod heartbeat;
mod meters;
mod reap_guard;
mod runtime;
mod waiter;

pub use context::{Data, Deps, FromContext, JobContext};
pub use direct::DirectRunner;
pub use handler::{Handler, HandlerResult, Handlers, Outcome};
pub use runtime::{Runtime, RuntimeError, WorkerName};
