//! Rebuilding queues from what Postgres knows of them: all of it for `perch recover`, and by itself, for the ledger queues,
//! whenever Redis was started again.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use perch_base::{Environment, Settings};
use perch_jobs::{JobId, QueueName};
use perch_queue::{Queue, QueueError, Queues, Redis, Restore};
use perch_store::{JobState, RolledBack, Store, StoreError, Syncer, UnfinishedJobs};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// How often a scheduler looks whether Redis was started again.
const LOOK_EVERY: Duration = Duration::from_secs(5);
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
}

/// Brings queues to what Postgres knows of them. Workers may go on meanwhile, and it may be done again.
pub struct Recovery {
    queues: Vec<Queue>,
    store: Store,
    syncer: Syncer,
    retention: Duration,
    dry_run: bool,
    in_doubt: bool,
    done: BTreeMap<QueueName, Recovered>,
}

impl Recovery {
    /// A recovery of `queues`.
    pub fn new(queues: Vec<Queue>, all: &Queues, store: &Store, env: Environment, settings: &Settings) -> Self {
        let syncer = Syncer::new(all.redis().clone(), store.clone(), env, &all.names(), settings.sync.batch);
        let retention = queues.iter().map(|queue| queue.settings().dead_retention).max().unwrap_or_default();
        Self { queues, store: store.clone(), syncer, retention, dry_run: false, in_doubt: false, done: BTreeMap::new() }
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
    /// the jobs looked at. Answers what was done, by queue.
    pub async fn whole(
        mut self,
        seen: impl Fn(u64) + Send + Sync,
    ) -> Result<BTreeMap<QueueName, Recovered>, RecoveryError> {
        let _alone = self.store.recovery().alone(ALONE).await?;
        // Looked at before the sync: a job that is there now and has ended after it was not left there by a worker.
        let present = self.present(&seen).await?;
        self.sync().await?;
        self.remove_ended(present).await?;
        self.restore_lost(&seen).await?;
        Ok(self.done)
    }

    /// Puts back what Redis has lost.
    pub async fn lost(mut self) -> Result<BTreeMap<QueueName, Recovered>, RecoveryError> {
        let _alone = self.store.recovery().alone(ALONE).await?;
        self.sync().await?;
        self.restore_lost(&|_| ()).await?;
        Ok(self.done)
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

    async fn restore_lost(&mut self, seen: &(impl Fn(u64) + Send)) -> Result<(), RecoveryError> {
        let names: Vec<QueueName> = self.queues.iter().map(|queue| queue.name().clone()).collect();
        let mut after = None;
        loop {
            let UnfinishedJobs { jobs, unreadable, next } =
                self.store.recovery().unfinished(&names, after, AT_ONCE, self.retention).await?;
            seen((jobs.len() + unreadable.len()) as u64);
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

/// Why what Postgres says of jobs and effects may be too old to go by. Jobs that it knows as unfinished may have run, and posts may
/// have gone out, in the seconds that it lost.
pub struct Doubts {
    syncer: Syncer,
    store: Store,
    redis: Redis,
    key: String,
}

impl Doubts {
    /// Of the deployment with these queues.
    pub fn new(queues: &Queues, store: &Store, settings: &Settings) -> Self {
        let redis = queues.redis().clone();
        let syncer = Syncer::new(redis.clone(), store.clone(), settings.env, &queues.names(), settings.sync.batch);
        Self { syncer, store: store.clone(), redis, key: format!("{}postgres", settings.env.prefix()) }
    }

    /// What speaks against Postgres; nothing when it is the one that Redis was synced into last, and has all of it.
    pub async fn found(&self) -> Result<Vec<String>, RecoveryError> {
        let mut found = Vec::new();
        for RolledBack { stream, had, has } in self.syncer.rolled_back().await? {
            found.push(format!("Postgres had {stream} up to {} and has it up to {}", had.at(), has.at()));
        }
        if let Some(is) = self.store.recovery().identity().await? {
            let by_itself = self.store.recovery().known_identity().await?;
            // A Redis that lost its last seconds, too, remembers an earlier one.
            let is_seen_to = by_itself.as_ref() == Some(&is);
            let by_redis = self.known().await?.filter(|known| !(is_seen_to && is_earlier(known, &is)));
            let known: BTreeSet<String> = by_redis.into_iter().chain(by_itself).collect();
            found.extend(known.into_iter().filter(|known| *known != is).map(|known| {
                format!("Postgres was promoted, restored or replaced: system and timeline were {known}, and are {is}")
            }));
        }
        Ok(found)
    }

    /// Whether a Postgres that lost something can be told from one that did not: not where a provider keeps to itself which it is.
    pub async fn can_be_found(&self) -> Result<bool, RecoveryError> {
        Ok(self.store.recovery().identity().await?.is_some())
    }

    /// What Redis says which Postgres was here.
    async fn known(&self) -> Result<Option<String>, RecoveryError> {
        let known: Option<Vec<u8>> =
            self.redis.cmd("read which Postgres was here", redis::cmd("GET").arg(&self.key)).await?;
        Ok(known.map(|known| String::from_utf8_lossy(&known).into_owned()))
    }

    /// Notes that Postgres has lost something. Acts outside of jobs from before are asked for before they are done.
    async fn note_loss(&self) -> Result<(), RecoveryError> {
        if let Some(is) = self.store.recovery().identity().await? {
            self.store.recovery().note_seen(&is).await?;
        }
        Ok(self.store.recovery().note_loss().await?)
    }

    /// Notes which Postgres this is, in it and in Redis: each may lose what the other has.
    async fn note(&self) -> Result<(), RecoveryError> {
        let Some(is) = self.store.recovery().identity().await? else { return Ok(()) };
        if self.store.recovery().known_identity().await? != Some(is.clone()) {
            self.store.recovery().note_identity(&is).await?;
        }
        let mut cmd = redis::cmd("SET");
        cmd.arg(&self.key).arg(is);
        self.redis.cmd::<()>("note which Postgres this is", &cmd).await?;
        Ok(())
    }

    /// Somebody has seen to what Postgres lost: from now on it is taken at its word, save for jobs from before where it has lost
    /// something.
    pub async fn settle(&self, in_doubt: bool) -> Result<(), RecoveryError> {
        if in_doubt {
            self.note_loss().await?;
        }
        self.syncer.accept_roll_back().await?;
        self.note().await
    }
}

/// Whether an identity is one that this Postgres had: the same system, on a timeline before.
fn is_earlier(known: &str, is: &str) -> bool {
    let parts = |identity: &str| {
        let (system, timeline) = identity.split_once(':')?;
        Some((system.to_owned(), timeline.parse::<u32>().ok()?))
    };
    match (parts(known), parts(is)) {
        (Some((system, then)), Some((same, now))) => system == same && then < now,
        _ => false,
    }
}

/// Puts back what the ledger queues have lost whenever Redis was started again: an append-only file that is written once a second
/// lacks the last of it. Any number of processes may watch.
pub struct Watch {
    settings: Settings,
    queues: Queues,
    store: Store,
    doubts: Doubts,
    /// Whether it is noted which Postgres this is.
    noted: AtomicBool,
    /// Whether it is noted that it has lost something.
    lost: AtomicBool,
}

/// What a look of a [`Watch`] came to.
#[derive(Debug)]
pub enum Look {
    /// Redis has not been started again since the last one.
    InStep,
    /// It has been, and what it had lost is back.
    PutBack(BTreeMap<QueueName, Recovered>),
    /// What Postgres says cannot be gone by, for these reasons. Nothing was put back.
    Held(Vec<String>),
}

impl Watch {
    /// Over the ledger queues among `queues`.
    pub fn new(settings: &Settings, queues: &Queues, store: &Store) -> Self {
        let doubts = Doubts::new(queues, store, settings);
        Self {
            settings: settings.clone(),
            queues: queues.clone(),
            store: store.clone(),
            doubts,
            noted: AtomicBool::default(),
            lost: AtomicBool::default(),
        }
    }

    /// Looks every few seconds until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match self.run_once().await {
                Ok(look) => tell(&look),
                Err(error) => tracing::warn!(%error, "whether Redis has lost jobs of ledger queues is not known yet"),
            }
        }
    }

    /// Looks once.
    pub async fn run_once(&self) -> Result<Look, RecoveryError> {
        let mut anew = Vec::new();
        for queue in self.queues.iter().filter(|queue| queue.settings().ledger) {
            if let Some(run) = queue.new_run().await? {
                anew.push((queue.clone(), run));
            }
        }
        let doubts = self.doubts.found().await?;
        if !doubts.is_empty() {
            if !self.lost.swap(true, Ordering::Relaxed) {
                self.doubts.note_loss().await?;
            }
            return Ok(Look::Held(doubts));
        }
        self.lost.store(false, Ordering::Relaxed);
        if anew.is_empty() && self.noted.load(Ordering::Relaxed) {
            return Ok(Look::InStep);
        }
        self.doubts.note().await?;
        self.noted.store(true, Ordering::Relaxed);
        if anew.is_empty() {
            return Ok(Look::InStep);
        }
        let in_doubt = !self.doubts.can_be_found().await?;
        let of = anew.iter().map(|(queue, _)| queue.clone()).collect();
        let recovery =
            Recovery::new(of, &self.queues, &self.store, self.settings.env, &self.settings).in_doubt(in_doubt);
        let done = recovery.lost().await?;
        for (queue, run) in anew {
            queue.held_against(&run).await?;
        }
        Ok(Look::PutBack(done))
    }
}

fn tell(look: &Look) {
    let held = metrics::gauge!("perch_recovery_held");
    match look {
        Look::InStep => held.set(0.0),
        Look::Held(doubts) => {
            held.set(1.0);
            let why = doubts.join("; ");
            tracing::error!(
                why,
                "Postgres is older than Redis: nothing is put back by itself, and posts of jobs from before are looked for on X first; \
                 see `perch doctor`"
            );
        }
        Look::PutBack(done) => {
            held.set(0.0);
            for (queue, Recovered { restored, dead_letters, unreadable, .. }) in done {
                let counter = metrics::counter!("perch_jobs_restored_total", "queue" => queue.to_string());
                counter.increment(restored + dead_letters);
                tracing::warn!(%queue, restored, dead_letters, unreadable, "Redis was started again and had lost jobs; they are back");
            }
        }
    }
}
