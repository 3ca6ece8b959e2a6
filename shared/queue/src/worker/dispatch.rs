//! One attempt from its delivery to its verdict.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use perch_base::telemetry;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::{
    buffer::{Delivery, Held, Stop},
    context::{Deps, JobContext, Run},
    handler::{Handlers, Registered},
};
use crate::{
    Client, Envelope, EventData, Fail, Queue,
    finish::{Ended, Finish, Verdict, decide},
};

/// How long a handler that was told to stop may go on before it is dropped.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What all attempts of a pool share.
pub(super) struct Pool {
    pub queue: Queue,
    pub client: Client,
    pub handlers: Handlers,
    pub deps: Deps,
    /// Cancelled when the grace of a shutdown is over.
    pub interrupt: CancellationToken,
}

impl Pool {
    /// Runs one attempt; answers what is to be written to Redis, or nothing when another worker has the job.
    pub async fn run(self: &Arc<Self>, delivery: Delivery) -> Option<Finish> {
        let began = Instant::now();
        let lease = delivery.held.lease.clone();
        let envelope = match Envelope::decode(&delivery.envelope) {
            Ok(envelope) => envelope,
            Err(error) => {
                tracing::error!(job = %lease.id(), queue = %self.queue.name(), %error, "unreadable envelope");
                return Some(dead_letter(lease, &error.to_string()));
            }
        };
        let span = tracing::info_span!(
            "job",
            job = %lease.id(),
            queue = %self.queue.name(),
            kind = %envelope.kind,
            attempt = lease.attempt(),
        );
        if let Some(traceparent) = &envelope.traceparent {
            telemetry::set_parent(&span, traceparent);
        }
        let (ended, trace) = async {
            let trace = telemetry::current_traceparent().and_then(|t| t.split('-').nth(1).map(str::to_owned));
            (self.attempt(&delivery.held, &envelope).await, trace)
        }
        .instrument(span.clone())
        .await;
        if matches!(delivery.held.why(), Some(Stop::LeaseLost)) {
            metrics::counter!("perch_leases_lost_total", "queue" => self.queue.name().to_string()).increment(1);
            span.in_scope(|| tracing::warn!("the lease was lost while the job ran; what it did is not acknowledged"));
            return None;
        }
        Some(self.verdict(lease, &envelope, ended, began, trace, &span))
    }

    /// How long the job was ready before its first attempt.
    fn measure_wait(&self, id: perch_jobs::JobId, envelope: &Envelope) {
        let ready = envelope.run_at.unwrap_or_else(|| id.created_at());
        if let Ok(waited) = (self.queue.now() - ready).to_std() {
            metrics::histogram!("perch_wait_seconds", "queue" => self.queue.name().to_string())
                .record(waited.as_secs_f64());
        }
    }

    async fn attempt(self: &Arc<Self>, held: &Arc<Held>, envelope: &Envelope) -> Ended {
        if let Some(deadline) = envelope.deadline.filter(|d| *d <= self.queue.now()) {
            return Ended::Expired(format!("its deadline, {deadline}, passed before it could start"));
        }
        let Some(handler) = self.handlers.get(&envelope.kind) else {
            return Ended::Unreadable(format!(
                "no handler of this worker knows the kind {}; deploy the release that does, then replay",
                envelope.kind
            ));
        };
        let timeout = envelope.timeout_ms.map_or(handler.job_type.timeout, Duration::from_millis);
        if held.lease.attempt() == 1 {
            self.measure_wait(held.lease.id(), envelope);
        }
        let context = self.context(held, envelope);
        match handler.call(&envelope.payload, &context) {
            // A task of its own: a panic stays inside, and a handler that hangs can be dropped.
            Ok(run) => watch(tokio::spawn(run.instrument(Span::current())), held, timeout, &self.interrupt).await,
            Err(reason) => Ended::Unreadable(reason),
        }
    }

    fn context(&self, held: &Arc<Held>, envelope: &Envelope) -> JobContext {
        JobContext(Arc::new(Run {
            held: held.clone(),
            kind: envelope.kind.clone(),
            queue: self.queue.name().clone(),
            max_attempts: envelope.max_attempts,
            group: envelope.group.clone(),
            parent: envelope.parent,
            replays: envelope.replays,
            client: self.client.clone(),
            deps: self.deps.clone(),
            lease: self.queue.engine().lease,
        }))
    }

    fn verdict(
        &self,
        lease: crate::Lease,
        envelope: &Envelope,
        ended: Ended,
        began: Instant,
        trace: Option<String>,
        span: &Span,
    ) -> Finish {
        let kind_policy = self.handlers.get(&envelope.kind).map(|h: &Registered| h.job_type.retry).unwrap_or_default();
        let policy = envelope.retry(&kind_policy);
        let (verdict, error) = decide(&ended, &policy, lease.attempt(), rand::random::<f64>());
        let took = began.elapsed();
        self.measure(envelope, verdict, took);
        span.in_scope(|| match (&verdict, &error) {
            (Verdict::Done, _) => tracing::debug!(ms = millis(took), "done"),
            (Verdict::Dead, Some(error)) => tracing::error!(ms = millis(took), error, "dead"),
            (verdict, Some(error)) => tracing::warn!(ms = millis(took), ?verdict, error, "not done"),
            (verdict, None) => tracing::info!(ms = millis(took), ?verdict, "not done"),
        });
        let next = match verdict {
            Verdict::Retry(delay) | Verdict::Snooze(delay) => Some((self.queue.now() + delay).timestamp_millis()),
            _ => None,
        };
        let result = match ended {
            Ended::Succeeded(value) if !value.is_null() => Some(brief(value)),
            _ => None,
        };
        let data = EventData {
            attempt: Some(lease.attempt()),
            worker: Some(lease.holder().to_owned()),
            ms: Some(millis(took)),
            at: error.is_some().then(|| Utc::now().timestamp_millis()),
            error: error.map(|e| bounded(&e)),
            next,
            trace,
            result,
            by: None,
        };
        Finish { lease, verdict, data }
    }

    fn measure(&self, envelope: &Envelope, verdict: Verdict, took: Duration) {
        let queue = self.queue.name().to_string();
        let kind = envelope.kind.to_string();
        let outcome = match verdict {
            Verdict::Done => "succeeded",
            Verdict::Retry(_) => "retried",
            Verdict::Snooze(_) => "snoozed",
            Verdict::Dead => "dead",
            Verdict::Cancelled => "cancelled",
            Verdict::Release => "released",
        };
        metrics::counter!("perch_attempts_total", "queue" => queue.clone(), "kind" => kind.clone(), "outcome" => outcome)
            .increment(1);
        metrics::histogram!("perch_attempt_seconds", "queue" => queue, "kind" => kind).record(took.as_secs_f64());
    }
}

fn dead_letter(lease: crate::Lease, error: &str) -> Finish {
    let data = EventData {
        attempt: Some(lease.attempt()),
        worker: Some(lease.holder().to_owned()),
        at: Some(Utc::now().timestamp_millis()),
        error: Some(bounded(error)),
        ..EventData::default()
    };
    Finish { lease, verdict: Verdict::Dead, data }
}

/// Waits for a handler's task, and no longer than it may run.
async fn watch(
    mut task: JoinHandle<Result<Value, Fail>>,
    held: &Held,
    timeout: Duration,
    interrupt: &CancellationToken,
) -> Ended {
    let stopped = async {
        held.cancel.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::select! {
        joined = &mut task => match joined {
            Ok(Ok(value)) => Ended::Succeeded(value),
            Ok(Err(fail)) => Ended::Failed(cancelled_or(held, fail)),
            Err(error) => Ended::Panicked(panic_message(error)),
        },
        () = tokio::time::sleep(timeout) => { task.abort(); Ended::TimedOut(timeout) }
        () = stopped => {
            task.abort();
            Ended::Failed(cancelled_or(held, Fail::Cancelled("it was told to stop".into())))
        }
        () = interrupt.cancelled() => { task.abort(); Ended::Interrupted }
    }
}

/// A handler that was cancelled may fail in any way; the reason it was given counts.
fn cancelled_or(held: &Held, fail: Fail) -> Fail {
    match held.why() {
        Some(Stop::Cancelled(reason)) => Fail::Cancelled(reason),
        _ => fail,
    }
}

fn panic_message(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "with a payload that is not text".to_owned()),
        Err(error) => error.to_string(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A result is kept with the history of its job; a large one belongs elsewhere.
fn brief(result: Value) -> Value {
    const MOST: usize = 16_384;
    let size = result.to_string().len();
    if size > MOST { serde_json::json!({ "left_out": format!("a result of {size} bytes") }) } else { result }
}

/// Errors are kept with the job, so a page of one is enough.
fn bounded(error: &str) -> String {
    const MOST: usize = 4_000;
    if error.len() <= MOST {
        return error.to_owned();
    }
    let end = (0..=MOST).rev().find(|&i| error.is_char_boundary(i)).unwrap_or(0);
    format!("{}…", &error[..end])
}
