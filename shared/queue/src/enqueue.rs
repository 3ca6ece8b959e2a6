//! Accepting jobs. Once a call has returned `Ok`, the job is kept (see the guarantees of the engine).

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::{Classified, Disposition, crash_point, settings::History};
use perch_job::{InvalidRetryPolicy, Job, JobId, JobKind, PayloadError, Priority, QueueName, RetryPolicy, Unique};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    LedgerError, Queue, QueueError, Queues,
    prepared::Prepared,
    scripts::{self, By, Call, Script},
};

/// What happens when another job holds the unique key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// The new job is refused; the error names the holder.
    Reject,
    /// The holder stays and is the answer.
    #[default]
    Keep,
    /// The holder is removed, if it is still waiting, and the new job takes its place.
    Replace,
}

/// What an enqueue may ask for beyond the rules of the kind.
#[derive(Debug, Clone, Default)]
pub struct EnqueueOptions {
    /// The id to give it. A second enqueue with the id of a job that is not finished is a duplicate, not a second job.
    pub id: Option<JobId>,
    /// Not before this time. The past means at once.
    pub run_at: Option<DateTime<Utc>>,
    /// Not before this has passed from now on, whatever `run_at` says and whatever clocks do: a job that enqueues its successor
    /// gives it one. `run_at` is then no time of day either: where the clock of Redis is set back, the job waits no longer for it.
    pub delay: Option<Duration>,
    /// Another priority.
    pub priority: Option<Priority>,
    /// Another retry policy.
    pub retry: Option<RetryPolicy>,
    /// Another timeout of an attempt.
    pub timeout: Option<Duration>,
    /// Dead instead of started after this time.
    pub deadline: Option<DateTime<Utc>>,
    /// Another uniqueness lock.
    pub unique: Option<Unique>,
    /// What happens when the unique key is held.
    pub on_conflict: OnConflict,
    /// Another group.
    pub group: Option<String>,
    /// The trace it belongs to, as a W3C `traceparent`; the current one when it is left out.
    pub traceparent: Option<String>,
    /// The job whose handler enqueues it.
    pub parent: Option<JobId>,
}

/// A job to enqueue, its type known by name.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The kind.
    pub kind: JobKind,
    /// The payload as JSON.
    pub payload: Box<RawValue>,
    /// What it asks for beyond the rules of the kind.
    pub options: EnqueueOptions,
}

impl NewJob {
    /// A job of type `J`.
    ///
    /// # Errors
    ///
    /// The payload is no JSON: it holds a map whose keys are no text, or a number that is none.
    pub fn of<J: Job>(job: &J) -> Result<Self, EnqueueError> {
        let payload = serde_json::value::to_raw_value(job)
            .map_err(|e| EnqueueError::Field { field: "payload".into(), reason: e.to_string() })?;
        Ok(Self { kind: JobKind::from_static(J::KIND), payload, options: EnqueueOptions::default() })
    }

    /// The same job with other options.
    #[must_use]
    pub fn with(mut self, options: EnqueueOptions) -> Self {
        self.options = options;
        self
    }
}

/// What became of an enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acceptance {
    /// A new job.
    Accepted,
    /// A job with this id is there already; nothing was added.
    Duplicate,
    /// Another job holds the unique key; it is kept and nothing was added.
    Kept,
    /// A new job in place of the one that held the unique key.
    Replaced,
    /// A new job of a ledger queue. The ledger keeps it; Redis, which is away, gets it when it is back.
    Deferred,
}

/// An accepted job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enqueued {
    /// The id of the job that stands for this enqueue: the new one, or the holder of the unique key.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// What became of it.
    pub acceptance: Acceptance,
    /// The job that was replaced.
    pub replaced: Option<JobId>,
}

/// Why a job was not accepted. Nothing was stored, except that after [`EnqueueError::Queue`] the job may have arrived and only
/// its answer be lost: repeat the call with the same id, which accepts it once.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// No such kind.
    #[error("unknown job kind {kind:?}; known kinds: {known}")]
    UnknownKind {
        /// The kind given.
        kind: String,
        /// Those there are.
        known: String,
    },
    /// The kind's queue is not configured.
    #[error("kind {kind} belongs to queue {queue}, which has no block in config/; add [queues.{queue}]")]
    UnknownQueue {
        /// The kind.
        kind: JobKind,
        /// Its queue.
        queue: QueueName,
    },
    /// The payload does not fit the kind.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The payload is too large.
    #[error("payload of {kind} is {size} bytes; the limit is {limit} (engine.max_payload_bytes)")]
    TooLarge {
        /// The kind.
        kind: JobKind,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// An option is out of range.
    #[error("{field}: {reason}")]
    Field {
        /// Which.
        field: String,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// The retry policy cannot be followed.
    #[error("retry: {0}")]
    Retry(#[from] InvalidRetryPolicy),
    /// Another job holds the unique key.
    #[error("unique key {key:?} is held by job {holder}")]
    Conflict {
        /// The key.
        key: String,
        /// The job that holds it.
        holder: JobId,
    },
    /// The queue has as many jobs as it may.
    #[error(
        "queue {queue} is full: it holds {limit} jobs, dead letters among them (queues.{queue}.max_depth); enqueue again later"
    )]
    Full {
        /// The queue.
        queue: QueueName,
        /// Most jobs.
        limit: usize,
    },
    /// Redis.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The queue is kept in a ledger, which took nothing.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Classified for EnqueueError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Queue(error) => error.disposition(),
            Self::Ledger(error) => error.disposition(),
            Self::Full { .. } => Disposition::Wait(WHEN_FULL),
            _ => Disposition::Never,
        }
    }
}

/// When to enqueue again where a queue is full.
pub const WHEN_FULL: Duration = Duration::from_secs(10);

/// Enqueues jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    queues: Queues,
}

/// Jobs in one script call.
pub(crate) const CHUNK: usize = 250;
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

impl Client {
    /// A client for the queues and types of a deployment.
    pub fn new(queues: Queues) -> Self {
        Self { queues }
    }

    /// The queues it fills.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Enqueues a job by the rules of its type.
    ///
    /// # Errors
    ///
    /// The job cannot be (the error names the field), its unique key is held and it asked to be refused then, the queue is full, or Redis is
    /// away, and for a queue with a ledger Postgres. Where a server was away it may have been accepted all the same: with an id of one's own
    /// ([`EnqueueOptions::id`]) it is enqueued once however often it is tried.
    ///
    /// # Cancel safety
    ///
    /// Dropped amid it, it is accepted or not, as after a server was away.
    pub async fn enqueue<J: Job>(&self, job: &J) -> Result<Enqueued, EnqueueError> {
        self.enqueue_with(job, EnqueueOptions::default()).await
    }

    /// Enqueues a job with options of its own.
    ///
    /// # Errors
    ///
    /// The job cannot be (the error names the field), its unique key is held and it asked to be refused then, the queue is full, or Redis is
    /// away, and for a queue with a ledger Postgres. Where a server was away it may have been accepted all the same: with an id of one's own
    /// ([`EnqueueOptions::id`]) it is enqueued once however often it is tried.
    ///
    /// # Cancel safety
    ///
    /// Dropped amid it, it is accepted or not, as after a server was away.
    pub async fn enqueue_with<J: Job>(&self, job: &J, options: EnqueueOptions) -> Result<Enqueued, EnqueueError> {
        self.submit(NewJob::of(job)?.with(options)).await
    }

    /// Enqueues a job whose type is known by name. Those that are submitted while one is under way share the next call of Redis.
    ///
    /// # Errors
    ///
    /// The job cannot be (the error names the field), its unique key is held and it asked to be refused then, the queue is full, or Redis is
    /// away, and for a queue with a ledger Postgres. Where a server was away it may have been accepted all the same: with an id of one's own
    /// ([`EnqueueOptions::id`]) it is enqueued once however often it is tried.
    ///
    /// # Cancel safety
    ///
    /// Dropped amid it, it is accepted or not, as after a server was away.
    pub async fn submit(&self, job: NewJob) -> Result<Enqueued, EnqueueError> {
        let (queue, job) = self.prepare(job)?;
        if !queue.settings().ledger && job.is_plain() {
            return queue.push_joined(job).await;
        }
        // In a box, since it is large and most jobs are plain.
        Box::pin(self.store(&queue, &mut [job])).await.pop().expect("one answer for each job")
    }

    /// Enqueues many jobs: pipelined script calls of bounded size. Each job is accepted or refused on its own; the answers
    /// come in the order of the jobs.
    ///
    /// # Errors
    ///
    /// Each job has an answer of its own, as that of [`Client::submit`].
    ///
    /// # Cancel safety
    ///
    /// Dropped amid it, some are accepted and some are not.
    pub async fn submit_all(&self, jobs: Vec<NewJob>) -> Vec<Result<Enqueued, EnqueueError>> {
        let mut answers: Vec<Option<Result<Enqueued, EnqueueError>>> = Vec::new();
        let mut by_queue: Vec<(Queue, Vec<usize>, Vec<Prepared>)> = Vec::new();
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
    pub(crate) fn prepare(&self, job: NewJob) -> Result<(Queue, Prepared), EnqueueError> {
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
        let (unique, group) = job_type.check(&job.payload)?;
        let prepared = Prepared::new(queue, job_type, job.payload, job.options, unique, group)?;
        Ok((queue.clone(), prepared))
    }
}

/// Cuts jobs into script calls of at most [`CHUNK`] jobs and [`CHUNK_BYTES`] of payload.
pub(crate) fn chunked<'a>(jobs: impl Iterator<Item = &'a Prepared>) -> Vec<Vec<&'a Prepared>> {
    let mut chunks: Vec<Vec<&Prepared>> = Vec::new();
    let mut bytes = 0;
    for job in jobs {
        let size = job.envelope.payload.get().len();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK && bytes + size <= CHUNK_BYTES => chunk.push(job),
            _ => {
                bytes = 0;
                chunks.push(vec![job]);
            }
        }
        bytes += size;
    }
    chunks
}

/// Stores prepared jobs of one queue, at most [`CHUNK`] of them.
pub(crate) async fn push(queue: &Queue, jobs: &[&Prepared]) -> Vec<Result<Enqueued, EnqueueError>> {
    store(queue, jobs, By::Hash).await
}

/// Stores chunks, of which several may be under way at once. The first for each script brings it along: one that found it unknown
/// would be sent again behind the others, and jobs wait in the order in which they were given.
pub(crate) fn pushes<'a>(
    queue: &'a Queue,
    chunks: &'a [Vec<&'a Prepared>],
) -> Vec<impl Future<Output = Vec<Result<Enqueued, EnqueueError>>> + 'a> {
    let mut brought: Vec<*const Script> = Vec::new();
    let mut by = |chunk: &[&Prepared]| {
        let script: *const Script = script(queue, chunk);
        if chunks.len() == 1 || brought.contains(&script) {
            return By::Hash;
        }
        brought.push(script);
        By::Code
    };
    chunks.iter().map(|chunk| store(queue, chunk, by(chunk))).collect()
}

async fn store(queue: &Queue, jobs: &[&Prepared], by: By) -> Vec<Result<Enqueued, EnqueueError>> {
    let call = call(queue, jobs, by);
    crash_point!("enqueue.before");
    let answered = queue.run::<Vec<(usize, u8, String)>>("enqueue", &call).await;
    crash_point!("enqueue.after");
    match answered {
        Ok(others) => answers(queue, jobs, &others),
        Err(error) => jobs.iter().map(|_| Err(error.again("enqueue").into())).collect(),
    }
}

/// The least script that is enough to store these jobs.
fn script(queue: &Queue, jobs: &[&Prepared]) -> &'static Script {
    let plain = jobs.iter().all(|job| job.is_plain());
    match jobs {
        [_] if plain => &scripts::ENQUEUE_ONE,
        _ if plain && jobs.iter().all(|job| job.new) && is_sent_once(queue) => &scripts::ENQUEUE_NEW,
        _ => &scripts::ENQUEUE,
    }
}

/// The call that stores jobs.
fn call(queue: &Queue, jobs: &[&Prepared], by: By) -> Call {
    let script = script(queue, jobs);
    let mut call = queue.invocation_by(script, by);
    call.arg(queue.settings().max_depth);
    let has_options = std::ptr::eq(script, &raw const *scripts::ENQUEUE);
    for job in jobs {
        call.arg(job.id.to_string()).arg(job.envelope.encode());
        if has_options {
            call.arg(job.script_options());
        }
    }
    call
}

/// Whether Redis gets a call at most once, and is to be told of no events. The library may send one to a cluster again.
fn is_sent_once(queue: &Queue) -> bool {
    !queue.redis().is_cluster() && queue.settings().history == History::Failures
}

/// The answers to a call, of which the script told those that are not simply accepted: place, code and an id.
fn answers(queue: &Queue, jobs: &[&Prepared], others: &[(usize, u8, String)]) -> Vec<Result<Enqueued, EnqueueError>> {
    let accepted = |job: &&Prepared| {
        Ok(Enqueued { id: job.id, queue: queue.name().clone(), acceptance: Acceptance::Accepted, replaced: None })
    };
    let mut answers: Vec<_> = jobs.iter().map(accepted).collect();
    for (place, code, other) in others {
        let place = place.saturating_sub(1);
        if let (Some(slot), Some(job)) = (answers.get_mut(place), jobs.get(place)) {
            *slot = answer(queue, job, *code, other);
        }
    }
    count_accepted(queue, jobs, &answers);
    answers
}

fn count_accepted(queue: &Queue, jobs: &[&Prepared], answers: &[Result<Enqueued, EnqueueError>]) {
    let mut by_kind: Vec<(&JobKind, u64)> = Vec::new();
    for (job, answer) in jobs.iter().zip(answers) {
        let new = matches!(answer, Ok(Enqueued { acceptance: Acceptance::Accepted | Acceptance::Replaced, .. }));
        match by_kind.iter_mut().find(|(kind, _)| **kind == job.envelope.kind) {
            Some((_, count)) => *count += u64::from(new),
            None => by_kind.push((&job.envelope.kind, u64::from(new))),
        }
    }
    for (kind, count) in by_kind {
        queue.count_accepted(kind, count);
    }
}

fn answer(queue: &Queue, job: &Prepared, code: u8, other: &str) -> Result<Enqueued, EnqueueError> {
    let other = other.parse().unwrap_or(job.id);
    let enqueued = |id, acceptance, replaced| Ok(Enqueued { id, queue: queue.name().clone(), acceptance, replaced });
    match code {
        2 => Err(EnqueueError::Conflict {
            key: job.envelope.unique.as_ref().map(|u| u.key.clone()).unwrap_or_default(),
            holder: other,
        }),
        3 => enqueued(other, Acceptance::Kept, None),
        4 => enqueued(job.id, Acceptance::Replaced, Some(other)),
        6 => Err(EnqueueError::Full { queue: queue.name().clone(), limit: queue.settings().max_depth }),
        _ => enqueued(job.id, Acceptance::Duplicate, None),
    }
}
