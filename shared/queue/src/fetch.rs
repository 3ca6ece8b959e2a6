//! Fetching jobs: one script reaps expired leases, promotes due jobs, and leases jobs by priority.

use std::time::Duration;

use perch_base::{crash_point, settings::Rate};
use perch_job::JobId;
use redis::{FromRedisValue, ParsingError, Value};

use crate::{
    Queue, QueueError,
    lease::Lease,
    raw_text::RawText,
    scripts::{self, ScriptCall},
};

/// A leased job as it came from Redis.
#[derive(Debug)]
pub(crate) struct LeasedJob {
    pub lease: Lease,
    pub envelope: Vec<u8>,
}

/// The result of a fetch.
#[derive(Debug)]
pub(crate) struct Batch {
    pub jobs: Vec<LeasedJob>,
    pub state: QueueState,
    /// How long until a job becomes due or a lease ends; zero if more jobs are ready now.
    pub next: Option<Duration>,
    /// When Redis ran the fetch, by its own clock, in milliseconds since 1970.
    pub at_ms: i64,
}

/// The state in which a fetch found its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueState {
    Open,
    /// Open, and the quick script of [`behind`] can take everything that is ready.
    Plain,
    Paused,
    /// The fetch took nothing, because Redis has another description of the worker, or because the general fetch is needed.
    Rejected,
}

/// Most due jobs promoted by one fetch.
const PROMOTED: usize = 1_000;
/// Most lost leases reaped by one script call.
pub(crate) const REAPED: usize = 100;

/// The length of a job's id.
const ID_BYTES: usize = 26;

/// The parameters of a fetch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchRequest<'a> {
    pub holder: &'a str,
    /// Most jobs leased.
    pub slots: usize,
    /// Most leases of other workers reaped.
    pub reaped: usize,
    /// The worker's description of itself if it changed, else empty.
    pub about: &'a str,
}

/// Leases up to `slots` jobs, and reaps expired leases.
pub(crate) async fn fetch(queue: &Queue, ask: FetchRequest<'_>) -> Result<Batch, QueueError> {
    let call = full(queue, ask, "");
    crash_point!("fetch.before");
    let batch = queue.run("fetch", &call).await?;
    crash_point!("fetch.after");
    Ok(batch)
}

/// The fetch that is sent along with a blocking read. It takes nothing unless Redis still has `known_by` as the description of
/// the worker. A queue that was `plain` gets a quick script, which takes nothing if the queue has changed.
pub(crate) fn behind(queue: &Queue, ask: FetchRequest<'_>, known_by: &str, plain: bool) -> ScriptCall {
    if !plain {
        return full(queue, ask, known_by);
    }
    let mut call = queue.invocation(&scripts::FETCH_BEHIND);
    call.arg(ask.slots).arg(queue.engine().lease.as_millis().to_string()).arg(ask.holder).arg(ask.reaped).arg(known_by);
    call
}

/// The general fetch; an empty `known_by` accepts any description of the worker.
fn full(queue: &Queue, ask: FetchRequest<'_>, known_by: &str) -> ScriptCall {
    let settings = queue.settings();
    let (group_step, group_burst) = step(settings.group_rate);
    let (queue_step, queue_burst) = step(settings.rate);
    let mut call = queue.invocation(&scripts::FETCH);
    call.arg(ask.slots)
        .arg(queue.engine().lease.as_millis().to_string())
        .arg(ask.holder)
        .arg(PROMOTED)
        .arg(ask.reaped)
        .arg(settings.group_concurrency)
        .arg(group_step)
        .arg(group_burst)
        .arg(queue_step)
        .arg(queue_burst)
        .arg(settings.global_concurrency)
        .arg(ask.about)
        .arg(known_by);
    call
}

/// A rate as the scripts take it: milliseconds between starts, and the burst.
fn step(rate: Option<Rate>) -> (f64, u32) {
    rate.map_or((0.0, 0), |rate| (rate.per.as_secs_f64() * 1_000.0 / f64::from(rate.count.max(1)), rate.count))
}

impl FromRedisValue for Batch {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let Value::Array(items) = value else { return Err("the fetch script answers with a list".into()) };
        let mut items = items.into_iter();
        let mut number =
            || items.next().ok_or_else(|| ParsingError::from("the list is too short")).and_then(i64::from_redis_value);
        let state = match number()? {
            0 => QueueState::Open,
            1 => QueueState::Paused,
            3 => QueueState::Plain,
            _ => QueueState::Rejected,
        };
        let next = u64::try_from(number()?).ok().map(Duration::from_millis);
        let at_ms = number()?;
        let Some(suffix) = items.next() else { return Ok(Self { jobs: Vec::new(), state, next, at_ms }) };
        let (RawText(suffix), ids) = (RawText::from_redis_value(suffix)?, bytes(items.next())?);
        let Some(Value::Array(envelopes)) = items.next() else { return Err("the envelopes are a list".into()) };
        let mut jobs = Vec::with_capacity(envelopes.len() + items.len() / 2);
        for (id, envelope) in ids.chunks(ID_BYTES).zip(envelopes) {
            let id = String::from_utf8_lossy(id);
            let lease = read_id(&id).map(|parsed| Lease::first(parsed, &id, &suffix));
            jobs.extend(leased(lease, bytes(Some(envelope))?));
        }
        while let (Some(envelope), Some(member)) = (items.next(), items.next()) {
            let RawText(member) = RawText::from_redis_value(member)?;
            let id = read_id(member.split('|').next().unwrap_or_default());
            jobs.extend(leased(id.map(|id| Lease::from_member(id, member)), bytes(Some(envelope))?));
        }
        Ok(Self { jobs, state, next, at_ms })
    }
}

fn leased(lease: Option<Lease>, envelope: Vec<u8>) -> Option<LeasedJob> {
    lease.map(|lease| LeasedJob { lease, envelope })
}

/// An invalid id was written by hand; its lease runs out, and it ends in the dead letters.
fn read_id(text: &str) -> Option<JobId> {
    let id = text.parse().ok();
    if id.is_none() {
        tracing::error!(id = text, "an id in Redis is not a job id; it is left to the reaper");
    }
    id
}

fn bytes(value: Option<Value>) -> Result<Vec<u8>, ParsingError> {
    match value {
        Some(Value::BulkString(bytes)) => Ok(bytes),
        _ => Err("a part of the answer is no string".into()),
    }
}
