//! Taking jobs: one script reaps lost leases, promotes what is due, and leases by priority.

use std::time::Duration;

use perch_base::{crash_point, settings::Rate};
use perch_jobs::JobId;
use redis::{FromRedisValue, ParsingError, Value};

use crate::{Queue, QueueError, lease::Lease, lossy::Lossy, scripts};

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
    pub paused: bool,
    /// When something becomes due or a lease ends; zero when more is ready now.
    pub next: Option<Duration>,
}

/// Most due jobs promoted by one fetch.
const PROMOTED: usize = 1_000;
/// Most lost leases reaped by one script call.
pub(crate) const REAPED: usize = 100;

/// Leases up to `slots` jobs to `holder`, and reaps at most `reaped` leases of others. `about` is what the worker says of
/// itself, where that changed.
pub(crate) async fn fetch(
    queue: &Queue,
    holder: &str,
    slots: usize,
    reaped: usize,
    about: &str,
) -> Result<Batch, QueueError> {
    let settings = queue.settings();
    let (group_step, group_burst) = step(settings.group_rate);
    let (queue_step, queue_burst) = step(settings.rate);
    let mut call = queue.invocation(&scripts::FETCH);
    call.arg(slots)
        .arg(queue.engine().lease.as_millis().to_string())
        .arg(holder)
        .arg(PROMOTED)
        .arg(reaped)
        .arg(settings.group_concurrency)
        .arg(group_step)
        .arg(group_burst)
        .arg(queue_step)
        .arg(queue_burst)
        .arg(settings.global_concurrency)
        .arg(about);
    crash_point!("fetch.before");
    let Reply { paused, next_ms, jobs } = queue.run("fetch", &call).await?;
    crash_point!("fetch.after");
    let next = u64::try_from(next_ms).ok().map(Duration::from_millis);
    Ok(Batch { jobs, paused, next })
}

/// A rate as the scripts take it: milliseconds between starts, and starts at once.
fn step(rate: Option<Rate>) -> (f64, u32) {
    rate.map_or((0.0, 0), |rate| (rate.per.as_secs_f64() * 1_000.0 / f64::from(rate.count.max(1)), rate.count))
}

struct Reply {
    paused: bool,
    next_ms: i64,
    jobs: Vec<Leased>,
}

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        let Value::Array(items) = value else { return Err("the fetch script answers with a list".into()) };
        let mut items = items.into_iter();
        let mut number =
            || items.next().ok_or_else(|| ParsingError::from("the list is too short")).and_then(i64::from_redis_value);
        let (paused, next_ms) = (number()? == 1, number()?);
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
        Ok(Self { paused, next_ms, jobs })
    }
}
