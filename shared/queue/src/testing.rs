//! Single steps of the engine, for tests that drive it without workers. Nothing else may use them.

use std::time::Duration;

use perch_job::RetryPolicy;
use serde_json::Value;

use crate::{
    Envelope, EventData, Fail, Lease, Queue, QueueError,
    fetch::{self, Batch, FetchRequest, LeasedJob, QueueState},
    finish::{self, Ack, AttemptResult, AttemptRules, Transition, decide},
    lease,
};

/// The result of a fetch.
#[derive(Debug)]
pub struct FetchResult {
    /// The leases taken, with the envelope of each job.
    pub jobs: Vec<(Lease, Vec<u8>)>,
    /// Whether the queue is paused.
    pub paused: bool,
    /// How long until the next fetch is useful.
    pub next: Option<Duration>,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum AttemptEnd {
    /// The handler succeeded.
    Succeeded,
    /// The handler failed.
    Failed(Fail),
    /// The worker shut down.
    Interrupted,
    /// The worker did not know the kind.
    Unknown,
}

/// One fetch of a worker.
pub async fn fetch(queue: &Queue, holder: &str, slots: usize, reaped: usize) -> Result<FetchResult, QueueError> {
    fetch::fetch(queue, FetchRequest { holder, slots, reaped, about: "" }).await.map(fetched)
}

fn fetched(batch: Batch) -> FetchResult {
    let jobs = batch.jobs.into_iter().map(|LeasedJob { lease, envelope }| (lease, envelope)).collect();
    FetchResult { jobs, paused: batch.state == QueueState::Paused, next: batch.next }
}

/// One fetch of an idle worker that a token has woken: by the quick script if it is accepted, else by the general one.
pub async fn fetch_woken(queue: &Queue, holder: &str, slots: usize, reaped: usize) -> Result<FetchResult, QueueError> {
    let known_by = "known";
    set_known(queue, "HSET", &[holder, known_by]).await?;
    let ask = FetchRequest { holder, slots, reaped, about: "" };
    let quick: Batch = queue.run("fetch", &fetch::behind(queue, ask, known_by, true)).await?;
    set_known(queue, "HDEL", &[holder]).await?;
    match quick.state {
        QueueState::Rejected => {
            queue.redis().cmd::<Option<String>>("wake", redis::cmd("LPOP").arg(queue.keys().wake())).await?;
            fetch(queue, holder, slots, reaped).await
        }
        _ => Ok(fetched(quick)),
    }
}

async fn set_known(queue: &Queue, verb: &str, arguments: &[&str]) -> Result<(), QueueError> {
    queue.redis().cmd("introduce", redis::cmd(verb).arg(queue.keys().worker_info()).arg(arguments)).await
}

/// The fetch that an idle worker sends along with its blocking read, accepted only while Redis has `known_by` as its description.
/// `plain` uses the quick script, which is accepted only for a plain queue. `None` if it was rejected and took nothing.
pub async fn fetch_behind(
    queue: &Queue,
    holder: &str,
    slots: usize,
    reaped: usize,
    known_by: &str,
    plain: bool,
) -> Result<Option<FetchResult>, QueueError> {
    let call = fetch::behind(queue, FetchRequest { holder, slots, reaped, about: "" }, known_by, plain);
    let batch: Batch = queue.run("fetch", &call).await?;
    Ok((batch.state != QueueState::Rejected).then(|| fetched(batch)))
}

/// Sends the description of a worker, without taking jobs.
pub async fn introduce(queue: &Queue, holder: &str, about: &str) -> Result<(), QueueError> {
    fetch::fetch(queue, FetchRequest { holder, slots: 0, reaped: 0, about }).await.map(|_| ())
}

/// Removes a worker.
pub async fn leave(queue: &Queue, holder: &str) -> Result<(), QueueError> {
    lease::leave(queue, holder).await
}

/// Acknowledges the end of an attempt, as a worker does. A retry gets the longest delay that the policy of the envelope allows.
/// Returns whether the lease was still held.
pub async fn finish(queue: &Queue, lease: &Lease, envelope: &Envelope, end: AttemptEnd) -> Result<bool, QueueError> {
    let ended = match end {
        AttemptEnd::Succeeded => AttemptResult::Succeeded(Value::Null),
        AttemptEnd::Failed(fail) => AttemptResult::Failed(fail),
        AttemptEnd::Interrupted => AttemptResult::Interrupted,
        AttemptEnd::Unknown => AttemptResult::Unknown("nobody here knows the kind".to_owned()),
    };
    let rules = AttemptRules {
        retry: envelope.retry(&RetryPolicy::DEFAULT),
        unknown_kind_wait: queue.engine().unknown_kind_wait,
    };
    let (transition, error) = decide(&ended, &rules, lease.attempt(), 1.0);
    let data = EventData { attempt: Some(lease.attempt()), error, ..EventData::default() };
    let held = finish::finish(queue, &[Ack { lease: lease.clone(), transition, data }]).await?;
    Ok(held == [true])
}

/// Acknowledges at most 500 successful first attempts in one call. Returns for each whether its lease was still held.
pub async fn succeed(queue: &Queue, leases: &[Lease]) -> Result<Vec<bool>, QueueError> {
    let data = EventData { attempt: Some(1), ..EventData::default() };
    let of = |lease: &Lease| Ack { lease: lease.clone(), transition: Transition::Done, data: data.clone() };
    finish::finish(queue, &leases.iter().map(of).collect::<Vec<_>>()).await
}

/// Marks leased jobs as about to start. Returns how many of the leases are still held.
pub async fn begin(queue: &Queue, leases: &[Lease]) -> Result<usize, QueueError> {
    lease::begin(queue, leases).await
}

/// One heartbeat of a worker. Returns the leases that it no longer holds, and those whose jobs must stop.
pub async fn renew(
    queue: &Queue,
    holder: &str,
    leases: &[Lease],
    reaped: usize,
) -> Result<(Vec<String>, Vec<String>), QueueError> {
    let reply = lease::renew(queue, holder, leases, reaped).await?;
    Ok((reply.lost, reply.stop.into_iter().map(|(member, _)| member).collect()))
}

/// Releases the leases of a worker that are not in `known`.
pub async fn reclaim(queue: &Queue, holder: &str, known: &[Lease]) -> Result<usize, QueueError> {
    lease::reclaim(queue, holder, known).await
}
