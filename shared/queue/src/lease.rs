//! Leases of a worker: renewal, start, release, and the end of the worker.

use std::sync::Arc;

use perch_base::crash_point;
use perch_job::JobId;

use crate::{Queue, QueueError, raw_text::RawText, scripts};

/// A worker's lease on one attempt of a job. Acks are fenced by it: once it is gone from Redis, they change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    id: JobId,
    attempt: u32,
    member: Arc<str>,
}

impl Lease {
    /// The number of an attempt that is made while Redis is away: below that of every attempt of a queue.
    pub const WITHOUT_REDIS: u32 = 0;

    /// That of an attempt that is made while Redis is away; Redis knows nothing of it.
    pub(crate) fn without_redis(id: JobId, holder: &str) -> Self {
        let attempt = Self::WITHOUT_REDIS;
        Self { id, attempt, member: format!("{id}|{holder}|{attempt}|0|").into() }
    }

    pub(crate) fn from_member(id: JobId, member: String) -> Self {
        let attempt = member.split('|').nth(2).and_then(|n| n.parse().ok()).unwrap_or(1);
        Self { id, attempt, member: member.into() }
    }

    /// The lease of a first attempt at the job with the id `text`; its member is the id followed by `suffix`.
    pub(crate) fn first(id: JobId, text: &str, suffix: &str) -> Self {
        Self { id, attempt: 1, member: [text, suffix].concat().into() }
    }

    /// The job.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// The id of the job as text.
    pub(crate) fn id_text(&self) -> &str {
        self.member.split('|').next().unwrap_or_default()
    }

    /// `id|holder|attempt|number|group`, the member of the sorted set `leases`.
    pub fn member(&self) -> &str {
        &self.member
    }

    pub(crate) fn shared_member(&self) -> Arc<str> {
        self.member.clone()
    }

    /// The worker that holds it.
    pub fn holder(&self) -> &str {
        self.member.split('|').nth(1).unwrap_or_default()
    }

    /// The attempt, counted from 1; [`Lease::WITHOUT_REDIS`] for one outside of the queue.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// The result of a heartbeat.
#[derive(Debug, Default)]
pub(crate) struct HeartbeatReply {
    /// Members of lost leases; another worker may have their jobs.
    pub lost: Vec<String>,
    /// Members of leases whose jobs must stop, and why.
    pub stop: Vec<(String, String)>,
}

const RENEWED_AT_ONCE: usize = 1_000;

/// Renews `leases` of `holder`, and reaps at most `reaped` expired leases of other workers.
pub(crate) async fn renew(
    queue: &Queue,
    holder: &str,
    leases: &[Lease],
    reaped: usize,
) -> Result<HeartbeatReply, QueueError> {
    let mut reply = HeartbeatReply::default();
    for chunk in leases.chunks(RENEWED_AT_ONCE) {
        let mut call = queue.invocation(&scripts::HEARTBEAT);
        call.arg(queue.engine().lease.as_millis().to_string()).arg(holder).arg(reaped);
        for lease in chunk {
            call.arg(lease.member());
        }
        let (lost, stop): (Vec<RawText>, Vec<(RawText, RawText)>) = queue.run("renew leases", &call).await?;
        reply.lost.extend(lost.into_iter().map(|member| member.0));
        reply.stop.extend(stop.into_iter().map(|(member, why)| (member.0, why.0)));
    }
    Ok(reply)
}

/// Releases the uniqueness keys that the jobs of these leases hold until they start. Returns how many of the leases are still
/// held.
pub(crate) async fn begin(queue: &Queue, leases: &[Lease]) -> Result<usize, QueueError> {
    let mut call = queue.invocation(&scripts::BEGIN);
    for lease in leases {
        call.arg(lease.member());
    }
    crash_point!("begin.before");
    let held = queue.run("start jobs", &call).await?;
    crash_point!("begin.after");
    Ok(held)
}

/// Releases the leases of `holder` that are not in `known`: those of a fetch whose reply was lost.
pub(crate) async fn reclaim(queue: &Queue, holder: &str, known: &[Lease]) -> Result<usize, QueueError> {
    let mut call = queue.invocation(&scripts::RECLAIM);
    call.arg(holder);
    for lease in known {
        call.arg(lease.member());
    }
    crash_point!("reclaim.before");
    let given_back = queue.run("give back leases", &call).await?;
    crash_point!("reclaim.after");
    Ok(given_back)
}

/// Removes the worker from the list of workers.
pub(crate) async fn leave(queue: &Queue, holder: &str) -> Result<(), QueueError> {
    let mut call = queue.invocation(&scripts::GOODBYE);
    call.arg(holder);
    crash_point!("goodbye.before");
    queue.run::<u8>("leave", &call).await?;
    crash_point!("goodbye.after");
    Ok(())
}
