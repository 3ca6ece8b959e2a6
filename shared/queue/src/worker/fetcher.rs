//! Keeps the buffer of a pool filled: fetches while there is room, and waits in a blocking read while there is nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::{BoxFuture, FutureExt};
use perch_base::crash_point;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    backoff::Backoff,
    buffer::{Buffer, Delivery, Held},
    calm::Calm,
};
use crate::{
    Connection, EventData, Queue, QueueError,
    fetch::fetch,
    finish::{Finish, Verdict},
    lease,
};

/// What a fetch leaves to do.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// There is more.
    FetchAgain,
    /// Nothing until a token comes, the blocking read ends, or, where something is due before that, this time has passed.
    Wait(Option<Duration>),
}

/// Whether to fetch again or to wait, after a fetch that found `found` jobs for `asked` places.
fn next(found: usize, asked: usize, next: Option<Duration>, paused: bool, longest: Duration) -> Next {
    if !paused && (found >= asked || next == Some(Duration::ZERO)) {
        return Next::FetchAgain;
    }
    Next::Wait(next.filter(|due| *due < longest))
}

pub(super) struct Fetcher {
    pub queue: Queue,
    pub buffer: Arc<Buffer>,
    pub holder: String,
    /// What the worker says of itself, as JSON.
    pub about: String,
    pub stop: CancellationToken,
    pub verdicts: mpsc::Sender<Finish>,
}

impl Fetcher {
    /// Runs until `stop`. No failure of Redis ends it.
    pub async fn run(self) {
        let mut backoff = Backoff::new();
        let mut waiting_backoff = Backoff::new();
        let mut waiter = Waiter::new(self.queue.clone());
        let mut calm = Calm::new(self.queue.engine().lease);
        // What an answer that was lost has leased to this worker, perhaps.
        let mut may_hold_unknown = false;
        let mut about = self.about.as_str();
        while !self.stop.is_cancelled() {
            let wanted = self.buffer.wanted();
            if wanted == 0 {
                tokio::select! {
                    () = self.buffer.freed() => {}
                    // A token that reaches a full pool is meant for another worker.
                    _ = waiter.token_if_pending() => pass_on(&self.queue).await,
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            if may_hold_unknown && self.reclaim().await.is_ok() {
                may_hold_unknown = false;
            }
            match self.fetch(wanted, calm.reaped(), about).await {
                Ok(next) => {
                    about = "";
                    backoff.reset();
                    let Next::Wait(due) = next else { continue };
                    let due = due.into_iter().chain(calm.left()).min();
                    tokio::select! {
                        got = waiter.token() => match got {
                            Ok(()) => waiting_backoff.reset(),
                            Err(error) => {
                                self.away(&error);
                                waiting_backoff.wait().await;
                            }
                        },
                        () = passed(due) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                Err(error) => {
                    self.away(&error);
                    may_hold_unknown = true;
                    calm.disturbed();
                    // A Redis that came back empty does not know this worker.
                    about = self.about.as_str();
                    waiter.forget();
                    tokio::select! {
                        () = backoff.wait() => {}
                        () = self.stop.cancelled() => {}
                    }
                }
            }
        }
    }

    async fn fetch(&self, wanted: usize, reaped: usize, about: &str) -> Result<Next, QueueError> {
        let asked_at = Instant::now();
        let batch = fetch(&self.queue, &self.holder, wanted, reaped, about).await?;
        let found = batch.jobs.len();
        if found > 0 {
            crash_point!("worker.fetched");
        }
        let deliveries = batch
            .jobs
            .into_iter()
            .map(|job| Delivery { held: Arc::new(Held::new(job.lease, asked_at)), envelope: job.envelope })
            .collect();
        if found > 0 {
            for delivery in self.buffer.add(deliveries) {
                release(&self.verdicts, &delivery).await;
            }
        }
        Ok(next(found, wanted, batch.next, batch.paused, self.queue.engine().idle_block))
    }

    async fn reclaim(&self) -> Result<(), QueueError> {
        let given_back = lease::reclaim(&self.queue, &self.holder, &self.buffer.leases()).await?;
        if given_back > 0 {
            tracing::info!(queue = %self.queue.name(), jobs = given_back, "given back what a lost answer had leased");
        }
        Ok(())
    }

    fn away(&self, error: &QueueError) {
        tracing::warn!(queue = %self.queue.name(), %error, "Redis is away; the worker keeps trying");
    }
}

/// Gives a job back that was not started.
pub(super) async fn release(verdicts: &mpsc::Sender<Finish>, delivery: &Delivery) {
    let lease = delivery.held.lease.clone();
    let data =
        EventData { attempt: Some(lease.attempt()), worker: Some(lease.holder().to_owned()), ..EventData::default() };
    // Closed only once nothing can be written any more; then the lease runs out.
    let _ = verdicts.send(Finish { lease, verdict: Verdict::Release, data }).await;
}

async fn passed(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}

type Read = BoxFuture<'static, Result<Connection, QueueError>>;

/// The blocking read of an idle worker. It goes on while the worker fetches for another reason, so that none is wasted.
struct Waiter {
    queue: Queue,
    pending: Option<Read>,
    idle: Option<Connection>,
}

impl Waiter {
    fn new(queue: Queue) -> Self {
        Self { queue, pending: None, idle: None }
    }

    /// Returns when a token came or the read timed out in Redis.
    async fn token(&mut self) -> Result<(), QueueError> {
        let read = self.pending.get_or_insert_with(|| blocking_read(self.queue.clone(), self.idle.take()).boxed());
        let result = read.await;
        self.pending = None;
        self.idle = Some(result?);
        Ok(())
    }

    async fn token_if_pending(&mut self) -> Result<(), QueueError> {
        if self.pending.is_none() {
            std::future::pending::<()>().await;
        }
        self.token().await
    }

    fn forget(&mut self) {
        self.pending = None;
        self.idle = None;
    }
}

/// Puts a token back for another worker.
async fn pass_on(queue: &Queue) {
    let mut cmd = redis::cmd("LPUSH");
    cmd.arg(queue.keys().wake()).arg("1");
    if let Err(error) = queue.redis().cmd::<i64>("wake", &cmd).await {
        tracing::debug!(%error, "a token was not passed on; the next fetch makes up for it");
    }
}

/// Waits for a token, at most `engine.idle_block`, and gives the connection back for the next time.
async fn blocking_read(queue: Queue, conn: Option<Connection>) -> Result<Connection, QueueError> {
    let mut conn = match conn {
        Some(conn) => conn,
        None => queue.redis().dedicated().await?,
    };
    let doing = "wait for work";
    let longest = queue.engine().idle_block;
    let mut cmd = redis::cmd("BLPOP");
    cmd.arg(queue.keys().wake()).arg(longest.as_secs_f64());
    // A connection that died without a word would block for ever.
    tokio::time::timeout(longest + Duration::from_secs(5), cmd.query_async::<Option<(String, String)>>(&mut conn))
        .await
        .map_err(|_| QueueError::Timeout { doing, after: longest })?
        .map_err(|e| QueueError::from_redis(doing, e))?;
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn a_full_batch_is_followed_by_another_fetch() {
        assert_eq!(next(8, 8, None, false, LONGEST), Next::FetchAgain);
        assert_eq!(next(3, 8, Some(Duration::ZERO), false, LONGEST), Next::FetchAgain);
    }

    #[test]
    fn an_empty_queue_is_waited_for_until_the_next_job_is_due() {
        let due = Duration::from_millis(40);
        assert_eq!(next(0, 8, Some(due), false, LONGEST), Next::Wait(Some(due)));
        assert_eq!(next(0, 8, Some(LONGEST * 9), false, LONGEST), Next::Wait(None));
    }

    #[test]
    fn a_paused_queue_is_not_asked_again_and_again() {
        assert_eq!(next(0, 8, None, true, LONGEST), Next::Wait(None));
    }
}
