//! Keeps the buffer of a pool filled: fetches while there is room, and waits in a blocking read while there is nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use perch_base::crash_point;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    backoff::Backoff,
    buffer::{Buffer, Delivery, Held},
    reap_guard::ReapGuard,
    waiter::Waiter,
};
use crate::{
    EventData, Lease, Queue, QueueError,
    fetch::{self, Ask, Batch, Leased, State, fetch},
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
    /// What the worker says of itself.
    pub about: Value,
    pub stop: CancellationToken,
    pub verdicts: mpsc::Sender<Finish>,
}

/// Most jobs that a fetch behind a blocking read takes: it is sent before it is known how many places will be free. The
/// fetch after it takes the rest.
const BEHIND: usize = 16;

/// Where the fetcher stands with Redis.
struct FetcherState {
    waiter: Waiter,
    reap_guard: ReapGuard,
    backoff: Backoff,
    waiting_backoff: Backoff,
    /// Counts the connections of the waiter. Told to Redis with the rest that the worker says of itself, so that a fetch
    /// which was left behind on an older one does not count.
    connection: u32,
    told: bool,
    /// What an answer that was lost has leased to this worker, perhaps.
    may_hold_unknown: bool,
    /// Whether the blocking read that was sent last reaps.
    read_reaps: bool,
    /// How the queue was found when it was last looked at.
    found: State,
    /// When the fetch behind a read last took nothing, because it cannot.
    refused: Option<Instant>,
    clock: ReadAt,
}

/// A queue that the quick fetch could not take from gets the other one for this long. Its token was put back, so all idle workers
/// were woken: that must not come with every job that has a priority.
const NOT_QUICK_FOR: Duration = Duration::from_secs(600);

impl FetcherState {
    fn may_be_quick(&self) -> bool {
        self.found == State::Plain && self.refused.is_none_or(|at| at.elapsed() >= NOT_QUICK_FOR)
    }

    /// The connection of the blocking read is gone.
    fn cut_off(&mut self) {
        self.may_hold_unknown = true;
        // And a Redis that came back empty does not know this worker.
        self.told = false;
        self.connection += 1;
        self.waiter.forget();
    }
}

/// When an answer came from Redis, by both clocks. What Redis did later is dated by it: not by when its answer is read, which
/// a process that was frozen does late.
#[derive(Debug, Clone, Copy)]
struct ReadAt {
    asked_at: Instant,
    ms: i64,
}

impl ReadAt {
    /// Clocks drift apart by up to 0.05 % (500 ppm, the most that NTP slews), which is 0.3 s in this time.
    const GOOD_FOR: Duration = Duration::from_secs(600);

    /// The earliest that it can have been here when the clock of Redis showed `ms`; none when that is `lease` ago, so that a
    /// lease of then may have run out.
    fn here(&self, ms: i64, lease: Duration) -> Option<Instant> {
        let later = Duration::from_millis(u64::try_from(ms - self.ms).unwrap_or(0));
        let here = (self.asked_at + later).min(Instant::now());
        (here.elapsed() < lease).then_some(here)
    }

    fn is_old(&self) -> bool {
        self.asked_at.elapsed() > Self::GOOD_FOR
    }
}

impl Fetcher {
    /// Runs until `stop`. No failure of Redis ends it.
    pub async fn run(self) {
        let mut standing = FetcherState {
            waiter: Waiter::new(self.queue.clone()),
            reap_guard: ReapGuard::new(self.queue.engine().lease),
            backoff: Backoff::new(),
            waiting_backoff: Backoff::new(),
            connection: 0,
            told: false,
            may_hold_unknown: false,
            read_reaps: false,
            found: State::Open,
            refused: None,
            clock: ReadAt { asked_at: Instant::now(), ms: 0 },
        };
        while !self.stop.is_cancelled() {
            let wanted = self.buffer.wanted();
            if wanted == 0 {
                tokio::select! {
                    () = self.buffer.freed() => {}
                    woken = standing.waiter.woken_if_pending() => self.hand_on(woken, &mut standing).await,
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            match self.fetch(wanted, &mut standing).await {
                Ok(next) => {
                    standing.backoff.reset();
                    self.wait(next, &mut standing).await;
                }
                Err(error) => {
                    self.away(&error);
                    standing.reap_guard.disturbed();
                    standing.cut_off();
                    tokio::select! {
                        () = standing.backoff.wait() => {}
                        () = self.stop.cancelled() => {}
                    }
                }
            }
        }
        self.give_up_reading(&mut standing).await;
    }

    /// The worker stops, and nobody waits for the read any more. What may have come with a token in this moment is given back
    /// at once, not when the jobs that still run have ended.
    async fn give_up_reading(&self, standing: &mut FetcherState) {
        if !standing.waiter.is_pending() && !standing.may_hold_unknown {
            return;
        }
        standing.cut_off();
        let about = self.about(standing.connection);
        let ask = Ask { holder: &self.holder, slots: 0, reaped: 0, about: &about };
        let given_up = async {
            fetch(&self.queue, ask).await?;
            self.reclaim().await
        };
        if let Err(error) = given_up.await {
            tracing::debug!(queue = %self.queue.name(), %error, "what a token brought at the end waits for its lease to end");
        }
    }

    async fn fetch(&self, wanted: usize, standing: &mut FetcherState) -> Result<Next, QueueError> {
        let asked_at = Instant::now();
        let about = if standing.told { String::new() } else { self.about(standing.connection) };
        let reaped = standing.reap_guard.reaped();
        let ask = Ask { holder: &self.holder, slots: wanted, reaped, about: &about };
        let batch = fetch(&self.queue, ask).await?;
        standing.told = true;
        standing.found = batch.state;
        standing.clock = ReadAt { asked_at, ms: batch.at_ms };
        let next = self.take_in(batch, wanted, asked_at).await;
        // Only now does nothing count any more that was sent before; and before another read is sent, whose jobs it would take.
        if standing.may_hold_unknown {
            self.reclaim().await?;
            standing.may_hold_unknown = false;
        }
        Ok(next)
    }

    /// Waits for tokens, and takes in what comes with them, until there is something to fetch in another way.
    async fn wait(&self, mut next: Next, standing: &mut FetcherState) {
        while let Next::Wait(due) = next {
            let wanted = self.buffer.wanted();
            if wanted == 0 {
                return;
            }
            let due = due.into_iter().chain(standing.reap_guard.left()).min();
            let (reaped, about) = (standing.reap_guard.reaped(), self.about(standing.connection));
            let plain = standing.may_be_quick();
            let read_reaps = &mut standing.read_reaps;
            let behind = || {
                *read_reaps = reaped > 0;
                let ask = Ask { holder: &self.holder, slots: wanted.min(BEHIND), reaped, about: "" };
                fetch::behind(&self.queue, ask, &about, plain)
            };
            tokio::select! {
                woken = standing.waiter.woken(behind) => match woken {
                    Ok(Some(mut batch)) if batch.state != State::Stranger => {
                        standing.waiting_backoff.reset();
                        standing.found = batch.state;
                        let Some(leased_at) = standing.clock.here(batch.at_ms, self.queue.engine().lease) else {
                            // This process was frozen, or the clock of Redis was set back. Asked anew, both are seen.
                            self.give_back(batch.jobs).await;
                            return;
                        };
                        // Others came meanwhile, without a token.
                        let places = self.buffer.free().min(batch.jobs.len());
                        self.give_back(batch.jobs.split_off(places)).await;
                        next = self.take_in(batch, usize::MAX, leased_at).await;
                        // The pool begins first, on this thread: the next read has time.
                        tokio::task::yield_now().await;
                    }
                    Ok(batch) => {
                        standing.waiting_backoff.reset();
                        standing.told &= batch.is_none();
                        standing.refused = batch.map(|_| Instant::now()).or(standing.refused);
                        return;
                    }
                    Err(error) => {
                        self.away(&error);
                        standing.cut_off();
                        standing.waiting_backoff.wait().await;
                        return;
                    }
                },
                () = passed(due) => return,
                () = self.stop.cancelled() => return,
            }
            // The read was sent while this worker held still, and it need not any more.
            let may_reap = !standing.read_reaps && standing.reap_guard.left().is_none();
            if standing.clock.is_old() || may_reap {
                return;
            }
        }
    }

    /// What reaches a full pool is meant for another worker.
    async fn hand_on(&self, woken: Result<Option<Batch>, QueueError>, standing: &mut FetcherState) {
        match woken {
            Ok(Some(batch)) => self.give_back(batch.jobs).await,
            Ok(None) => pass_on(&self.queue).await,
            Err(error) => {
                self.away(&error);
                standing.cut_off();
            }
        }
    }

    /// Gives jobs back that were not started: from the last to the first, since each goes to the front of its queue.
    async fn give_back(&self, jobs: Vec<Leased>) {
        for job in jobs.into_iter().rev() {
            release(&self.verdicts, job.lease).await;
        }
    }

    /// Hands jobs to the pool.
    async fn take_in(&self, batch: Batch, asked: usize, leased_at: Instant) -> Next {
        let found = batch.jobs.len();
        if found > 0 {
            crash_point!("worker.fetched");
            let deliveries = batch
                .jobs
                .into_iter()
                .map(|job| Delivery { held: Arc::new(Held::new(job.lease, leased_at)), envelope: job.envelope })
                .collect();
            for delivery in self.buffer.add(deliveries) {
                release(&self.verdicts, delivery.held.lease.clone()).await;
            }
        }
        next(found, asked, batch.next, batch.state == State::Paused, self.queue.engine().idle_block)
    }

    /// What the worker says of itself, as JSON.
    fn about(&self, connection: u32) -> String {
        let mut about = self.about.clone();
        about["connection"] = connection.into();
        about.to_string()
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
pub(super) async fn release(verdicts: &mpsc::Sender<Finish>, lease: Lease) {
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

/// Puts a token back for another worker.
async fn pass_on(queue: &Queue) {
    let mut cmd = redis::cmd("LPUSH");
    cmd.arg(queue.keys().wake()).arg("1");
    if let Err(error) = queue.redis().cmd::<i64>("wake", &cmd).await {
        tracing::debug!(%error, "a token was not passed on; the next fetch makes up for it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(30);

    #[test]
    fn what_redis_did_while_a_process_was_frozen_is_dated_by_when_redis_did_it() {
        let (asked_at, lease) = (Instant::now(), Duration::from_secs(12));
        let clock = ReadAt { asked_at, ms: 5_000_000 };
        while asked_at.elapsed() < Duration::from_millis(3) {}
        assert_eq!(clock.here(5_000_002, lease), Some(asked_at + Duration::from_millis(2)));
        // The clock of Redis was set back, or ahead: never before the answer that both are known from, and never in the future.
        assert_eq!(clock.here(4_000_000, lease), Some(asked_at));
        assert!(clock.here(9_000_000, lease).is_some_and(|here| here <= Instant::now()));
        // What may have run out by now is not dated: nobody may start it.
        assert_eq!(clock.here(4_000_000, Duration::from_millis(3)), None);
        assert_eq!(clock.here(5_000_000, Duration::from_millis(3)), None);
    }

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
