//! Whether Redis has what Postgres says it should have, and whether a restore would find what it needs.

use std::time::Duration;

use chrono::Utc;
use perch_base::Settings;
use perch_jobs::{JobId, QueueName};
use perch_workers::recovery::Doubts;
use std::collections::BTreeMap;

use super::check::Check;
use crate::{
    app::{queues, store},
    error::{OpsError, chain},
    format::{text::count, time::short},
};

const OLDER: &str = "age of Postgres";
const LOST: &str = "jobs in Redis";
const OUTBOX: &str = "outbox";
/// Jobs that are compared; enough to notice a Redis that lost its data.
const COMPARED: u32 = 1_000;
/// Jobs younger than this may still be on their way.
const YOUNG: Duration = Duration::from_secs(60);
/// An outbox whose oldest row is older than this is not being relayed.
const LATE: Duration = Duration::from_secs(60);

/// Compares Redis with Postgres, and looks into the outbox.
pub async fn checks(settings: &Settings) -> Vec<Check> {
    let lost = match lost(settings).await {
        Ok((0, _)) => Check::ok(LOST, "Redis has every unfinished job that Postgres knows"),
        Ok((lost, of)) => Check::warn(
            LOST,
            format!("Redis does not have {lost} of {} that Postgres knows as unfinished", count(of, "job")),
        )
        .mend(
            "if Redis was emptied or restored from an older copy, run `perch recover --dry-run`, then `perch recover`",
        ),
        Err(error) => Check::warn(LOST, chain(&error)).mend("mend the connection first"),
    };
    let outbox = match backlog(settings).await {
        Ok((0, _)) => Check::ok(OUTBOX, "every job that Postgres accepted is with Redis"),
        Ok((waiting, age)) if age < LATE => Check::ok(OUTBOX, format!("{} on the way to Redis", count(waiting, "job"))),
        Ok((waiting, age)) => {
            Check::warn(OUTBOX, format!("{} for Redis, the oldest for {}", count(waiting, "job"), short(age)))
                .mend("see that a scheduler runs: it relays the outbox; its log says what keeps it")
        }
        Err(error) => Check::warn(OUTBOX, chain(&error)).mend("mend the connection first"),
    };
    vec![older(settings).await, lost, outbox]
}

/// Whether Postgres is the one that Redis was synced into, and has all of it.
async fn older(settings: &Settings) -> Check {
    let found =
        async { Ok::<_, OpsError>(Doubts::new(&queues(settings)?, &store(settings)?, settings).found().await?) };
    match found.await {
        Ok(found) if found.is_empty() => Check::ok(OLDER, "Postgres has all that was synced into it"),
        Ok(found) => Check::fail(OLDER, format!("Postgres is older than Redis: {}", found.join("; "))).mend(
            "nothing is recovered by itself until somebody has looked: find what it lost (its logs and backups tell from when it is), \
             then run `perch recover --dry-run` and `perch recover`; posts are looked for on X before they are made again",
        ),
        Err(error) => Check::warn(OLDER, chain(&error)).mend("mend the connection first"),
    }
}

/// Unfinished jobs that Redis does not have, of those that were compared.
async fn lost(settings: &Settings) -> Result<(u64, u64), OpsError> {
    let (queues, store) = (queues(settings)?, store(settings)?);
    let jobs = store.recovery().unfinished(&queues.names(), None, COMPARED, Duration::ZERO).await?.jobs;
    let settled = Utc::now() - YOUNG;
    let mut by_queue: BTreeMap<QueueName, Vec<JobId>> = BTreeMap::new();
    for job in jobs.into_iter().filter(|job| job.restore.id.created_at() < settled && job.restore.died_at.is_none()) {
        by_queue.entry(job.queue).or_default().push(job.restore.id);
    }
    let (mut lost, mut of) = (0, 0);
    for (name, ids) in by_queue {
        if let Some(queue) = queues.get(&name) {
            let missing = queue.missing(&ids).await?;
            // Those that ended while this looked are not lost.
            let ended = store.recovery().ended(&missing).await?;
            lost += missing.len().saturating_sub(ended.len()) as u64;
            of += ids.len() as u64;
        }
    }
    Ok((lost, of))
}

async fn backlog(settings: &Settings) -> Result<(u64, Duration), OpsError> {
    let backlog = store(settings)?.outbox().backlog().await?;
    let age = backlog.oldest.and_then(|oldest| (Utc::now() - oldest).to_std().ok()).unwrap_or_default();
    Ok((backlog.waiting, age))
}
