//! Compares Redis with Postgres, and checks that a restore would find what it needs.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use perch_base::Settings;
use perch_core::recovery::{self, LossCheck};
use perch_jobs::{JobId, QueueName};
use perch_queue::{Queue, Queues};
use perch_store::{Store, Syncer, UnfinishedPage};

use super::check::Check;
use crate::{
    app::{now, queues, store},
    error::{CommandError, chain},
    format::{text::count, time::short},
};

const OLDER: &str = "age of Postgres";
const LOST: &str = "jobs in Redis";
const OUTBOX: &str = "outbox";
/// Jobs compared in one step. Of queues without a ledger, only so many of the oldest and of the newest jobs are compared, which is
/// enough to notice that Redis lost data.
const COMPARED: u32 = 1_000;
/// Jobs younger than this may not be in both servers yet.
const YOUNG: Duration = Duration::from_secs(60);
/// An outbox whose oldest row is older than this is not being relayed.
const LATE: Duration = Duration::from_secs(60);

/// Compares Redis with Postgres, and checks the outbox.
pub async fn checks(settings: &Settings) -> Vec<Check> {
    let lost = match lost(settings).await {
        Ok(compared) => compared.judge(),
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

/// Whether this is the Postgres that Redis was synced into, and has everything that was synced.
async fn older(settings: &Settings) -> Check {
    let found = async {
        Ok::<_, CommandError>(LossCheck::new(&queues(settings)?, &store(settings)?, settings).look().await?.doubts)
    };
    match found.await {
        Ok(found) if found.is_empty() => Check::ok(OLDER, "Postgres has all that was synced into it"),
        Ok(found) => Check::fail(OLDER, format!("Postgres is older than Redis: {}", found.join("; "))).mend(
            "nothing is recovered by itself until somebody has looked: find what it lost (its logs and backups tell from when it is), \
             then run `perch recover --dry-run` and `perch recover`; posts are looked for on X before they are made again",
        ),
        Err(error) => Check::warn(OLDER, chain(&error)).mend("mend the connection first"),
    }
}

/// Unfinished jobs in Postgres that Redis lacks. Compares every job of ledger queues, which must survive the loss of
/// Redis, and the oldest and newest of other queues.
async fn lost(settings: &Settings) -> Result<Comparison, CommandError> {
    let (queues, store) = (queues(settings)?, store(settings)?);
    let settled = now(queues.redis()).await? - YOUNG;
    let (ledger, others): (Vec<Queue>, Vec<Queue>) = queues.iter().cloned().partition(|queue| queue.settings().ledger);
    let syncer = Syncer::new(queues.redis().clone(), store.clone(), settings.env, &queues.names(), settings.sync.batch);
    let look = Comparer { queues: &queues, store: &store, syncer: &syncer };
    let mut all = look.oldest(&names(&ledger), settled, None).await?;
    let others = names(&others);
    all.add(look.oldest(&others, settled, Some(COMPARED)).await?);
    if all.is_cut {
        all.add(look.newest(&others, settled).await?);
    }
    Ok(all)
}

fn names(queues: &[Queue]) -> Vec<QueueName> {
    queues.iter().map(|queue| queue.name().clone()).collect()
}

/// The result of a comparison.
#[derive(Debug, Default)]
struct Comparison {
    jobs: u64,
    /// How many of the compared jobs Redis lacks, by queue.
    lost: BTreeMap<QueueName, u64>,
    /// Whether some jobs were not compared.
    is_cut: bool,
}

impl Comparison {
    fn add(&mut self, more: Self) {
        self.jobs += more.jobs;
        for (queue, lost) in more.lost {
            *self.lost.entry(queue).or_default() += lost;
        }
        self.is_cut |= more.is_cut;
    }

    fn judge(&self) -> Check {
        let all = if self.is_cut {
            format!(
                "{}, every one of the ledger queues and the oldest and newest of the others",
                count(self.jobs, "job")
            )
        } else {
            count(self.jobs, "job")
        };
        let lost: u64 = self.lost.values().sum();
        if lost == 0 {
            let found = match (self.jobs, self.is_cut) {
                (_, true) => {
                    format!("Redis has all that were compared of those that Postgres knows as unfinished: {all}")
                }
                _ => "Redis has every unfinished job that Postgres knows".to_owned(),
            };
            return Check::ok(LOST, found);
        }
        let by_queue: Vec<String> = self.lost.iter().map(|(queue, lost)| format!("{lost} of {queue}")).collect();
        let missing = by_queue.join(", ");
        Check::warn(
            LOST,
            format!("Redis does not have {missing} that Postgres knows as unfinished; compared were {all}"),
        )
        .mend(
            "if Redis was emptied or restored from an older copy, run `perch recover --dry-run`, then `perch recover`",
        )
    }
}

/// Compares jobs between the two servers.
struct Comparer<'a> {
    queues: &'a Queues,
    store: &'a Store,
    syncer: &'a Syncer,
}

impl Comparer<'_> {
    /// Compares at most `most` unfinished jobs of the queues `names`, oldest first.
    async fn oldest(
        &self,
        names: &[QueueName],
        settled: DateTime<Utc>,
        most: Option<u32>,
    ) -> Result<Comparison, CommandError> {
        let (mut all, mut after) = (Comparison::default(), None);
        loop {
            let UnfinishedPage { jobs, next, .. } =
                self.store.recovery().unfinished(names, after, COMPARED, Duration::ZERO).await?;
            let alive = jobs.into_iter().filter(|job| job.restore.died_at.is_none());
            let alive = alive.map(|job| (job.queue, job.restore.id)).filter(|(_, id)| id.created_at() < settled);
            all.add(self.compare(alive).await?);
            after = match next {
                None => return Ok(all),
                Some(_) if most.is_some_and(|most| all.jobs >= u64::from(most)) => {
                    all.is_cut = true;
                    return Ok(all);
                }
                next => next,
            };
        }
    }

    async fn newest(&self, names: &[QueueName], settled: DateTime<Utc>) -> Result<Comparison, CommandError> {
        self.compare(self.store.history().newest_unfinished(names, settled, COMPARED).await?).await
    }

    async fn compare(&self, jobs: impl IntoIterator<Item = (QueueName, JobId)>) -> Result<Comparison, CommandError> {
        let mut by_queue: BTreeMap<QueueName, Vec<JobId>> = BTreeMap::new();
        for (queue, id) in jobs {
            by_queue.entry(queue).or_default().push(id);
        }
        let mut all = Comparison::default();
        for (name, ids) in by_queue {
            let Some(queue) = self.queues.get(&name) else { continue };
            all.jobs += ids.len() as u64;
            // Jobs that ended during the comparison are not lost.
            let lost = recovery::lost(queue, self.syncer, self.store, &ids).await?;
            if !lost.is_empty() {
                all.lost.insert(name, lost.len() as u64);
            }
        }
        Ok(all)
    }
}

async fn backlog(settings: &Settings) -> Result<(u64, Duration), CommandError> {
    let backlog = store(settings)?.outbox().backlog().await?;
    Ok((backlog.waiting, backlog.age))
}
