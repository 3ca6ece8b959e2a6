//! The relay hands the jobs in the Postgres outbox over to Redis: requests of other services, jobs accepted while Redis was away,
//! and jobs whose enqueue was interrupted by a crash.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use perch_base::crash_point;
use perch_jobs::{JobId, QueueName, RetryPolicy, is_own_key, own_key_reason};
use perch_queue::{Acceptance, Client, EnqueueError, Enqueued, Envelope, LedgerJob, NewJob, Queue};
use perch_store::{OutboxContent, OutboxEntry, Store, StoreError};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

/// Rows handed over in one step.
const AT_ONCE: u32 = 250;
/// How often the outbox is read without a notification.
const EVERY: Duration = Duration::from_secs(5);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the rows of ended jobs are pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// How long the row of an ended job is kept.
const KEPT: Duration = Duration::from_secs(86_400);

/// Relays until `stop`. Any number of relays may run: only one of them takes a row at a time.
pub async fn run(store: Store, client: Client, stop: CancellationToken) {
    let work = async {
        loop {
            if let Err(error) = listen_and_relay(&store, &client).await {
                tracing::warn!(%error, "the relay of the outbox failed; it tries again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Ends with the first failure of Postgres.
async fn listen_and_relay(store: &Store, client: &Client) -> Result<(), StoreError> {
    let settings = client.queues().iter().next().map(|queue| queue.engine().clone());
    if let Some(engine) = settings {
        let types = client.queues().types();
        store.outbox().register(types, engine.max_payload_bytes, engine.max_schedule_ahead).await?;
    }
    // Listens before the first read, so that no notification between the two is missed.
    let mut listener = store.outbox().listen().await;
    let mut pruned = Instant::now();
    loop {
        relay_all(store, client).await?;
        if pruned.elapsed() >= PRUNE_EVERY {
            store.outbox().prune(KEPT).await?;
            pruned = Instant::now();
        }
        // A missed notification only delays a row: the outbox is read after `EVERY` at the latest.
        listener.next(EVERY).await;
    }
}

/// Hands rows over until a batch is not full, or Redis is away.
async fn relay_all(store: &Store, client: &Client) -> Result<(), StoreError> {
    loop {
        let relayed = relay_some(store, client).await?;
        if relayed.waited < AT_ONCE as usize || relayed.waits_for_redis {
            let backlog = store.outbox().backlog().await?;
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and no outbox holds 2^53 rows")]
            metrics::gauge!("perch_outbox_waiting").set(backlog.waiting as f64);
            return Ok(());
        }
    }
}

/// The result of one step of the relay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Rows that waited, including those that another relay took.
    pub waited: usize,
    /// Rows that this relay took.
    pub taken: usize,
    /// Jobs that Redis has accepted.
    pub handed_over: usize,
    /// Requests that did not become jobs, because another job holds their unique key.
    pub never: usize,
    /// Whether Redis was away for some of the rows.
    pub waits_for_redis: bool,
}

/// Hands over up to 250 rows. Rows that Redis does not accept now stay in the outbox.
pub async fn relay_some(store: &Store, client: &Client) -> Result<Relayed, StoreError> {
    let outbox = store.outbox();
    let batch = outbox.take(AT_ONCE).await?;
    let (waited, taken) = (batch.waited, batch.taken());
    if taken == 0 {
        return Ok(Relayed { waited, ..Relayed::default() });
    }
    crash_point!("relay.taken");
    let mut by_queue: BTreeMap<QueueName, Vec<LedgerJob>> = BTreeMap::new();
    for row in &batch.rows {
        if let Some(job) = admitted(client, row) {
            by_queue.entry(job.queue.clone()).or_default().push(job);
        }
    }
    for jobs in by_queue.values_mut() {
        lift_deadlines_of_acts(store, jobs).await?;
    }
    let mut full = 0u64;
    let (mut there, mut never, mut soon): (Vec<&LedgerJob>, Vec<(JobId, String)>, Vec<JobId>) = Default::default();
    for (name, jobs) in &by_queue {
        let Some(queue) = client.queues().get(name) else { continue };
        for (job, answer) in jobs.iter().zip(client.hand_over(queue, jobs).await) {
            match hand_over_of(answer) {
                HandOver::Accepted => there.push(job),
                HandOver::Rejected(reason) => never.push((job.id, reason)),
                HandOver::RedisAway => soon.push(job.id),
                HandOver::QueueFull => full += 1,
                HandOver::Failed(error) => {
                    tracing::warn!(job = %job.id, %error, "a job could not be handed over; it stays in the outbox");
                }
            }
        }
    }
    let relayed =
        Relayed { waited, taken, handed_over: there.len(), never: never.len(), waits_for_redis: !soon.is_empty() };
    if full > 0 {
        tracing::warn!(
            jobs = full,
            "the outbox keeps jobs whose queue is full (max_depth); it tries again in a minute"
        );
    }
    metrics::counter!("perch_outbox_relayed_total").increment(there.len() as u64);
    crash_point!("relay.pushed");
    batch.settle(&there, &never, &soon).await?;
    crash_point!("relay.settled");
    Ok(relayed)
}

/// Takes the deadline off jobs whose act was made without Redis: what is left of them, their record, may come later.
async fn lift_deadlines_of_acts(store: &Store, jobs: &mut [LedgerJob]) -> Result<(), StoreError> {
    let has_deadline = |job: &&mut LedgerJob| {
        job.envelope.contains("\"deadline\"")
            && Envelope::decode(job.envelope.as_bytes()).is_ok_and(|envelope| envelope.deadline.is_some())
    };
    let mut with_deadline: BTreeMap<JobId, &mut LedgerJob> =
        jobs.iter_mut().filter(has_deadline).map(|job| (job.id, job)).collect();
    if with_deadline.is_empty() {
        return Ok(());
    }
    let ids: Vec<JobId> = with_deadline.keys().copied().collect();
    for acted in store.effects().acted_without_redis(&ids).await? {
        let Some(job) = with_deadline.remove(&acted) else { continue };
        if let Ok(envelope) = Envelope::amend(&job.envelope, &[("deadline", RawValue::NULL.to_owned())]) {
            job.envelope = envelope;
        }
    }
    Ok(())
}

/// Converts a row to a job for Redis. A request that cannot be a job becomes a dead letter with the reason. Answers `None` for a queue
/// that this deployment does not have, and, up to `unknown_kind_wait`, for a kind that it does not know: a newer release may know it.
pub fn admitted(client: &Client, row: &OutboxEntry) -> Option<LedgerJob> {
    let queue = client.queues().get(&row.queue)?;
    let refused = |payload: &str, reason: &str| {
        tracing::warn!(job = %row.id, kind = %row.kind, reason, "a request in the outbox cannot be a job");
        client.admit_refused(queue, row.id, row.kind.as_str(), payload, reason)
    };
    Some(match &row.content {
        OutboxContent::Job(job) => job.clone(),
        OutboxContent::Unreadable(text, reason) => refused(text, reason),
        OutboxContent::Request(..) if awaits_its_kind(client, queue, row) => {
            tracing::warn!(job = %row.id, kind = %row.kind, "a request in the outbox waits for a release that knows its kind");
            return None;
        }
        OutboxContent::Request(job, attempts) => {
            let mut job = (**job).clone();
            let of_kind = client.queues().types().get(row.kind.as_str()).map(|job_type| job_type.retry);
            job.options.retry =
                attempts.map(|max_attempts| RetryPolicy { max_attempts, ..of_kind.unwrap_or(RetryPolicy::DEFAULT) });
            let payload = job.payload.get().to_owned();
            let admitted = from_outside(client, &job).and_then(|()| client.admit(row.id, job));
            admitted.unwrap_or_else(|error| refused(&payload, &error.to_string()))
        }
    })
}

/// Whether the row still waits for a release that knows its kind: in a rolling deploy it may be written before this process is replaced.
fn awaits_its_kind(client: &Client, queue: &Queue, row: &OutboxEntry) -> bool {
    client.queues().types().get(row.kind.as_str()).is_none() && row.waited < queue.engine().unknown_kind_wait
}

/// Refuses requests that use the keys reserved for Perch's own jobs and effects.
fn from_outside(client: &Client, job: &NewJob) -> Result<(), EnqueueError> {
    if job.options.unique.as_ref().is_some_and(|unique| is_own_key(&unique.key)) {
        return Err(EnqueueError::Field { field: "unique_key".into(), reason: own_key_reason() });
    }
    match client.queues().types().get(job.kind.as_str()) {
        Some(job_type) => Ok(job_type.check_from_outside(&job.payload)?),
        None => Ok(()),
    }
}

enum HandOver {
    Accepted,
    /// The job is not enqueued, for this reason; the row ends here.
    Rejected(String),
    RedisAway,
    /// The queue has reached `max_depth`.
    QueueFull,
    Failed(EnqueueError),
}

fn hand_over_of(answer: Result<Enqueued, EnqueueError>) -> HandOver {
    match answer {
        Ok(Enqueued { acceptance: Acceptance::Kept, id, .. }) => {
            HandOver::Rejected(format!("job {id} held the unique key and was kept"))
        }
        Ok(_) => HandOver::Accepted,
        Err(error @ EnqueueError::Conflict { .. }) => HandOver::Rejected(error.to_string()),
        Err(EnqueueError::Queue(error)) if error.is_unavailable() => HandOver::RedisAway,
        Err(EnqueueError::Full { .. }) => HandOver::QueueFull,
        Err(error) => HandOver::Failed(error),
    }
}
