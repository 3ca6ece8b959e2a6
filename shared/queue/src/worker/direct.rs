//! Attempts outside a queue, while Redis is away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use perch_job::{JobId, JobKind, QueueName};
use serde_json::value::RawValue;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{
    buffer::HeldLease,
    context::{AttemptDetails, Deps, JobContext},
    dispatch::panic_message,
    handler::Handlers,
    runtime::{RuntimeError, WorkerName},
};
use crate::{Client, Envelope, Fail, Lease, LedgerJob};

/// How long a handler may take to end after it was told to.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Runs attempts of jobs that Redis does not have, and of what is due while Redis is away. The caller sees to it that no other attempt of
/// the same job runs. What a job leads to in its queue follows once Redis has it: its history, its retries, its dead letter.
///
/// Its attempts have the number [`Lease::WITHOUT_REDIS`], so that every attempt of a queue comes after them.
#[derive(Clone)]
pub struct DirectRunner {
    client: Client,
    handlers: Handlers,
    deps: Deps,
    name: String,
}

/// A job to be attempted.
struct Attempted<'a> {
    id: JobId,
    kind: &'a JobKind,
    queue: &'a QueueName,
    payload: &'a RawValue,
    envelope: Option<&'a Envelope>,
}

impl DirectRunner {
    /// A runner with the handlers of a deployment.
    ///
    /// # Errors
    ///
    /// A handler needs a value that `deps` lack.
    pub fn new(client: Client, handlers: Handlers, deps: Deps) -> Result<Self, RuntimeError> {
        match handlers.missing(&deps) {
            Some((kind, what)) => Err(RuntimeError::Missing { kind, what }),
            None => Ok(Self { client, handlers, deps, name: WorkerName::of_this_process().to_string() }),
        }
    }

    /// Runs an attempt of a job of the ledger for `within` at most.
    ///
    /// # Errors
    ///
    /// How the attempt failed. A job that cannot be read fails as one that is to be tried again: its queue decides about it.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the handler is dropped at its next await.
    pub async fn attempt(&self, job: &LedgerJob, within: Duration) -> Result<serde_json::Value, Fail> {
        let envelope = Envelope::decode(job.envelope.as_bytes()).map_err(|error| Fail::Retry(error.to_string()))?;
        let payload = envelope.payload.clone();
        let (id, kind, queue) = (job.id, &job.kind, &job.queue);
        self.run(Attempted { id, kind, queue, payload: &payload, envelope: Some(&envelope) }, within).await
    }

    /// Runs the handler of a kind with this payload, under a new id.
    ///
    /// # Errors
    ///
    /// How it failed.
    ///
    /// # Cancel safety
    ///
    /// As [`DirectRunner::attempt`].
    pub async fn run_kind(
        &self,
        kind: &JobKind,
        payload: &RawValue,
        within: Duration,
    ) -> Result<serde_json::Value, Fail> {
        let queue = self.client.queues().types().get(kind.as_str()).map(|known| known.queue.clone());
        let queue = queue.ok_or_else(|| Fail::Dead(format!("there is no kind {kind}")))?;
        let id = JobId::at(self.client.queues().now());
        self.run(Attempted { id, kind, queue: &queue, payload, envelope: None }, within).await
    }

    async fn run(&self, job: Attempted<'_>, within: Duration) -> Result<serde_json::Value, Fail> {
        let handler = self.handlers.get(job.kind).ok_or_else(|| Fail::Retry(format!("no handler of {}", job.kind)))?;
        let context = self.context(&job, within);
        let held = context.0.held.clone();
        let run = handler.call(job.payload, &context).map_err(Fail::Retry)?;
        let span = tracing::error_span!("job without redis", job = %job.id, kind = job.kind.as_str());
        // In its own task, so that a panic stays inside and a handler that hangs can be dropped.
        let mut task = AbortOnDropHandle::new(tokio::spawn(run.instrument(span)));
        if let Ok(ended) = timeout(within, &mut task).await {
            return ended.unwrap_or_else(|error| Err(Fail::Retry(panic_message(error))));
        }
        held.cancellation().cancel();
        task.abort();
        // Nobody else may have the job before the handler is dropped.
        let _ = timeout(STOP_GRACE, &mut task).await;
        Err(Fail::Retry(format!("it took longer than {within:?}")))
    }

    fn context(&self, job: &Attempted<'_>, within: Duration) -> JobContext {
        let now = Instant::now();
        let envelope = job.envelope;
        JobContext(Arc::new(AttemptDetails {
            held: Arc::new(HeldLease::new(Lease::without_redis(job.id, &self.name), now)),
            kind: job.kind.clone(),
            queue: job.queue.clone(),
            max_attempts: envelope.map_or(1, |envelope| envelope.max_attempts),
            group: envelope.and_then(|envelope| envelope.group.clone()),
            parent: envelope.and_then(|envelope| envelope.parent),
            replays: envelope.map_or(0, |envelope| envelope.replays),
            recovered: envelope.and_then(|envelope| envelope.recovered),
            client: self.client.clone(),
            deps: self.deps.clone(),
            lease: within,
            until: now + within,
        }))
    }
}
