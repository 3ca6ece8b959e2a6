//! Rebuilding queues from what Postgres knows of them: all of it for `perch recover`, and by itself, for the ledger queues,
//! whenever Redis was started again.

mod loss_check;
mod watch;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use perch_base::Settings;
use perch_jobs::{JobId, JobState, QueueName};
use perch_queue::{Queue, QueueError, Queues, Restore};
use perch_store::{HotStore, Store, StoreError, Syncer, UnfinishedJobs};
use serde::Serialize;

pub use loss_check::{LossCheck, LossReport};
pub use watch::{Watch, WatchOutcome};

/// What was made good after a server lost something.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Effects that are on record as published and that the ledger had lost.
    pub effects: u64,
    /// Records of acts that the ledger holds as confirmed.
    pub records: u64,
}

/// Knows what the effect ledger and the records of acts say of each other.
pub trait Reconciler: Send + Sync + 'static {
    /// Makes good what either lacks of the other, of the last day. It may be done again, and beside workers: what is right stays
    /// as it is.
    fn reconcile<'a>(&'a self, store: &'a Store, hot: &'a HotStore) -> BoxFuture<'a, Result<Reconciled, StoreError>>;
}

/// How long one recovery holds off the others.
const ALONE: Duration = Duration::from_secs(20);
/// Jobs looked at in one step.
const AT_ONCE: u32 = 500;

/// What was done, or would be, with the jobs of one queue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Jobs that wait again.
    pub restored: u64,
    /// Dead letters that are back.
    pub dead_letters: u64,
    /// Jobs that had ended and were there again.
    pub removed: u64,
    /// Jobs whose row or envelope cannot be read.
    pub unreadable: u64,
}

/// Why queues were not rebuilt. It may be tried again; what was done stays.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Redis.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was read of Postgres may be older than what was known when it was looked at.
    #[error(
        "another Postgres took over during the recovery: look at it again before more is put back (it was {was}, and is {is})"
    )]
    TakenOver {
        /// Which one was looked at.
        was: String,
        /// Which one is there.
        is: String,
    },
}

/// Brings queues to what Postgres knows of them. Workers may go on meanwhile, and it may be done again.
pub struct Recovery {
    queues: Vec<Queue>,
    store: Store,
    syncer: Syncer,
    hot: HotStore,
    reconciler: Arc<dyn Reconciler>,
    retention: Duration,
    dry_run: bool,
    in_doubt: bool,
    done: BTreeMap<QueueName, Recovered>,
}

impl Recovery {
    /// A recovery of `queues`.
    pub fn new(queues: Vec<Queue>, all: &Queues, store: &Store, settings: &Settings, reconciler: Arc<dyn Reconciler>) -> Self {
        let env = settings.env;
        let syncer = Syncer::new(all.redis().clone(), store.clone(), env, &all.names(), settings.sync.batch);
        let retention = queues.iter().map(|queue| queue.settings().dead_retention).max().unwrap_or_default();
        let hot = HotStore::new(all.redis().clone(), env);
        Self {
            queues,
            store: store.clone(),
            syncer,
            hot,
            reconciler,
            retention,
            dry_run: false,
            in_doubt: false,
            done: BTreeMap::new(),
        }
    }

    /// The same, which only counts what it would do.
    #[must_use]
    pub fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// The same, of a Postgres that may have lost something: what is put back may have run, and is told so.
    #[must_use]
    pub fn in_doubt(self, in_doubt: bool) -> Self {
        Self { in_doubt, ..self }
    }

    /// Puts back what Redis has lost, and removes what has ended and came back with an older copy of Redis. `seen` is told of
    /// the jobs looked at. It goes by the Postgres that was looked at and by no other. Answers what was done, by queue.
    pub async fn whole(
        mut self,
        looked: &LossReport,
        seen: impl Fn(u64) + Send + Sync,
    ) -> Result<BTreeMap<QueueName, Recovered>, RecoveryError> {
        let _alone = self.store.recovery().alone(ALONE).await?;
        // Looked at before the sync: a job that is there now and has ended after it was not left there by a worker.
        let present = self.present(&seen).await?;
        self.sync().await?;
        self.reconcile().await?;
        self.remove_ended(present).await?;
        let all = self.queues.iter().map(|queue| queue.name().clone()).collect();
        self.restore_lost((all, Vec::new()), looked, &seen).await?;
        Ok(self.done)
    }

    /// Puts back what Redis has lost of what Postgres was told of first: all of the ledger queues, and of the others what was enqueued
    /// in SQL. It goes by the Postgres that was looked at and by no other.
    pub async fn lost(mut self, looked: &LossReport) -> Result<BTreeMap<QueueName, Recovered>, RecoveryError> {
        let _alone = self.store.recovery().alone(ALONE).await?;
        self.sync().await?;
        self.reconcile().await?;
        let (ledger, others): (Vec<Queue>, Vec<Queue>) =
            self.queues.iter().cloned().partition(|queue| queue.settings().ledger);
        let names = |queues: Vec<Queue>| queues.iter().map(|queue| queue.name().clone()).collect();
        self.restore_lost((names(ledger), names(others)), looked, &|_| ()).await?;
        Ok(self.done)
    }

    /// Makes good what the effect ledger and the records of acts lack of each other.
    async fn reconcile(&self) -> Result<(), StoreError> {
        if !self.dry_run {
            self.reconciler.reconcile(&self.store, &self.hot).await?;
        }
        Ok(())
    }

    /// What Redis still has to tell is newer than what Postgres knows. A dry run leaves it where it is.
    async fn sync(&self) -> Result<(), StoreError> {
        if !self.dry_run {
            self.syncer.run_once().await?;
        }
        Ok(())
    }

    fn of(&mut self, queue: &QueueName) -> &mut Recovered {
        self.done.entry(queue.clone()).or_default()
    }

    async fn present(&self, seen: &(impl Fn(u64) + Send + Sync)) -> Result<Vec<(Queue, Vec<JobId>)>, RecoveryError> {
        let mut present = Vec::new();
        for queue in &self.queues {
            let mut ids = HashSet::new();
            let tell = |some: Vec<JobId>| {
                seen(some.len() as u64);
                ids.extend(some);
            };
            queue.scan(tell).await?;
            present.push((queue.clone(), ids.into_iter().collect()));
        }
        Ok(present)
    }

    async fn remove_ended(&mut self, present: Vec<(Queue, Vec<JobId>)>) -> Result<(), RecoveryError> {
        for (queue, ids) in present {
            for chunk in ids.chunks(AT_ONCE as usize) {
                let ended = self.store.recovery().ended(chunk).await?;
                let removed = if self.dry_run {
                    still_there(&queue, &self.syncer, ended).await?
                } else {
                    queue.drop_ended(&ended).await?
                };
                if removed > 0 {
                    self.of(queue.name()).removed += removed as u64;
                }
            }
        }
        Ok(())
    }

    /// Fails when Postgres is not the one that was looked at any more.
    async fn is_still(&self, looked: &LossReport) -> Result<(), RecoveryError> {
        match (&looked.identity, self.store.recovery().identity().await?) {
            (Some(was), Some(is)) if *was != is => Err(RecoveryError::TakenOver { was: was.clone(), is }),
            _ => Ok(()),
        }
    }

    /// Of the first queues all, of the others what was accepted into the outbox.
    async fn restore_lost(
        &mut self,
        (queues, others): (Vec<QueueName>, Vec<QueueName>),
        looked: &LossReport,
        seen: &(impl Fn(u64) + Send),
    ) -> Result<(), RecoveryError> {
        let mut after = None;
        loop {
            let UnfinishedJobs { jobs, unreadable, next } =
                self.store.recovery().unfinished_and_kept(&queues, &others, after, AT_ONCE, self.retention).await?;
            seen((jobs.len() + unreadable.len()) as u64);
            self.is_still(looked).await?;
            for job in unreadable {
                tracing::error!(job = job.id, queue = %job.queue, reason = job.reason, "a row cannot be read, so its job is not put back");
                self.of(&job.queue).unreadable += 1;
            }
            let mut by_queue: BTreeMap<QueueName, Vec<Restore>> = BTreeMap::new();
            for job in jobs {
                by_queue.entry(job.queue).or_default().push(job.restore);
            }
            for queue in self.queues.clone() {
                if let Some(jobs) = by_queue.remove(queue.name()) {
                    self.restore(&queue, jobs).await?;
                }
            }
            match next {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    async fn restore(&mut self, queue: &Queue, mut jobs: Vec<Restore>) -> Result<(), RecoveryError> {
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let missing = queue.missing(&ids).await?;
        if missing.is_empty() {
            return Ok(());
        }
        // Some may have ended since Postgres was asked; their end is in Redis by now.
        self.sync().await?;
        let missing: HashSet<JobId> = not_ended(queue, &self.syncer, &self.store, missing).await?.into_iter().collect();
        jobs.retain(|job| missing.contains(&job.id));
        for job in &mut jobs {
            job.in_doubt = self.in_doubt;
        }
        let (dead, alive): (Vec<Restore>, Vec<Restore>) = jobs.into_iter().partition(|job| job.died_at.is_some());
        for (is_dead, jobs) in [(true, dead), (false, alive)] {
            if jobs.is_empty() {
                continue;
            }
            let (put_back, unreadable) =
                if self.dry_run { (jobs.len(), Vec::new()) } else { queue.restore(&jobs).await? };
            let done = self.of(queue.name());
            *(if is_dead { &mut done.dead_letters } else { &mut done.restored }) += put_back as u64;
            done.unreadable += unreadable.len() as u64;
        }
        Ok(())
    }
}

/// Of jobs that Postgres knows as unfinished, those that `queue` has lost: it does not have them, and nothing tells that they ended.
pub async fn lost(
    queue: &Queue,
    syncer: &Syncer,
    store: &Store,
    unfinished: &[JobId],
) -> Result<Vec<JobId>, RecoveryError> {
    not_ended(queue, syncer, store, queue.missing(unfinished).await?).await
}

/// Those of `missing` of which neither the events on their way to Postgres nor Postgres say that they have ended.
async fn not_ended(
    queue: &Queue,
    syncer: &Syncer,
    store: &Store,
    mut missing: Vec<JobId>,
) -> Result<Vec<JobId>, RecoveryError> {
    if missing.is_empty() {
        return Ok(missing);
    }
    // In this order: an end that is moved in between is in Postgres when that is asked.
    let news = syncer.news(queue.name(), &missing.iter().copied().collect(), usize::MAX).await?;
    missing.retain(|id| !news.jobs.get(id).is_some_and(|news| is_over(news.state())));
    let ended: HashSet<JobId> = store.recovery().ended(&missing).await?.into_iter().collect();
    missing.retain(|id| !ended.contains(id));
    Ok(missing)
}

/// How many of these jobs, which have ended as Postgres knows, are in Redis all the same. One that left it in the meantime is
/// not, nor one that began anew.
async fn still_there(queue: &Queue, syncer: &Syncer, ended: Vec<JobId>) -> Result<usize, RecoveryError> {
    let gone: HashSet<JobId> = queue.missing(&ended).await?.into_iter().collect();
    let there: HashSet<JobId> = ended.into_iter().filter(|id| !gone.contains(id)).collect();
    let news = syncer.news(queue.name(), &there, usize::MAX).await?;
    Ok(there.iter().filter(|id| news.jobs.get(id).is_none_or(|news| is_over(news.state()))).count())
}

/// Whether Redis forgets a job in this state.
fn is_over(state: JobState) -> bool {
    matches!(state, JobState::Done | JobState::Cancelled | JobState::Discarded)
}
