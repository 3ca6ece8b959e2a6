//! Renews the leases of the whole process on its own thread, so that busy handlers cannot starve it.

use std::{sync::Arc, thread, time::Instant};

use perch_base::crash_point;
use tokio_util::sync::CancellationToken;

use super::{
    buffer::{Buffer, StopReason},
    reap_guard::ReapGuard,
};
use crate::{Queue, lease};

/// Starts the thread; it ends when `stop` is cancelled.
pub(super) fn start(
    holder: String,
    pools: Vec<(Queue, Arc<Buffer>)>,
    stop: CancellationToken,
) -> std::io::Result<thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("perch-heartbeat".into()).spawn(move || {
        runtime.block_on(async move {
            let pulses = pools.into_iter().map(|(queue, buffer)| beat(holder.clone(), queue, buffer));
            tokio::select! {
                () = stop.cancelled() => {}
                _ = futures::future::join_all(pulses) => {}
            }
        });
    })
}

async fn beat(holder: String, queue: Queue, buffer: Arc<Buffer>) {
    // Connections belong to the runtime that opened them.
    let queue = queue.with_own_pool();
    let mut reap_guard = ReapGuard::new(queue.engine().lease);
    let mut ticks = tokio::time::interval(queue.engine().heartbeat);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let leases = buffer.leases();
        if leases.is_empty() {
            continue;
        }
        let asked_at = Instant::now();
        crash_point!("heartbeat.before");
        match lease::renew(&queue, &holder, &leases, reap_guard.reaped()).await {
            Ok(reply) => {
                crash_point!("heartbeat.after");
                for lease in leases.iter().filter(|lease| !reply.lost.iter().any(|lost| lost == lease.member())) {
                    if let Some(held) = buffer.get(lease.member()) {
                        held.renewed(asked_at);
                    }
                }
                for lease in reply.lost {
                    if let Some(held) = buffer.get(&lease) {
                        held.stop(StopReason::LeaseLost);
                    }
                }
                for (lease, reason) in reply.stop {
                    if let Some(held) = buffer.get(&lease) {
                        held.stop(StopReason::Cancelled(reason));
                    }
                }
            }
            Err(error) => {
                reap_guard.disturbed();
                tracing::warn!(queue = %queue.name(), leases = leases.len(), %error, "leases not renewed");
            }
        }
    }
}
