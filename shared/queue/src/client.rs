//! Enqueuing: checks a job and stores it in Redis, or in the ledger first.

use perch_job::{Job, JobId};

use crate::{
    EnqueueError, EnqueueOptions, Enqueued, EnvelopeError, LedgerJob, NewJob, Queue, Queues,
    admission::Admission,
    ledger,
    rejection::refused,
    transport::{chunked, push, push_all},
};

/// Enqueues jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    queues: Queues,
}

impl Client {
    /// A client for the queues and types of a deployment.
    pub fn new(queues: Queues) -> Self {
        Self { queues }
    }

    /// The queues that it enqueues to.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Enqueues a job with the defaults of its type.
    ///
    /// # Errors
    ///
    /// The job is invalid (the error names the field), another job holds its unique key and is neither kept nor replaced, the
    /// queue is full, or Redis is unavailable, or Postgres for a ledger queue. After an outage the job may have been accepted all
    /// the same: if the caller gave the id ([`EnqueueOptions::id`]), repeating the call enqueues it once.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the job may or may not be accepted, as after an outage.
    pub async fn enqueue<J: Job>(&self, job: &J) -> Result<Enqueued, EnqueueError> {
        self.enqueue_with(job, EnqueueOptions::default()).await
    }

    /// Enqueues a job with options.
    ///
    /// # Errors
    ///
    /// The job is invalid (the error names the field), another job holds its unique key and is neither kept nor replaced, the
    /// queue is full, or Redis is unavailable, or Postgres for a ledger queue. After an outage the job may have been accepted all
    /// the same: if the caller gave the id ([`EnqueueOptions::id`]), repeating the call enqueues it once.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the job may or may not be accepted, as after an outage.
    pub async fn enqueue_with<J: Job>(&self, job: &J, options: EnqueueOptions) -> Result<Enqueued, EnqueueError> {
        self.submit(NewJob::of(job)?.with(options)).await
    }

    /// Enqueues a job whose type is known by name. Jobs that are submitted while a call to Redis is under way share the next one.
    ///
    /// # Errors
    ///
    /// The job is invalid (the error names the field), another job holds its unique key and is neither kept nor replaced, the
    /// queue is full, or Redis is unavailable, or Postgres for a ledger queue. After an outage the job may have been accepted all
    /// the same: if the caller gave the id ([`EnqueueOptions::id`]), repeating the call enqueues it once.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, the job may or may not be accepted, as after an outage.
    pub async fn submit(&self, job: NewJob) -> Result<Enqueued, EnqueueError> {
        let (queue, job) = self.prepare(job)?;
        if !queue.settings().ledger && job.is_plain() {
            return queue.push_coalesced(job).await;
        }
        // In a box, since it is large and most jobs are plain.
        Box::pin(self.store(&queue, &mut [job])).await.pop().expect("one answer for each job")
    }

    /// Enqueues many jobs in pipelined script calls of bounded size. Each job is accepted or refused on its own; the results are
    /// in the order of the jobs.
    ///
    /// # Errors
    ///
    /// Each job has its own result, as from [`Client::submit`].
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, each of the jobs may or may not be accepted.
    pub async fn submit_all(&self, jobs: Vec<NewJob>) -> Vec<Result<Enqueued, EnqueueError>> {
        let mut answers: Vec<Option<Result<Enqueued, EnqueueError>>> = Vec::new();
        let mut by_queue: Vec<(Queue, Vec<usize>, Vec<Admission>)> = Vec::new();
        for (place, job) in jobs.into_iter().enumerate() {
            match self.prepare(job) {
                Ok((queue, prepared)) => {
                    answers.push(None);
                    match by_queue.iter_mut().find(|(q, ..)| q.name() == queue.name()) {
                        Some((_, places, list)) => {
                            places.push(place);
                            list.push(prepared);
                        }
                        None => by_queue.push((queue, vec![place], vec![prepared])),
                    }
                }
                Err(error) => answers.push(Some(Err(error))),
            }
        }
        for (queue, places, mut list) in by_queue {
            let results = self.store(&queue, &mut list).await;
            for (place, result) in places.into_iter().zip(results) {
                answers[place] = Some(result);
            }
        }
        answers.into_iter().map(|a| a.expect("every job was prepared or refused, and every chunk answered")).collect()
    }

    /// Checks a job and makes its envelope.
    pub(crate) fn prepare(&self, job: NewJob) -> Result<(Queue, Admission), EnqueueError> {
        let types = self.queues.types();
        let job_type = types.get(job.kind.as_str()).ok_or_else(|| EnqueueError::UnknownKind {
            kind: job.kind.to_string(),
            known: types.iter().map(|t| t.kind.as_str()).collect::<Vec<_>>().join(", "),
        })?;
        let queue = self
            .queues
            .get(&job_type.queue)
            .ok_or_else(|| EnqueueError::UnknownQueue { kind: job.kind.clone(), queue: job_type.queue.clone() })?;
        let limit = queue.engine().max_payload_bytes;
        let size = job.payload.get().len();
        if size > limit {
            return Err(EnqueueError::TooLarge { kind: job.kind, size, limit });
        }
        let derived = job_type.check(&job.payload)?;
        let max_ahead = queue.engine().max_schedule_ahead;
        let prepared = Admission::new(queue.now(), max_ahead, job_type, job.payload, job.options, derived)?;
        Ok((queue.clone(), prepared))
    }

    /// Stores prepared jobs of one queue; those of a ledger queue in the ledger first.
    pub(crate) async fn store(&self, queue: &Queue, jobs: &mut [Admission]) -> Vec<Result<Enqueued, EnqueueError>> {
        match self.queues().ledger().filter(|_| queue.settings().ledger) {
            Some(ledger) => ledger::through(ledger, queue, jobs).await,
            None => push_all(queue, &jobs.iter().collect::<Vec<_>>()).await,
        }
    }

    /// Checks a job and builds its row for a ledger.
    ///
    /// # Errors
    ///
    /// The job is invalid; the error names the field.
    pub fn admit(&self, id: JobId, mut job: NewJob) -> Result<LedgerJob, EnqueueError> {
        job.options.id = Some(id);
        let (queue, prepared) = self.prepare(job)?;
        Ok(LedgerJob::of(&queue, &prepared))
    }

    /// The ledger row of an invalid request. Its first attempt moves it to the dead letters, with the reason.
    pub fn admit_refused(&self, queue: &Queue, id: JobId, kind: &str, payload: &str, reason: &str) -> LedgerJob {
        LedgerJob::of(queue, &refused(queue, kind, payload, reason, id))
    }

    /// Relays jobs of the ledger to Redis; the results are in the order of the jobs. A job that Redis has, or had within the last
    /// hour, is a duplicate and does not run again.
    ///
    /// # Errors
    ///
    /// Each job has its own result. If Redis was unavailable, the job may have been accepted all the same; relaying it again
    /// enqueues it once.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it returns, each of the jobs may or may not be accepted.
    pub async fn hand_over(&self, queue: &Queue, jobs: &[LedgerJob]) -> Vec<Result<Enqueued, EnqueueError>> {
        let prepared: Vec<_> = jobs.iter().map(LedgerJob::admission).collect();
        let readable: Vec<&Admission> = prepared.iter().filter_map(|job| job.as_ref().ok()).collect();
        let mut answers = Vec::with_capacity(readable.len());
        for chunk in chunked(readable.into_iter()) {
            answers.extend(push(queue, &chunk).await);
        }
        let mut answers = answers.into_iter();
        let answer = |job: &Result<Admission, EnvelopeError>| match job {
            Ok(_) => answers.next().expect("one answer for each readable job"),
            Err(error) => Err(EnqueueError::Field { field: "envelope".into(), reason: error.to_string() }),
        };
        prepared.iter().map(answer).collect()
    }
}
