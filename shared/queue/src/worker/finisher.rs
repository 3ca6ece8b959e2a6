//! Writes acks to Redis by group commit: while one batch is under way, the next one collects.

use std::{sync::Arc, time::Duration};

use perch_base::crash_point;
use tokio::sync::mpsc;

use super::{backoff::Backoff, buffer::Buffer};
use crate::{
    Queue,
    finish::{ACKS_AT_ONCE, Ack, finish},
};

/// Runs until the senders are gone and everything is written. A failed call to Redis is repeated until it succeeds. The leases
/// are renewed meanwhile; for a lost lease, the repetition changes nothing.
pub(super) async fn run(queue: Queue, buffer: Arc<Buffer>, mut acks: mpsc::Receiver<Ack>, give_up: Duration) {
    let mut batch = Vec::with_capacity(ACKS_AT_ONCE);
    let mut closing: Option<tokio::time::Instant> = None;
    while acks.recv_many(&mut batch, ACKS_AT_ONCE).await > 0 {
        let mut backoff = Backoff::new();
        loop {
            crash_point!("worker.before_ack");
            match finish(&queue, &batch).await {
                Ok(held) => {
                    crash_point!("worker.after_ack");
                    report_lost(&queue, &batch, &held);
                    break;
                }
                Err(error) => {
                    tracing::warn!(queue = %queue.name(), jobs = batch.len(), %error, "acknowledgements wait for Redis");
                    if acks.is_closed() {
                        let since = *closing.get_or_insert_with(tokio::time::Instant::now);
                        if since.elapsed() > give_up {
                            tracing::error!(queue = %queue.name(), jobs = batch.len(), "shutting down without Redis: these jobs run again once their lease ends");
                            break;
                        }
                    }
                    backoff.wait().await;
                }
            }
        }
        buffer.forget(batch.iter().map(|f| &f.lease));
        batch.clear();
    }
}

fn report_lost(queue: &Queue, batch: &[Ack], held: &[bool]) {
    for (finish, _) in batch.iter().zip(held).filter(|(_, held)| !**held) {
        metrics::counter!("perch_leases_lost_total", "queue" => queue.name().to_string()).increment(1);
        tracing::warn!(
            job = %finish.lease.id(),
            queue = %queue.name(),
            attempt = finish.lease.attempt(),
            "the lease was gone when the attempt ended; its result is ignored"
        );
    }
}
