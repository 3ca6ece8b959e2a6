//! The ledger: where the jobs of ledger queues are written before Redis gets them, so that they survive the loss of Redis.

use std::fmt::Debug;

use futures::future::BoxFuture;
use perch_base::{Classified, Disposition, crash_point};
use perch_jobs::{JobId, JobKind, QueueName};

use crate::{
    Acceptance, Client, EnqueueError, Enqueued, Envelope, EnvelopeError, NewJob, OnConflict, Queue,
    enqueue::{chunked, push, pushes},
    prepared::Prepared,
    refused::refused,
};

/// Keeps jobs outside Redis. Every call may be repeated.
pub trait Ledger: Debug + Send + Sync + 'static {
    /// Keeps jobs. Those whose id is kept already stay as they are.
    fn keep<'a>(&'a self, jobs: &'a [LedgerJob]) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Notes that Redis has them.
    fn handed_over<'a>(&'a self, jobs: &'a [JobId]) -> BoxFuture<'a, Result<(), LedgerError>>;

    /// Forgets jobs that never came to be: another one holds their unique key, and their enqueuer was told.
    fn forget<'a>(&'a self, jobs: &'a [JobId]) -> BoxFuture<'a, Result<(), LedgerError>>;
}

/// A job as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerJob {
    /// Its id.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its kind.
    pub kind: JobKind,
    /// Its envelope, as Redis gets it.
    pub envelope: String,
    /// What happens when another job holds its unique key.
    pub on_conflict: OnConflict,
}

/// Why the ledger kept nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the ledger of jobs: {reason}")]
pub struct LedgerError {
    /// What it said.
    pub reason: String,
    /// Whether it may work later.
    pub disposition: Disposition,
}

impl Classified for LedgerError {
    fn disposition(&self) -> Disposition {
        self.disposition
    }
}

impl LedgerJob {
    fn of(queue: &Queue, job: &Prepared) -> Self {
        Self {
            id: job.id,
            queue: queue.name().clone(),
            kind: job.envelope.kind.clone(),
            envelope: job.envelope.encode(),
            on_conflict: job.on_conflict,
        }
    }

    /// The job as the enqueue script takes it. Its id is remembered for an hour, so that a job which was handed over and
    /// has ended since is not begun again.
    fn prepared(&self) -> Result<Prepared, EnvelopeError> {
        Ok(Prepared {
            id: self.id,
            new: false,
            envelope: Envelope::decode(self.envelope.as_bytes())?,
            on_conflict: self.on_conflict,
            intake: Some(self.id.to_string()),
            delay: None,
        })
    }
}

impl Client {
    /// Stores prepared jobs of one queue: in the ledger first, where the queue is kept in one.
    pub(crate) async fn store(&self, queue: &Queue, jobs: &mut [Prepared]) -> Vec<Result<Enqueued, EnqueueError>> {
        match self.queues().ledger().filter(|_| queue.settings().ledger) {
            Some(ledger) => through(ledger, queue, jobs).await,
            None => push_all(queue, jobs).await,
        }
    }

    /// Checks a job and makes of it what a ledger keeps, for whoever writes it into one.
    pub fn admit(&self, id: JobId, mut job: NewJob) -> Result<LedgerJob, EnqueueError> {
        job.options.id = Some(id);
        let (queue, prepared) = self.prepare(job)?;
        Ok(LedgerJob::of(&queue, &prepared))
    }

    /// What a ledger keeps of a request that cannot be a job: its attempt puts it into the dead letters, with the reason.
    pub fn admit_refused(&self, queue: &Queue, id: JobId, kind: &str, payload: &str, reason: &str) -> LedgerJob {
        LedgerJob::of(queue, &refused(queue, kind, payload, reason, id))
    }

    /// Hands jobs that a ledger keeps over to Redis; the answers come in their order. A job that Redis has, or had within
    /// the last hour, is a duplicate and is not begun again.
    pub async fn hand_over(&self, queue: &Queue, jobs: &[LedgerJob]) -> Vec<Result<Enqueued, EnqueueError>> {
        let prepared: Vec<_> = jobs.iter().map(LedgerJob::prepared).collect();
        let readable: Vec<&Prepared> = prepared.iter().filter_map(|job| job.as_ref().ok()).collect();
        let mut answers = Vec::with_capacity(readable.len());
        for chunk in chunked(readable.into_iter()) {
            answers.extend(push(queue, &chunk).await);
        }
        let mut answers = answers.into_iter();
        let answer = |job: &Result<Prepared, EnvelopeError>| match job {
            Ok(_) => answers.next().expect("one answer for each readable job"),
            Err(error) => Err(EnqueueError::Field { field: "envelope".into(), reason: error.to_string() }),
        };
        prepared.iter().map(answer).collect()
    }
}

pub(crate) async fn push_all(queue: &Queue, jobs: &[Prepared]) -> Vec<Result<Enqueued, EnqueueError>> {
    use futures::{StreamExt as _, stream};

    let chunks = chunked(jobs.iter());
    if chunks.len() > 1
        && let Err(error) = queue.redis().connected("enqueue").await
    {
        return jobs.iter().map(|_| Err(error.again("enqueue").into())).collect();
    }
    // Collected first: a closure over the chunks would make the future too particular to be sent.
    let pushes = pushes(queue, &chunks);
    stream::iter(pushes).buffered(IN_FLIGHT).collect::<Vec<_>>().await.into_iter().flatten().collect()
}

/// Calls under way at once.
const IN_FLIGHT: usize = 4;

async fn through(ledger: &dyn Ledger, queue: &Queue, jobs: &mut [Prepared]) -> Vec<Result<Enqueued, EnqueueError>> {
    for job in jobs.iter_mut() {
        job.intake.get_or_insert_with(|| job.id.to_string());
    }
    let kept: Vec<LedgerJob> = jobs.iter().map(|job| LedgerJob::of(queue, job)).collect();
    if let Err(error) = ledger.keep(&kept).await {
        return jobs.iter().map(|_| Err(error.clone().into())).collect();
    }
    crash_point!("ledger.kept");
    let answers = push_all(queue, jobs).await;
    crash_point!("ledger.pushed");
    let (mut there, mut nothing) = (Vec::new(), Vec::new());
    let answers: Vec<_> = jobs
        .iter()
        .zip(answers)
        .map(|(job, answer)| {
            match &answer {
                Ok(Enqueued { acceptance: Acceptance::Kept, .. })
                | Err(EnqueueError::Conflict { .. } | EnqueueError::Full { .. }) => nothing.push(job.id),
                Ok(_) => there.push(job.id),
                Err(_) => return Ok(deferred(queue, job)),
            }
            answer
        })
        .collect();
    // Whoever relays the ledger does again what fails here.
    if let Err(error) = settle(ledger, &there, &nothing).await {
        tracing::warn!(%error, queue = %queue.name(), "the ledger does not know yet what Redis has; the relay will say so");
    }
    crash_point!("ledger.settled");
    answers
}

async fn settle(ledger: &dyn Ledger, there: &[JobId], nothing: &[JobId]) -> Result<(), LedgerError> {
    if !there.is_empty() {
        ledger.handed_over(there).await?;
    }
    if !nothing.is_empty() {
        ledger.forget(nothing).await?;
    }
    Ok(())
}

fn deferred(queue: &Queue, job: &Prepared) -> Enqueued {
    metrics::counter!("perch_jobs_deferred_total", "queue" => queue.name().to_string()).increment(1);
    Enqueued { id: job.id, queue: queue.name().clone(), acceptance: Acceptance::Deferred, replaced: None }
}
