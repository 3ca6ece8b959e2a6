use std::{
    any::{Any, TypeId},
    collections::HashMap,
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use perch_job::{Job, JobId, JobKind, QueueName};
use tokio_util::sync::CancellationToken;

use super::buffer::HeldLease;
use crate::{Client, EnqueueError, EnqueueOptions, Enqueued};

/// What handlers ask for besides their payload, by type: clients, stores, settings.
#[derive(Clone, Default)]
pub struct Deps(Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Deps {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with `value`, in place of another of its type.
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(self, value: T) -> Self {
        let mut map = (*self.0).clone();
        map.insert(TypeId::of::<T>(), Arc::new(value));
        Self(Arc::new(map))
    }

    fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.0.get(&TypeId::of::<T>()).cloned().and_then(|any| any.downcast().ok())
    }
}

/// A dependency as a handler's argument.
#[derive(Debug)]
pub struct Data<T>(Arc<T>);

impl<T> Clone for Data<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Data<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Something that a handler may take as an argument after its payload.
pub trait FromContext: Sized + Send + 'static {
    /// The value for this run, or what is missing.
    ///
    /// # Errors
    ///
    /// What the dependencies lack.
    fn from_context(context: &JobContext) -> Result<Self, &'static str>;

    /// What the dependencies lack for it. Asked once, when the worker starts.
    fn missing(_deps: &Deps) -> Option<&'static str> {
        None
    }
}

impl<T: Send + Sync + 'static> FromContext for Data<T> {
    fn from_context(context: &JobContext) -> Result<Self, &'static str> {
        context.0.deps.get().map(Self).ok_or_else(std::any::type_name::<T>)
    }

    fn missing(deps: &Deps) -> Option<&'static str> {
        deps.get::<T>().is_none().then(std::any::type_name::<T>)
    }
}

impl FromContext for JobContext {
    fn from_context(context: &JobContext) -> Result<Self, &'static str> {
        Ok(context.clone())
    }
}

impl FromContext for CancellationToken {
    fn from_context(context: &JobContext) -> Result<Self, &'static str> {
        Ok(context.cancellation().clone())
    }
}

/// What a handler knows of the attempt that it runs. Cheap to clone.
#[derive(Clone)]
pub struct JobContext(pub(super) Arc<AttemptDetails>);

pub(super) struct AttemptDetails {
    pub held: Arc<HeldLease>,
    pub kind: JobKind,
    pub queue: QueueName,
    pub max_attempts: u32,
    pub group: Option<String>,
    pub parent: Option<JobId>,
    pub replays: u32,
    pub recovered: Option<DateTime<Utc>>,
    pub client: Client,
    pub deps: Deps,
    pub lease: Duration,
    pub until: Instant,
}

impl JobContext {
    /// The job.
    pub fn id(&self) -> JobId {
        self.0.held.lease.id()
    }

    /// Its kind.
    pub fn kind(&self) -> &JobKind {
        &self.0.kind
    }

    /// Its queue.
    pub fn queue(&self) -> &QueueName {
        &self.0.queue
    }

    /// This attempt, counted from 1. It only grows, also over replays, so it orders the attempts of a job.
    pub fn attempt(&self) -> u32 {
        self.0.held.lease.attempt()
    }

    /// Attempts in all.
    pub fn max_attempts(&self) -> u32 {
        self.0.max_attempts
    }

    /// The worker that runs it.
    pub fn worker(&self) -> &str {
        self.0.held.lease.holder()
    }

    /// What its limits are counted by.
    pub fn group(&self) -> Option<&str> {
        self.0.group.as_deref()
    }

    /// The job whose handler enqueued it.
    pub fn parent(&self) -> Option<JobId> {
        self.0.parent
    }

    /// How often an operator brought it back from the dead letters.
    pub fn replays(&self) -> u32 {
        self.0.replays
    }

    /// When it was put back from Postgres after Redis had lost it. What it did outside before that may be known to nobody here: a
    /// handler asks outside before it does it.
    pub fn recovered_at(&self) -> Option<DateTime<Utc>> {
        self.0.recovered
    }

    /// The time, by the clock that all times of queues are compared by.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.client.queues().now()
    }

    /// When it was enqueued.
    pub fn enqueued_at(&self) -> DateTime<Utc> {
        self.id().created_at()
    }

    /// When the attempt is given up, by its timeout. A handler that asks several others leaves each its part of the time.
    pub fn until(&self) -> Instant {
        self.0.until
    }

    /// Cancelled when the job shall stop: by an operator, or because its lease was lost. A handler that does not stop by
    /// itself is dropped a little later.
    pub fn cancellation(&self) -> &CancellationToken {
        self.0.held.cancellation()
    }

    /// Whether the lease was renewed recently enough that no other worker can have the job. A handler asks just before an
    /// effect that cannot be undone.
    pub fn holds_lease(&self) -> bool {
        self.0.held.renewed_within(self.0.lease) && !self.0.held.is_stopped()
    }

    /// Enqueues a job that follows from this one: it carries this one's id as its parent and belongs to the same trace.
    ///
    /// # Errors
    ///
    /// As [`Client::enqueue`].
    ///
    /// # Cancel safety
    ///
    /// As [`Client::enqueue`]. A job that runs again enqueues its children again; an id or a unique key keeps it to one.
    pub async fn enqueue<J: Job>(&self, job: &J) -> Result<Enqueued, EnqueueError> {
        self.enqueue_with(job, EnqueueOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    ///
    /// As [`Client::enqueue_with`].
    ///
    /// # Cancel safety
    ///
    /// As [`Client::enqueue_with`].
    pub async fn enqueue_with<J: Job>(&self, job: &J, options: EnqueueOptions) -> Result<Enqueued, EnqueueError> {
        let options = EnqueueOptions { parent: Some(self.id()), ..options };
        self.0.client.enqueue_with(job, options).await
    }

    /// The client, for enqueuing many at once.
    pub fn client(&self) -> &Client {
        &self.0.client
    }
}
