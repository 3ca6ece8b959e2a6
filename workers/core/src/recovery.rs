//! Rebuilding queues in Redis from Postgres: all queues for `perch recover`, and the ledger queues automatically whenever Redis was
//! restarted.

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
use perch_queue::{LostJob, Queue, QueueError, Queues};
use perch_store::{HotStore, Store, StoreError, Syncer, UnfinishedPage};
use serde::Serialize;

pub use loss_check::{LossCheck, LossReport};
pub use watch::{Watch, WatchOutcome};

/// What a reconciliation repaired after a server lost data.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Effects restored to the ledger, because a record says that they were published.
    pub effects: u64,
    /// Records of acts restored, because the ledger has their effect as confirmed.
    pub records: u64,
}

/// Reconciles the effect ledger with the records of acts.
pub trait Reconciler: Send + Sync + 'static {
    /// Restores from each what the other lacks, for the last day. It is idempotent and may run beside workers.
    fn reconcile<'a>(&'a self, store: &'a Store, hot: &'a HotStore) -> BoxFuture<'a, Result<Reconciled, StoreError>>;
}

/// How long a recovery holds its lock, which keeps others from running.
const LOCKED_FOR: Duration = Duration::from_secs(20);
/// Jobs read in one step.
const AT_ONCE: u32 = 500;

/// What a recovery did with the jobs of one queue, or would do in a dry run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Jobs that were put back to wait.
    pub restored: u64,
    /// Dead letters that were put back.
    pub dead_letters: u64,
    /// Jobs removed from Redis, because they had ended.
    pub removed: u64,
    /// Jobs whose row or envelope cannot be read.
    pub unreadable: u64,
}

/// Why queues were not rebuilt. A recovery may be repeated; what it has done stays.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Redis.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another Postgres took over, which may have older data than the one that was checked.
    #[error(
        "another Postgres took over during the recovery: look at it again before more is put back (it was {was}, and is {is})"
    )]
    TakenOver {
        /// The identity of the one that was checked.
        was: String,
        /// The identity of the present one.
        is: String,
    },
}

/// Makes queues in Redis agree with Postgres. Workers may run meanwhile, and a recovery may be repeated.
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
    pub fn new(
        queues: Vec<Queue>,
        all: &Queues,
        store: &Store,
        settings: &Settings,
        reconciler: Arc<dyn Reconciler>,
    ) -> Self {
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

    /// The same recovery, which only counts what it would do.
    #[must_use]
    pub fn dry_run(self, dry_run: bool) -> Self {
        Self { dry_run, ..self }
    }

    /// The same recovery, from a Postgres that may have lost data: jobs are put back with a mark that they may have run already.
    #[must_use]
    pub fn in_doubt(self, in_doubt: bool) -> Self {
        Self { in_doubt, ..self }
    }

    /// Puts back the jobs that Redis has lost, and removes ended jobs that came back with an older copy of Redis. `seen` is called with
    /// the number of jobs read. Fails when Postgres is not the one of `looked` any more. Answers what was done, by queue.
    pub async fn whole(
        mut self,
        looked: &LossReport,
        seen: impl Fn(u64) + Send + Sync,
    ) -> Result<BTreeMap<QueueName, Recovered>, RecoveryError> {
        let _lock = self.store.recovery().lock(LOCKED_FOR).await?;
        // Read before the sync: a job that is present now and, by the sync, has ended, came back with an older copy of Redis.
        let present = self.present(&seen).await?;
        self.sync().await?;
        self.reconcile().await?;
        self.remove_ended(present).await?;
        let all = self.queues.iter().map(|queue| queue.name().clone()).collect();
        self.restore_lost((all, Vec::new()), looked, &seen).await?;
        Ok(self.done)
    }

    /// Puts back the lost jobs that Postgres had before Redis: all jobs of the ledger queues, and of other queues those that were
    /// enqueued in SQL. Fails when Postgres is not the one of `looked` any more.
    pub async fn lost(mut self, looked: &LossReport) -> Result<BTreeMap<QueueName, Recovered>, RecoveryError> {
        let _lock = self.store.recovery().lock(LOCKED_FOR).await?;
        self.sync().await?;
        self.reconcile().await?;
        let (ledger, others): (Vec<Queue>, Vec<Queue>) =
            self.queues.iter().cloned().partition(|queue| queue.settings().ledger);
        let names = |queues: Vec<Queue>| queues.iter().map(|queue| queue.name().clone()).collect();
        self.restore_lost((names(ledger), names(others)), looked, &|_| ()).await?;
        Ok(self.done)
    }

    /// Reconciles the effect ledger with the records of acts.
    async fn reconcile(&self) -> Result<(), StoreError> {
        if !self.dry_run {
            self.reconciler.reconcile(&self.store, &self.hot).await?;
        }
        Ok(())
    }

    /// Moves newer events from Redis into Postgres. A dry run leaves them where they are.
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

    /// Fails when Postgres is not the one that was checked any more.
    async fn is_still(&self, looked: &LossReport) -> Result<(), RecoveryError> {
        match (&looked.identity, self.store.recovery().identity().await?) {
            (Some(was), Some(is)) if *was != is => Err(RecoveryError::TakenOver { was: was.clone(), is }),
            _ => Ok(()),
        }
    }

    /// Restores all lost jobs of `queues`, and of `others` those that were accepted into the outbox.
    async fn restore_lost(
        &mut self,
        (queues, others): (Vec<QueueName>, Vec<QueueName>),
        looked: &LossReport,
        seen: &(impl Fn(u64) + Send),
    ) -> Result<(), RecoveryError> {
        let mut after = None;
        loop {
            let UnfinishedPage { jobs, unreadable, next } =
                self.store.recovery().unfinished_and_kept(&queues, &others, after, AT_ONCE, self.retention).await?;
            seen((jobs.len() + unreadable.len()) as u64);
            self.is_still(looked).await?;
            for job in unreadable {
                tracing::error!(job = job.id, queue = %job.queue, reason = job.reason, "a row cannot be read, so its job is not put back");
                self.of(&job.queue).unreadable += 1;
            }
            let mut by_queue: BTreeMap<QueueName, Vec<LostJob>> = BTreeMap::new();
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

    async fn restore(&mut self, queue: &Queue, mut jobs: Vec<LostJob>) -> Result<(), RecoveryError> {
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let missing = queue.missing(&ids).await?;
        if missing.is_empty() {
            return Ok(());
        }
        // Some may have ended since Postgres was read; the events of that are in Redis.
        self.sync().await?;
        let missing: HashSet<JobId> = not_ended(queue, &self.syncer, &self.store, missing).await?.into_iter().collect();
        jobs.retain(|job| missing.contains(&job.id));
        for job in &mut jobs {
            job.in_doubt = self.in_doubt;
        }
        let (dead, alive): (Vec<LostJob>, Vec<LostJob>) = jobs.into_iter().partition(|job| job.died_at.is_some());
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

/// The jobs of `unfinished` (unfinished by Postgres) that `queue` has lost: it does not have them, and no event says that they ended.
pub async fn lost(
    queue: &Queue,
    syncer: &Syncer,
    store: &Store,
    unfinished: &[JobId],
) -> Result<Vec<JobId>, RecoveryError> {
    not_ended(queue, syncer, store, queue.missing(unfinished).await?).await
}

/// The jobs of `missing` that have ended neither by the events not yet synced nor by Postgres.
async fn not_ended(
    queue: &Queue,
    syncer: &Syncer,
    store: &Store,
    mut missing: Vec<JobId>,
) -> Result<Vec<JobId>, RecoveryError> {
    if missing.is_empty() {
        return Ok(missing);
    }
    // In this order: an event that is synced in between is in Postgres when it is read.
    let news = syncer.unsynced(queue.name(), &missing.iter().copied().collect(), usize::MAX).await?;
    missing.retain(|id| !news.jobs.get(id).is_some_and(|news| is_over(news.state())));
    let ended: HashSet<JobId> = store.recovery().ended(&missing).await?.into_iter().collect();
    missing.retain(|id| !ended.contains(id));
    Ok(missing)
}

/// How many of these jobs, ended by Postgres, are still in Redis. Jobs that were removed or brought back in the meantime do not count.
async fn still_there(queue: &Queue, syncer: &Syncer, ended: Vec<JobId>) -> Result<usize, RecoveryError> {
    let gone: HashSet<JobId> = queue.missing(&ended).await?.into_iter().collect();
    let there: HashSet<JobId> = ended.into_iter().filter(|id| !gone.contains(id)).collect();
    let news = syncer.unsynced(queue.name(), &there, usize::MAX).await?;
    Ok(there.iter().filter(|id| news.jobs.get(id).is_none_or(|news| is_over(news.state()))).count())
}

/// Whether Redis forgets a job in this state.
fn is_over(state: JobState) -> bool {
    matches!(state, JobState::Done | JobState::Cancelled | JobState::Discarded)
}
