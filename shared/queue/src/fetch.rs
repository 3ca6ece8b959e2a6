//! Taking jobs: one script reaps lost leases, promotes what is due, and leases by priority.

use std::time::Duration;

use perch_base::{crash_point, settings::Rate};
use perch_jobs::JobId;
use redis::{FromRedisValue, ParsingError, Value};

use crate::{
    Queue, QueueError,
    lease::Lease,
    lossy::Lossy,
    scripts::{self, Call},
};

/// A leased job as it came from Redis.
#[derive(Debug)]
pub(crate) struct Leased {
    pub lease: Lease,
    pub envelope: Vec<u8>,
}

/// What a fetch found.
#[derive(Debug)]
pub(crate) struct Batch {
    pub jobs: Vec<Leased>,
    pub state: State,
    /// When something becomes due or a lease ends; zero when more is ready now.
    pub next: Option<Duration>,
    /// When Redis ran it, by the clock of Redis, in milliseconds.
    pub at_ms: i64,
}

/// How a fetch found its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Paused,
    /// The fetch did not count: what the worker had said of itself is not what Redis knows of it.
    Stranger,
}

/// Most due jobs promoted by one fetch.
const PROMOTED: usize = 1_000;
/// Most lost leases reaped by one script call.
pub(crate) const REAPED: usize = 100;

/// Who fetches, and how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub holder: &'a str,
    /// Most jobs leased.
    pub slots: usize,
    /// Most leases of others reaped.
    pub reaped: usize,
    /// What the worker says of itself, where that changed.
    pub about: &'a str,
}

/// Leases up to `slots` jobs, and reaps.
pub(crate) async fn fetch(queue: &Queue, ask: Ask<'_>) -> Result<Batch, QueueError> {
    let call = call(queue, ask, "");
    crash_point!("fetch.before");
    let batch = queue.run("fetch", &call).await?;
    crash_point!("fetch.after");
    Ok(batch)
}

/// A fetch that counts only while Redis knows the worker by the words `known_by`; empty for any.
pub(crate) fn call(queue: &Queue, ask: Ask<'_>, known_by: &str) -> Call {
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

/// A rate as the scripts take it: milliseconds between starts, and starts at once.
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
            0 => State::Open,
            1 => State::Paused,
            _ => State::Stranger,
        };
        let next = u64::try_from(number()?).ok().map(Duration::from_millis);
        let at_ms = number()?;
        let mut jobs = Vec::with_capacity(items.len() / 2);
        while let (Some(envelope), Some(member)) = (items.next(), items.next()) {
            let Lossy(member) = Lossy::from_redis_value(member)?;
            let id = member.split('|').next().unwrap_or_default();
            // An id that is none was planted by hand; its lease runs out and it ends in the dead letters.
            let Ok(id) = id.parse::<JobId>() else {
                tracing::error!(id, "an id in Redis is not a job id; it is left to the reaper");
                continue;
            };
            jobs.push(Leased { lease: Lease::from_member(id, member), envelope: Vec::from_redis_value(envelope)? });
        }
        Ok(Self { jobs, state, next, at_ms })
    }
}
