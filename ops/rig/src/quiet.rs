//! Waiting until nothing is left to do.

use std::time::Duration;

use perch_queue::{QueueError, Queues};
use tokio::time::Instant;

/// The number of jobs in all queues at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Ready or parked.
    pub waiting: u64,
    /// Delayed: scheduled, or between two attempts.
    pub delayed: u64,
    /// With a worker.
    pub running: u64,
    /// In the dead letters.
    pub dead: u64,
    /// Done since Redis began to hold the queues.
    pub succeeded: u64,
    /// Those of `sync_to_store` among them: the scheduler adds jobs to it all the time.
    pub of_sync: u64,
}

impl Load {
    /// Jobs that are not finished.
    pub fn open(&self) -> u64 {
        self.waiting + self.delayed + self.running
    }
}

/// Reads the numbers of all queues.
pub async fn load(queues: &Queues) -> Result<Load, QueueError> {
    let mut load = Load::default();
    for queue in queues.iter() {
        let stats = queue.stats().await?;
        load.waiting += stats.waiting();
        load.delayed += stats.delayed;
        load.running += stats.running;
        load.dead += stats.dead;
        load.succeeded += stats.succeeded;
        if queue.name().as_str() == "sync_to_store" {
            load.of_sync += stats.waiting() + stats.delayed + stats.running;
        }
    }
    Ok(load)
}

/// How many times in a row nothing must be left before the queues count as quiet.
const CALM: u32 = 4;
const EVERY: Duration = Duration::from_millis(400);

/// Waits until no job is left, apart from those of cron when `with_cron`; false when `deadline` came first. Reports
/// progress every few seconds.
pub async fn wait(queues: &Queues, with_cron: bool, deadline: Instant, say: impl Fn(&Load)) -> bool {
    let mut calm = 0;
    let mut said = Instant::now();
    while Instant::now() < deadline {
        if let Ok(load) = load(queues).await {
            let left = if with_cron { load.open() - load.of_sync } else { load.open() };
            calm = if left == 0 { calm + 1 } else { 0 };
            if calm == CALM {
                return true;
            }
            if said.elapsed() > Duration::from_secs(5) {
                said = Instant::now();
                say(&load);
            }
        }
        tokio::time::sleep(EVERY).await;
    }
    false
}
