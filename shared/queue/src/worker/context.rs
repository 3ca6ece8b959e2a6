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

/// Values that handlers take besides their payload, by type: clients, stores, settings.
#[derive(Clone, Default)]
pub struct Deps(Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Deps {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `value`, in place of another of its type.
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

/// A type that handlers may take as an argument after the payload.
pub trait FromContext: Sized + Send + 'static {
    /// The value for this attempt, or the name of what is missing.
    ///
    /// # Errors
    ///
    /// The name of the missing dependency.
    fn from_context(context: &JobContext) -> Result<Self, &'static str>;

    /// The name of the missing dependency, if any. Checked once, when the worker starts.
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

/// The attempt that a handler runs. Cheap to clone.
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

    /// The number of this attempt, from 1, or 0 while Redis is away. It only increases, also across replays, so it orders the attempts of a job.
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

    /// Its group, which its limits are counted by.
    pub fn group(&self) -> Option<&str> {
        self.0.group.as_deref()
    }

    /// The job whose handler enqueued it.
    pub fn parent(&self) -> Option<JobId> {
        self.0.parent
    }

    /// How often an operator replayed it.
    pub fn replays(&self) -> u32 {
        self.0.replays
    }

    /// When it was restored from Postgres after Redis had lost it; `None` for most jobs. Effects before that may have left no record
    /// here, so before a handler repeats one it must ask the outside service whether it has happened.
    pub fn recovered_at(&self) -> Option<DateTime<Utc>> {
        self.0.recovered
    }

    /// The current time by the clock of Redis, with which all times of queues are compared.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.client.queues().now()
    }

    /// When it was enqueued.
    pub fn enqueued_at(&self) -> DateTime<Utc> {
        self.id().created_at()
    }

    /// When the attempt times out. A handler that calls several services gives each a part of the time left.
    pub fn until(&self) -> Instant {
        self.0.until
    }

    /// Cancelled when the job must stop: an operator cancelled it, or its lease was lost. A handler that does not stop is dropped
    /// a little later.
    pub fn cancellation(&self) -> &CancellationToken {
        self.0.held.cancellation()
    }

    /// Whether the lease was renewed recently enough that no other worker can have the job. Check it just before an effect that
    /// cannot be undone.
    pub fn holds_lease(&self) -> bool {
        self.0.held.renewed_within(self.0.lease) && !self.0.held.is_stopped()
    }

    /// Enqueues a child job: this job is its parent, and it belongs to the same trace.
    ///
    /// # Errors
    ///
    /// As [`Client::enqueue`].
    ///
    /// # Cancel safety
    ///
    /// As [`Client::enqueue`]. A job that runs again enqueues its children again, unless they have an id or a unique key.
    pub async fn enqueue<J: Job>(&self, job: &J) -> Result<Enqueued, EnqueueError> {
        self.enqueue_with(job, EnqueueOptions::default()).await
    }

    /// Enqueues a child job with options.
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

    /// The client, to enqueue many jobs at once.
    pub fn client(&self) -> &Client {
        &self.0.client
    }
}
