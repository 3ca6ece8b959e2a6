//! The scheduler's watch for data that Redis or Postgres has lost.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use perch_base::Settings;
use perch_jobs::QueueName;
use perch_queue::Queues;
use perch_store::{HotStore, Store, Syncer};
use tokio_util::sync::CancellationToken;

use super::{LossCheck, Reconciled, Reconciler, Recovered, Recovery, RecoveryError};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// For how long after a loss of Postgres the events that it is sent again are reconciled with the effect ledger.
const RECONCILED_FOR: Duration = Duration::from_secs(120);

/// Puts back the lost jobs of ledger queues, and those enqueued in SQL into other queues, whenever Redis was restarted: an append-only
/// file that is synced once a second lacks the last of it. Any number of processes may watch.
pub struct Watch {
    settings: Settings,
    queues: Queues,
    store: Store,
    syncer: Syncer,
    hot: HotStore,
    reconciler: Arc<dyn Reconciler>,
    doubts: LossCheck,
    /// Whether the identity of Postgres is noted.
    noted: AtomicBool,
    /// Whether a loss of Postgres is noted.
    lost: AtomicBool,
}

/// The result of one check of a [`Watch`].
#[derive(Debug)]
pub enum WatchOutcome {
    /// Redis was not restarted since the last check.
    InStep,
    /// Redis was restarted, and the jobs that it had lost are back.
    PutBack(BTreeMap<QueueName, Recovered>),
    /// Postgres may have lost data, for these reasons. Nothing was put back.
    Held(Vec<String>),
}

impl Watch {
    /// A watch over these queues.
    pub fn new(settings: &Settings, queues: &Queues, store: &Store, reconciler: Arc<dyn Reconciler>) -> Self {
        let (doubts, redis) = (LossCheck::new(queues, store, settings), queues.redis().clone());
        Self {
            syncer: Syncer::new(redis.clone(), store.clone(), settings.env, &queues.names(), settings.sync.batch),
            hot: HotStore::new(redis, settings.env),
            reconciler,
            settings: settings.clone(),
            queues: queues.clone(),
            store: store.clone(),
            doubts,
            noted: AtomicBool::default(),
            lost: AtomicBool::default(),
        }
    }

    /// Checks every few seconds until `stop`.
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
                Err(error) => {
                    tracing::warn!(%error, "could not check whether Redis has lost jobs of ledger queues; it is checked again");
                }
            }
        }
    }

    /// Repairs the effect ledger from events that Redis sends to Postgres again after a loss.
    async fn reconcile(&self) -> Result<(), RecoveryError> {
        if !self.store.recovery().lost_within(RECONCILED_FOR).await? {
            return Ok(());
        }
        self.syncer.run_once().await?;
        let Reconciled { effects, records } = self.reconciler.reconcile(&self.store, &self.hot).await?;
        if effects + records > 0 {
            tracing::warn!(effects, records, "Postgres had lost effects or records of acts; they are restored");
        }
        Ok(())
    }

    /// Checks once.
    pub async fn run_once(&self) -> Result<WatchOutcome, RecoveryError> {
        let mut anew = Vec::new();
        for queue in self.queues.iter() {
            if let Some(run) = queue.new_run().await? {
                anew.push((queue.clone(), run));
            }
        }
        let looked = self.doubts.look().await?;
        if !looked.doubts.is_empty() {
            if !self.lost.load(Ordering::Relaxed) {
                self.doubts.note_loss().await?;
                self.lost.store(true, Ordering::Relaxed);
            }
            self.reconcile().await?;
            return Ok(WatchOutcome::Held(looked.doubts));
        }
        self.lost.store(false, Ordering::Relaxed);
        self.reconcile().await?;
        if anew.is_empty() && self.noted.load(Ordering::Relaxed) {
            return Ok(WatchOutcome::InStep);
        }
        self.doubts.note(&looked).await?;
        self.noted.store(true, Ordering::Relaxed);
        if anew.is_empty() {
            return Ok(WatchOutcome::InStep);
        }
        let of = anew.iter().map(|(queue, _)| queue.clone()).collect();
        let recovery = Recovery::new(of, &self.queues, &self.store, &self.settings, self.reconciler.clone())
            .in_doubt(!looked.can_be_told());
        let done = recovery.lost(&looked).await?;
        for (queue, run) in anew {
            queue.mark_compared(&run).await?;
        }
        Ok(WatchOutcome::PutBack(done))
    }
}

fn tell(look: &WatchOutcome) {
    let held = metrics::gauge!("perch_recovery_held");
    match look {
        WatchOutcome::InStep => held.set(0.0),
        WatchOutcome::Held(doubts) => {
            held.set(1.0);
            let why = doubts.join("; ");
            tracing::error!(
                why,
                "Postgres is older than Redis: nothing is put back by itself, and posts of jobs from before are looked for on X first; \
                 see `perch doctor`"
            );
        }
        WatchOutcome::PutBack(done) => {
            held.set(0.0);
            for (queue, Recovered { restored, dead_letters, unreadable, .. }) in done {
                let counter = metrics::counter!("perch_jobs_restored_total", "queue" => queue.to_string());
                counter.increment(restored + dead_letters);
                tracing::warn!(%queue, restored, dead_letters, unreadable, "Redis was restarted and had lost jobs; they are put back");
            }
        }
    }
}
