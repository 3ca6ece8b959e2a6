//! The ledger: where the jobs of ledger queues are written before Redis gets them, so that they survive the loss of Redis.

use std::{collections::HashMap, fmt::Debug};

use futures::future::BoxFuture;
use perch_base::crash_point;
use perch_job::{JobId, JobKind, QueueName};

use crate::{
    Acceptance, EnqueueError, Enqueued, Envelope, EnvelopeError, LedgerError, OnConflict, Queue, admission::Admission,
    transport::push_all,
};

/// Stores jobs outside Redis. Every call may be repeated.
pub trait Ledger: Debug + Send + Sync + 'static {
    /// Stores jobs and returns the state of each, in their order. Jobs whose id is known already stay unchanged.
    fn keep<'a>(&'a self, jobs: &'a [LedgerJob]) -> BoxFuture<'a, Result<Vec<LedgerState>, LedgerError>>;

    /// Marks the jobs `there` as stored in Redis, and deletes `refused`, which Redis did not accept. Returns the jobs of both
    /// that a relay has taken up meanwhile; those are not deleted.
    fn settle<'a>(
        &'a self,
        there: &'a [JobId],
        refused: &'a [JobId],
    ) -> BoxFuture<'a, Result<HashMap<JobId, RelayState>, LedgerError>>;
}

/// How far a relay has got with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayState {
    /// Redis has it.
    HandedOver,
    /// It is not known whether Redis has it; the next relay hands it over or drops it.
    Begun,
}

/// The state in which a ledger has a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerState {
    /// It is new.
    New,
    /// It was there already; Redis may have it or not.
    Waiting,
    /// Redis has it, or had it until it finished.
    HandedOver,
}

/// A job in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerJob {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its kind.
    pub kind: JobKind,
    /// Its envelope.
    pub envelope: String,
    /// What happens when another job holds its unique key.
    pub on_conflict: OnConflict,
}

impl LedgerJob {
    pub(crate) fn of(queue: &Queue, job: &Admission) -> Self {
        Self {
            id: job.id,
            queue: queue.name().clone(),
            kind: job.envelope.kind.clone(),
            envelope: job.envelope.encode(),
            on_conflict: job.on_conflict,
        }
    }

    /// The job for the enqueue script. Redis remembers its id for an hour, so that a job that was relayed and has finished
    /// meanwhile does not run again.
    pub(crate) fn admission(&self) -> Result<Admission, EnvelopeError> {
        Ok(Admission {
            id: self.id,
            new: false,
            envelope: Envelope::decode(self.envelope.as_bytes())?,
            on_conflict: self.on_conflict,
            intake: Some(self.id.to_string()),
            delay: None,
        })
    }
}

/// Stores jobs in the ledger, then in Redis, and reports the result to the ledger.
pub(crate) async fn through(
    ledger: &dyn Ledger,
    queue: &Queue,
    jobs: &mut [Admission],
) -> Vec<Result<Enqueued, EnqueueError>> {
    for job in jobs.iter_mut() {
        job.intake.get_or_insert_with(|| job.id.to_string());
    }
    let rows: Vec<LedgerJob> = jobs.iter().map(|job| LedgerJob::of(queue, job)).collect();
    let kept = match ledger.keep(&rows).await {
        Ok(kept) => kept,
        Err(error) => return jobs.iter().map(|_| Err(error.clone().into())).collect(),
    };
    crash_point!("ledger.kept");
    let waits = |(_, kept): &(&Admission, &LedgerState)| **kept != LedgerState::HandedOver;
    let waiting: Vec<&Admission> = jobs.iter().zip(&kept).filter(waits).map(|(job, _)| job).collect();
    let mut pushed = push_all(queue, &waiting).await.into_iter();
    crash_point!("ledger.pushed");
    let pushed: Vec<PushResult> = jobs
        .iter()
        .zip(kept)
        .map(|(job, kept)| PushResult {
            job,
            kept,
            answer: if kept == LedgerState::HandedOver { None } else { pushed.next() },
        })
        .collect();
    let answers = settled(ledger, queue, pushed).await;
    crash_point!("ledger.settled");
    answers
}

/// A job that is in the ledger, and the result from Redis; `None` if it was not sent.
struct PushResult<'a> {
    job: &'a Admission,
    kept: LedgerState,
    answer: Option<Result<Enqueued, EnqueueError>>,
}

impl PushResult<'_> {
    fn is_there(&self) -> bool {
        matches!(&self.answer, Some(Ok(enqueued)) if enqueued.acceptance != Acceptance::Kept)
    }

    fn is_refused(&self) -> bool {
        matches!(
            &self.answer,
            Some(
                Ok(Enqueued { acceptance: Acceptance::Kept, .. })
                    | Err(EnqueueError::Conflict { .. } | EnqueueError::Full { .. })
            )
        )
    }

    /// The result for the caller. `relayed` are the jobs that a relay has taken up meanwhile; `None` if they are not known, so a
    /// relay may still hand over a job that Redis refused.
    fn result(self, queue: &Queue, relayed: Option<&HashMap<JobId, RelayState>>) -> Result<Enqueued, EnqueueError> {
        let (is_refused, id) = (self.is_refused(), self.job.id);
        let by_relay = relayed.and_then(|relayed| relayed.get(&id).copied());
        let is_new = self.kept == LedgerState::New;
        let as_job = |acceptance| Enqueued { id, queue: queue.name().clone(), acceptance, replaced: None };
        match self.answer {
            None if self.kept == LedgerState::HandedOver => Ok(as_job(Acceptance::Duplicate)),
            Some(_) if is_refused && by_relay == Some(RelayState::HandedOver) => Ok(as_job(Acceptance::Accepted)),
            Some(Ok(Enqueued { acceptance: Acceptance::Duplicate, .. })) if is_new && by_relay.is_some() => {
                Ok(as_job(Acceptance::Accepted))
            }
            Some(answer) if !is_refused && answer.is_ok() => answer,
            Some(answer) if is_refused && relayed.is_some() && by_relay.is_none() => answer,
            _ => {
                metrics::counter!("perch_jobs_deferred_total", "queue" => queue.name().to_string()).increment(1);
                Ok(as_job(Acceptance::Deferred))
            }
        }
    }
}

/// Reports the results from Redis to the ledger, and returns the results for the callers.
async fn settled(
    ledger: &dyn Ledger,
    queue: &Queue,
    pushed: Vec<PushResult<'_>>,
) -> Vec<Result<Enqueued, EnqueueError>> {
    let (mut there, mut refused) = (Vec::new(), Vec::new());
    for job in &pushed {
        if job.is_there() {
            there.push(job.job.id);
        } else if job.is_refused() {
            refused.push(job.job.id);
        }
    }
    let relayed = if there.is_empty() && refused.is_empty() {
        Some(HashMap::new())
    } else {
        // If this fails, the relay repeats it.
        let settled = ledger.settle(&there, &refused).await;
        settled
            .inspect_err(|error| {
                tracing::warn!(%error, queue = %queue.name(), "the ledger could not be updated; the relay will repeat this");
            })
            .ok()
    };
    pushed.into_iter().map(|job| job.result(queue, relayed.as_ref())).collect()
}
