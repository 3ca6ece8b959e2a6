//! The loss of Redis itself: everything in it is gone at once, and `perch recover` rebuilds the queues.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use perch_jobs::JobId;
use perch_queue::Queues;
use perch_store::Syncer;
use tokio::{process::Command, sync::RwLock};

use crate::{error::RigError, fleet::Fleet, journal::Journal};

/// What a wipe needs.
#[derive(Debug)]
pub struct Wipe {
    /// The `perch` binary.
    pub perch: PathBuf,
    /// Its environment, with the way to Redis and Postgres past the proxies.
    pub env: BTreeMap<String, String>,
    /// The queues, past the proxies.
    pub queues: Queues,
    /// Moves the events of the jobs into Postgres.
    pub syncer: Syncer,
    /// Whoever enqueues from this process holds it for reading.
    pub gate: Arc<RwLock<()>>,
}

/// What a frozen process has sent is on its way for so long at most: a slow proxy, and the server.
const ON_ITS_WAY: Duration = Duration::from_millis(1_500);

impl Wipe {
    /// Freezes every process, empties Redis, recovers, and lets them go on.
    ///
    /// The events of the jobs are synced first, so that what was done before is known to be done. What queues without a
    /// ledger hold at that moment may be lost, and is noted as such.
    pub async fn carry_out(&self, fleet: &Fleet, journal: &Journal) -> Result<(), RigError> {
        let nobody_enqueues = self.gate.write().await;
        fleet.hold();
        tokio::time::sleep(ON_ITS_WAY).await;
        let outcome = self.empty_and_recover(journal).await;
        fleet.let_go();
        drop(nobody_enqueues);
        outcome
    }

    async fn empty_and_recover(&self, journal: &Journal) -> Result<(), RigError> {
        while !self.syncer.run_once().await?.complete {}
        for queue in self.queues.iter().filter(|queue| !queue.settings().ledger) {
            let mut held: Vec<JobId> = Vec::new();
            queue.scan(|some| held.extend(some)).await?;
            journal.notes().wiped.extend(held);
        }
        self.queues.redis().cmd::<String>("wipe Redis", &redis::cmd("FLUSHALL")).await?;
        journal.fault("wipe of Redis, perch recover");
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
}
