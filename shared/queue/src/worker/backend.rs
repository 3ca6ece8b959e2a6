//! Perch's queue as a backend of apalis: it hands out what the fetcher put into the buffer.
//!
//! The kind is `Ephemeral`: a payload is decoded by its handler's wrapper, so that one that cannot be read goes to the dead
//! letters instead of ending the worker. Leases, retries and acks are the engine's own, outside apalis.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use tower::layer::util::Identity;

use super::buffer::{Buffer, Delivery};

pub(super) struct QueueBackend {
    pub buffer: Arc<Buffer>,
}

impl Backend for QueueBackend {
    type Task = Task<Delivery>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Self::Task, Infallible>>> {
        self.buffer.poll_next(cx).map(|next| next.map(|delivery| Ok(TaskBuilder::new(delivery).build())))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for QueueBackend {
    type Args = Delivery;
    type Id = TaskId;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
