//! One attempt, from its delivery to its acknowledgement.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use perch_base::{crash_point, telemetry};
use perch_job::UniqueScope;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::{
    buffer::{Delivery, HeldLease, StopReason},
    context::{AttemptDetails, Deps, JobContext},
    handler::{Handlers, RegisteredHandler},
    meters::Meters,
};
use crate::{
    Client, Envelope, EnvelopeError, EventData, Fail, Queue,
    finish::{Ack, AttemptResult, AttemptRules, Transition, decide, is_without_event},
    lease,
};

/// How long a handler may continue after its cancellation before it is dropped.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What the attempts of a pool share.
pub(super) struct Pool {
    pub queue: Queue,
    pub client: Client,
    pub handlers: Handlers,
    pub deps: Deps,
    /// Cancelled when the grace of a shutdown is over.
    pub interrupt: CancellationToken,
    pub meters: Meters,
}

impl Pool {
    /// Runs one attempt. Returns the ack to write to Redis, or nothing if another worker may have the job.
    pub async fn run(self: &Arc<Self>, delivery: Delivery) -> Option<Ack> {
        let began = Instant::now();
        let lease = delivery.held.lease.clone();
        match delivery.held.stop_reason() {
            Some(StopReason::LeaseLost) => return None,
            Some(StopReason::Cancelled(reason)) => return Some(self.unstarted(lease, Transition::Cancelled, &reason)),
            // Not renewed for the length of a lease, so another worker may have the job.
            None if !delivery.held.renewed_within(self.queue.engine().lease) => return None,
            None => {}
        }
        let mut envelope = match Envelope::decode(&delivery.envelope) {
            Ok(envelope) => envelope,
            Err(error @ EnvelopeError::TooNew(_)) => {
                return Some(self.unstarted(lease, self.awaits_kind(), &error.to_string()));
            }
            Err(error) => {
                tracing::error!(job = %lease.id(), queue = %self.queue.name(), %error, "unreadable envelope");
                return Some(self.unstarted(lease, Transition::Dead, &error.to_string()));
            }
        };
        // At error level, so that a filter for warnings keeps it with its log lines.
        let span = tracing::error_span!(
            "job",
            job = lease.id_text(),
            queue = self.queue.name().as_str(),
            kind = envelope.kind.as_str(),
            attempt = i64::from(lease.attempt()),
        );
        if let Some(traceparent) = &envelope.traceparent {
            telemetry::set_parent(&span, traceparent);
        }
        let ended = self.attempt(&delivery.held, &mut envelope, &span).await;
        crash_point!("worker.after_handler");
        if matches!(delivery.held.stop_reason(), Some(StopReason::LeaseLost)) {
            metrics::counter!("perch_leases_lost_total", "queue" => self.queue.name().to_string()).increment(1);
            span.in_scope(|| tracing::warn!("the lease was lost while the job ran; what it did is not acknowledged"));
            return None;
        }
        Some(self.transition(lease, &envelope, ended, began, &span))
    }

    /// How long the job was ready before its first attempt.
    fn measure_wait(&self, id: perch_job::JobId, envelope: &Envelope) {
        let ready = envelope.run_at.unwrap_or_else(|| id.created_at());
        if let Ok(waited) = (self.queue.now() - ready).to_std() {
            self.meters.waited(waited);
        }
    }

    async fn attempt(self: &Arc<Self>, held: &Arc<HeldLease>, envelope: &mut Envelope, span: &Span) -> AttemptResult {
        if let Some(reason) = envelope.refused.take() {
            return AttemptResult::Unreadable(reason);
        }
        if let Some(deadline) = envelope.deadline.filter(|d| *d <= self.queue.now()) {
            return AttemptResult::Expired(format!("its deadline, {deadline}, passed before it could start"));
        }
        let Some(handler) = self.handlers.get(&envelope.kind) else {
            return AttemptResult::Unknown(format!(
                "no handler of this worker knows the kind {}; it waits for a worker whose release does",
                envelope.kind
            ));
        };
        if envelope.unique.as_ref().is_some_and(|unique| unique.scope == UniqueScope::Queued) {
            self.free_key(&held.lease).await;
        }
        let timeout = envelope.timeout_ms.map_or(handler.job_type.timeout, Duration::from_millis);
        if held.lease.attempt() == 1 {
            self.measure_wait(held.lease.id(), envelope);
        }
        let context = self.context(held, envelope, Instant::now() + timeout);
        let (handler, payload) = (handler.clone(), std::mem::take(&mut envelope.payload));
        let run = async move {
            match handler.call(&payload, &context) {
                Ok(run) => run.await.map_or_else(AttemptResult::Failed, AttemptResult::Succeeded),
                Err(reason) => AttemptResult::Unreadable(reason),
            }
        };
        crash_point!("worker.before_handler");
        // In its own task, so that a panic stays inside and a handler that hangs can be dropped.
        watch(tokio::spawn(run.instrument(span.clone())), held, timeout, &self.interrupt).await
    }

    /// Releases the unique key that the job holds until it starts. If Redis does not reply, the key is held until the job ends.
    async fn free_key(&self, lease: &crate::Lease) {
        if let Err(error) = lease::begin(&self.queue, std::slice::from_ref(lease)).await {
            tracing::warn!(job = %lease.id(), queue = %self.queue.name(), %error, "its uniqueness key is held until it ends");
        }
    }

    fn awaits_kind(&self) -> Transition {
        Transition::AwaitKind(self.queue.engine().unknown_kind_wait)
    }

    fn unstarted(&self, lease: crate::Lease, transition: Transition, error: &str) -> Ack {
        let data = EventData {
            attempt: Some(lease.attempt()),
            worker: Some(lease.holder().to_owned()),
            at: Some(self.queue.now().timestamp_millis()),
            error: Some(bounded(error)),
            ..EventData::default()
        };
        Ack { lease, transition, data }
    }

    /// The ack of an attempt in which the engine itself failed.
    pub fn broken(&self, lease: &crate::Lease, panic: &(dyn std::any::Any + Send)) -> Ack {
        let why = format!("the attempt could not be carried through: {}", text_of(panic));
        tracing::error!(job = %lease.id(), queue = %self.queue.name(), why);
        let delay = perch_job::RetryPolicy::DEFAULT.delay(lease.attempt(), 1.0);
        let spent = lease.attempt() >= perch_job::RetryPolicy::DEFAULT.max_attempts;
        self.unstarted(lease.clone(), if spent { Transition::Dead } else { Transition::Retry(delay) }, &why)
    }

    fn context(&self, held: &Arc<HeldLease>, envelope: &Envelope, until: Instant) -> JobContext {
        JobContext(Arc::new(AttemptDetails {
            held: held.clone(),
            kind: envelope.kind.clone(),
            queue: self.queue.name().clone(),
            max_attempts: envelope.max_attempts,
            group: envelope.group.clone(),
            parent: envelope.parent,
            replays: envelope.replays,
            recovered: envelope.recovered,
            client: self.client.clone(),
            deps: self.deps.clone(),
            lease: self.queue.engine().lease,
            until,
        }))
    }

    fn transition(
        &self,
        lease: crate::Lease,
        envelope: &Envelope,
        ended: AttemptResult,
        began: Instant,
        span: &Span,
    ) -> Ack {
        let kind_policy =
            self.handlers.get(&envelope.kind).map(|h: &RegisteredHandler| h.job_type.retry).unwrap_or_default();
        let rules = AttemptRules {
            retry: envelope.retry(&kind_policy),
            unknown_kind_wait: self.queue.engine().unknown_kind_wait,
        };
        let (transition, error) = decide(&ended, &rules, lease.attempt(), rand::random::<f64>());
        let transition = transition.within(self.queue.engine().max_schedule_ahead);
        let took = began.elapsed();
        self.meters.ended(&envelope.kind, transition, took);
        // With the span as parent, because entering the span costs more than the log line.
        match (&transition, &error) {
            (Transition::Done, _) => tracing::debug!(parent: span, ms = millis(took), "done"),
            (Transition::Dead, Some(error)) => tracing::error!(parent: span, ms = millis(took), error, "dead"),
            (Transition::Retry(wait), error) => {
                tracing::warn!(parent: span, ms = millis(took), in_ms = millis(*wait), error, "retried");
            }
            (Transition::Snooze(wait), error) => tracing::info!(parent: span, in_ms = millis(*wait), error, "snoozed"),
            (transition, Some(error)) => {
                tracing::warn!(parent: span, ms = millis(took), ?transition, error, "not done");
            }
            (transition, None) => tracing::info!(parent: span, ms = millis(took), ?transition, "not done"),
        }
        if is_without_event(&self.queue, &lease, transition) {
            return Ack { lease, transition, data: EventData::default() };
        }
        let next = match transition {
            Transition::Retry(delay) | Transition::Snooze(delay) => Some((self.queue.now() + delay).timestamp_millis()),
            _ => None,
        };
        let result = match ended {
            AttemptResult::Succeeded(value) if !value.is_null() => Some(brief(value)),
            _ => None,
        };
        let data = EventData {
            attempt: Some(lease.attempt()),
            worker: Some(lease.holder().to_owned()),
            ms: Some(millis(took)),
            at: error.is_some().then(|| self.queue.now().timestamp_millis()),
            error: error.map(|e| bounded(&e)),
            next,
            trace: telemetry::trace_id_of(span),
            result,
            by: None,
        };
        Ack { lease, transition, data }
    }
}

/// Waits for the task of a handler, at most until its timeout.
async fn watch(
    mut task: JoinHandle<AttemptResult>,
    held: &HeldLease,
    timeout: Duration,
    interrupt: &CancellationToken,
) -> AttemptResult {
    // A handler that ends at once needs none of the timers and signals below, which cost more than its task.
    tokio::select! {
        biased;
        joined = &mut task => return ended(joined, held),
        () = tokio::task::yield_now() => {}
    }
    let stopped = async {
        held.cancellation().cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    let why = tokio::select! {
        biased;
        joined = &mut task => return ended(joined, held),
        () = stopped => AttemptResult::Failed(cancelled_or(held, Fail::Cancelled("it was told to stop".into()))),
        () = interrupt.cancelled() => AttemptResult::Interrupted,
        () = tokio::time::sleep(timeout) => AttemptResult::TimedOut(timeout),
    };
    task.abort();
    // The task is dropped at its next await, and only then may another attempt begin. This limits the wait for a handler that
    // never awaits.
    let _ = tokio::time::timeout(STOP_GRACE, task).await;
    why
}

fn ended(joined: Result<AttemptResult, tokio::task::JoinError>, held: &HeldLease) -> AttemptResult {
    match joined {
        Ok(AttemptResult::Failed(fail)) => AttemptResult::Failed(cancelled_or(held, fail)),
        Ok(ended) => ended,
        Err(error) => AttemptResult::Panicked(panic_message(error)),
    }
}

/// A cancelled handler may fail in any way; the reason of the cancellation wins.
fn cancelled_or(held: &HeldLease, fail: Fail) -> Fail {
    match held.stop_reason() {
        Some(StopReason::Cancelled(reason)) => Fail::Cancelled(reason),
        _ => fail,
    }
}

pub(super) fn panic_message(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => text_of(payload.as_ref()),
        Err(error) => error.to_string(),
    }
}

pub(super) fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic with a payload that is not text".to_owned())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Results are kept in the history of the job, so a large one is left out.
fn brief(result: Value) -> Value {
    const MOST: usize = 16_384;
    let size = result.to_string().len();
    if size > MOST { serde_json::json!({ "left_out": format!("a result of {size} bytes") }) } else { result }
}

/// Errors are kept with the job, so their length is limited.
fn bounded(error: &str) -> String {
    const MOST: usize = 4_000;
    if error.len() <= MOST {
        return error.to_owned();
    }
    let end = (0..=MOST).rev().find(|&i| error.is_char_boundary(i)).unwrap_or(0);
    format!("{}…", &error[..end])
}
