//! Plays the operator after a server lost data: freezes all processes, and runs `perch recover`.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use perch_jobs::JobId;
use perch_queue::Queues;
use perch_store::Syncer;
use tokio::{
    process::Command,
    sync::{OwnedRwLockWriteGuard, RwLock},
};

use crate::{error::RigError, fleet::Fleet, journal::Journal, sabotage::Sabotage, servers::until};

/// The tools of the operator.
#[derive(Debug)]
pub struct Operator {
    /// The `perch` binary.
    pub perch: PathBuf,
    /// Its environment, with direct connections to Redis and Postgres.
    pub env: BTreeMap<String, String>,
    /// The queues, over a direct connection.
    pub queues: Queues,
    /// Moves the events of the jobs into Postgres.
    pub syncer: Syncer,
    /// Held for reading by every producer of this process.
    pub gate: Arc<RwLock<()>>,
    /// The safeguard that is off.
    pub without: Option<Sabotage>,
}

/// The longest time that a request of a frozen process is in flight: a slow proxy, and the server.
const ON_ITS_WAY: Duration = Duration::from_millis(1_500);

/// Keeps all processes frozen until it is dropped.
pub struct FrozenFleet<'a> {
    fleet: &'a Fleet,
    _nobody_enqueues: OwnedRwLockWriteGuard<()>,
}

impl Drop for FrozenFleet<'_> {
    fn drop(&mut self) {
        self.fleet.let_go();
    }
}

impl Operator {
    /// Freezes every process, and keeps new jobs out.
    pub async fn hold_still<'a>(&self, fleet: &'a Fleet) -> FrozenFleet<'a> {
        let nobody_enqueues = self.gate.clone().write_owned().await;
        fleet.hold();
        let still = FrozenFleet { fleet, _nobody_enqueues: nobody_enqueues };
        tokio::time::sleep(ON_ITS_WAY).await;
        still
    }

    /// Empties Redis and recovers.
    ///
    /// Job events are synced first, so that Postgres knows which jobs are done. Jobs that queues without a
    /// ledger hold at that moment may be lost, and are noted as such.
    pub async fn empty_redis(&self, journal: &Journal) -> Result<(), RigError> {
        while !self.syncer.run_once().await?.complete {}
        for queue in self.queues.iter().filter(|queue| !queue.settings().ledger) {
            let mut held: Vec<JobId> = Vec::new();
            queue.scan(|some| held.extend(some)).await?;
            journal.notes().wiped.extend(held);
        }
        self.queues.redis().cmd::<String>("wipe Redis", &redis::cmd("FLUSHALL")).await?;
        self.recover().await
    }

    /// Runs `perch recover`.
    pub async fn recover(&self) -> Result<(), RigError> {
        let mut recover = Command::new(&self.perch);
        recover.args(["recover", "--yes"]).env_clear().envs(&self.env).stdin(Stdio::null());
        let output =
            recover.output().await.map_err(|source| RigError::Program { program: "perch recover".into(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(RigError::Ended { program: "perch recover".into(), said })
    }

    /// Whether losses of Redis must go unnoticed in this run.
    pub fn hides_losses_of_redis(&self) -> bool {
        self.without == Some(Sabotage::Failover)
    }

    /// Makes Perch believe that the promoted or restarted Redis is the one it knows.
    pub async fn hide_loss_of_redis(&self) -> Result<(), RigError> {
        for queue in self.queues.iter() {
            let known = || async {
                match queue.new_run().await {
                    Ok(Some(run)) => queue.mark_compared(&run).await.is_ok(),
                    Ok(None) => true,
                    Err(_) => false,
                }
            };
            if !until(Duration::from_secs(20), known).await {
                return Err(RigError::Setup("the Redis that took over does not answer".into()));
            }
        }
        Ok(())
    }
}
