//! Keeps the buffer of a pool filled: fetches while there is room, and waits in a blocking read while no job is ready.

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
    buffer::{Buffer, Delivery, HeldLease},
    reap_guard::ReapGuard,
    waiter::Waiter,
};
use crate::{
    EventData, Lease, Queue, QueueError,
    fetch::{self, Batch, FetchRequest, LeasedJob, QueueState, fetch},
    finish::{Ack, Transition},
    lease,
};

/// What to do after a fetch.
#[derive(Debug, PartialEq, Eq)]
enum NextStep {
    /// Fetch again: more jobs are ready.
    FetchAgain,
    /// Wait until a token comes, the blocking read ends or, if given, this time has passed.
    Wait(Option<Duration>),
}

/// Whether to fetch again or to wait, after a fetch that found `found` jobs for `asked` slots.
fn next(found: usize, asked: usize, next: Option<Duration>, paused: bool, longest: Duration) -> NextStep {
    if !paused && (found >= asked || next == Some(Duration::ZERO)) {
        return NextStep::FetchAgain;
    }
    NextStep::Wait(next.filter(|due| *due < longest))
}

pub(super) struct Fetcher {
    pub queue: Queue,
    pub buffer: Arc<Buffer>,
    pub holder: String,
    /// The worker's description of itself.
    pub about: Value,
    pub stop: CancellationToken,
    pub acks: mpsc::Sender<Ack>,
}

/// Most jobs of a fetch behind a blocking read, because the number of free slots at its end is unknown when it is sent. The next
/// fetch takes the rest.
const BEHIND: usize = 16;

/// The state of a fetcher between fetches.
struct FetcherState {
    waiter: Waiter,
    reap_guard: ReapGuard,
    backoff: Backoff,
    waiting_backoff: Backoff,
    /// Counts the connections of the waiter. The number is part of the worker's description in Redis, so that a fetch still under
    /// way on an older connection is rejected.
    connection: u32,
    /// Whether Redis has the worker's description.
    introduced: bool,
    /// Whether a reply was lost that may have leased jobs to this worker.
    may_hold_unknown: bool,
    /// Whether the fetch behind the last blocking read may reap.
    read_reaps: bool,
    /// The state of the queue at the last fetch.
    queue_state: QueueState,
    /// When the fetch behind a read was last rejected.
    quick_rejected: Option<Instant>,
    clock: ClockReading,
}

/// How long the general fetch is used after a rejected one. A rejected fetch puts its token back, which wakes all idle workers;
/// that must not happen for every job with a priority.
const QUICK_PAUSE: Duration = Duration::from_secs(600);

impl FetcherState {
    fn may_be_quick(&self) -> bool {
        self.queue_state == QueueState::Plain && self.quick_rejected.is_none_or(|at| at.elapsed() >= QUICK_PAUSE)
    }

    /// Handles the loss of the connection of the blocking read.
    fn cut_off(&mut self) {
        self.may_hold_unknown = true;
        // A Redis that came back empty does not know this worker.
        self.introduced = false;
        self.connection += 1;
        self.waiter.forget();
    }
}

/// One moment on both clocks: this process sent a fetch at `asked_at`, and Redis replied with its time. Later replies are dated
/// by it and not by when they are read, because a frozen process reads them late.
#[derive(Debug, Clone, Copy)]
struct ClockReading {
    asked_at: Instant,
    ms: i64,
}

impl ClockReading {
    /// Clocks drift apart by up to 0.05 % (500 ppm, the most that NTP slews), which is 0.3 s in this time.
    const GOOD_FOR: Duration = Duration::from_secs(600);

    /// The earliest local time at which the clock of Redis can have shown `ms`; `None` when that is `lease` ago or more, so that a
    /// lease of that moment may have run out.
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
    /// Runs until `stop`, and retries after errors of Redis.
    pub async fn run(self) {
        let mut state = FetcherState {
            waiter: Waiter::new(self.queue.clone()),
            reap_guard: ReapGuard::new(self.queue.engine().lease),
            backoff: Backoff::new(),
            waiting_backoff: Backoff::new(),
            connection: 0,
            introduced: false,
            may_hold_unknown: false,
            read_reaps: false,
            queue_state: QueueState::Open,
            quick_rejected: None,
            clock: ClockReading { asked_at: Instant::now(), ms: 0 },
        };
        while !self.stop.is_cancelled() {
            let wanted = self.buffer.wanted();
            if wanted == 0 {
                tokio::select! {
                    () = self.buffer.freed() => {}
                    woken = state.waiter.woken_if_pending() => self.hand_on(woken, &mut state).await,
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            match self.fetch(wanted, &mut state).await {
                Ok(next) => {
                    state.backoff.reset();
                    self.wait(next, &mut state).await;
                }
                Err(error) => {
                    self.away(&error);
                    state.reap_guard.disturbed();
                    state.cut_off();
                    tokio::select! {
                        () = state.backoff.wait() => {}
                        () = self.stop.cancelled() => {}
                    }
                }
            }
        }
        self.give_up_reading(&mut state).await;
    }

    /// When the worker stops, releases at once the jobs that the pending read may have leased, without waiting for running jobs.
    async fn give_up_reading(&self, state: &mut FetcherState) {
        if !state.waiter.is_pending() && !state.may_hold_unknown {
            return;
        }
        state.cut_off();
        let about = self.about(state.connection);
        let ask = FetchRequest { holder: &self.holder, slots: 0, reaped: 0, about: &about };
        let given_up = async {
            fetch(&self.queue, ask).await?;
            self.reclaim().await
        };
        if let Err(error) = given_up.await {
            tracing::debug!(queue = %self.queue.name(), %error, "jobs of the last read keep their leases until these end");
        }
    }

    async fn fetch(&self, wanted: usize, state: &mut FetcherState) -> Result<NextStep, QueueError> {
        let asked_at = Instant::now();
        let about = if state.introduced { String::new() } else { self.about(state.connection) };
        let reaped = state.reap_guard.reaped();
        let ask = FetchRequest { holder: &self.holder, slots: wanted, reaped, about: &about };
        let batch = fetch(&self.queue, ask).await?;
        state.introduced = true;
        state.queue_state = batch.state;
        state.clock = ClockReading { asked_at, ms: batch.at_ms };
        let next = self.take_in(batch, wanted, asked_at).await;
        // After the new description is stored, so that earlier fetches are rejected, and before the next read, whose jobs this
        // would release.
        if state.may_hold_unknown {
            self.reclaim().await?;
            state.may_hold_unknown = false;
        }
        Ok(next)
    }

    /// Waits for tokens and takes the jobs that come with them, until another fetch is needed.
    async fn wait(&self, mut next: NextStep, state: &mut FetcherState) {
        while let NextStep::Wait(due) = next {
            let wanted = self.buffer.wanted();
            if wanted == 0 {
                return;
            }
            let due = due.into_iter().chain(state.reap_guard.left()).min();
            let (reaped, about) = (state.reap_guard.reaped(), self.about(state.connection));
            let plain = state.may_be_quick();
            let read_reaps = &mut state.read_reaps;
            let behind = || {
                *read_reaps = reaped > 0;
                let ask = FetchRequest { holder: &self.holder, slots: wanted.min(BEHIND), reaped, about: "" };
                fetch::behind(&self.queue, ask, &about, plain)
            };
            tokio::select! {
                woken = state.waiter.woken(behind) => match woken {
                    Ok(Some(mut batch)) if batch.state != QueueState::Rejected => {
                        state.waiting_backoff.reset();
                        state.queue_state = batch.state;
                        let Some(leased_at) = state.clock.here(batch.at_ms, self.queue.engine().lease) else {
                            // This process was frozen, or the clock of Redis was set back. The next fetch reads both clocks
                            // again.
                            self.give_back(batch.jobs).await;
                            return;
                        };
                        // Other jobs have taken slots meanwhile.
                        let places = self.buffer.free().min(batch.jobs.len());
                        self.give_back(batch.jobs.split_off(places)).await;
                        next = self.take_in(batch, usize::MAX, leased_at).await;
                        // Lets the pool start the jobs on this thread first; the next read is less urgent.
                        tokio::task::yield_now().await;
                    }
                    Ok(batch) => {
                        state.waiting_backoff.reset();
                        state.introduced &= batch.is_none();
                        state.quick_rejected = batch.map(|_| Instant::now()).or(state.quick_rejected);
                        return;
                    }
                    Err(error) => {
                        self.away(&error);
                        state.cut_off();
                        state.waiting_backoff.wait().await;
                        return;
                    }
                },
                () = passed(due) => return,
                () = self.stop.cancelled() => return,
            }
            // The read was sent while this worker was not allowed to reap; now it is.
            let may_reap = !state.read_reaps && state.reap_guard.left().is_none();
            if state.clock.is_old() || may_reap {
                return;
            }
        }
    }

    /// Passes tokens and jobs that reach a full pool on to other workers.
    async fn hand_on(&self, woken: Result<Option<Batch>, QueueError>, state: &mut FetcherState) {
        match woken {
            Ok(Some(batch)) => self.give_back(batch.jobs).await,
            Ok(None) => pass_on(&self.queue).await,
            Err(error) => {
                self.away(&error);
                state.cut_off();
            }
        }
    }

    /// Releases jobs that were not started, last first, because each goes to the front of its queue.
    async fn give_back(&self, jobs: Vec<LeasedJob>) {
        for job in jobs.into_iter().rev() {
            release(&self.acks, job.lease).await;
        }
    }

    /// Hands jobs to the pool.
    async fn take_in(&self, batch: Batch, asked: usize, leased_at: Instant) -> NextStep {
        let found = batch.jobs.len();
        if found > 0 {
            crash_point!("worker.fetched");
            let deliveries = batch
                .jobs
                .into_iter()
                .map(|job| Delivery { held: Arc::new(HeldLease::new(job.lease, leased_at)), envelope: job.envelope })
                .collect();
            for delivery in self.buffer.add(deliveries) {
                release(&self.acks, delivery.held.lease.clone()).await;
            }
        }
        next(found, asked, batch.next, batch.state == QueueState::Paused, self.queue.engine().idle_block)
    }

    /// The worker's description of itself, as JSON.
    fn about(&self, connection: u32) -> String {
        let mut about = self.about.clone();
        about["connection"] = connection.into();
        about.to_string()
    }

    async fn reclaim(&self) -> Result<(), QueueError> {
        let given_back = lease::reclaim(&self.queue, &self.holder, &self.buffer.leases()).await?;
        if given_back > 0 {
            tracing::info!(queue = %self.queue.name(), jobs = given_back, "released jobs that a lost reply had leased");
        }
        Ok(())
    }

    fn away(&self, error: &QueueError) {
        tracing::warn!(queue = %self.queue.name(), %error, "Redis is unavailable; the worker keeps trying");
    }
}

/// Releases a job that was not started.
pub(super) async fn release(acks: &mpsc::Sender<Ack>, lease: Lease) {
    let data =
        EventData { attempt: Some(lease.attempt()), worker: Some(lease.holder().to_owned()), ..EventData::default() };
    // The channel is closed only if nothing can be written any more; then the lease runs out.
    let _ = acks.send(Ack { lease, transition: Transition::Release, data }).await;
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
        let clock = ClockReading { asked_at, ms: 5_000_000 };
        while asked_at.elapsed() < Duration::from_millis(3) {}
        assert_eq!(clock.here(5_000_002, lease), Some(asked_at + Duration::from_millis(2)));
        // If the clock of Redis was set back or ahead: never before the reply that gave both times, and never in the future.
        assert_eq!(clock.here(4_000_000, lease), Some(asked_at));
        assert!(clock.here(9_000_000, lease).is_some_and(|here| here <= Instant::now()));
        // A lease that may have run out gets no time, so its job is not started.
        assert_eq!(clock.here(4_000_000, Duration::from_millis(3)), None);
        assert_eq!(clock.here(5_000_000, Duration::from_millis(3)), None);
    }

    #[test]
    fn a_full_batch_is_followed_by_another_fetch() {
        assert_eq!(next(8, 8, None, false, LONGEST), NextStep::FetchAgain);
        assert_eq!(next(3, 8, Some(Duration::ZERO), false, LONGEST), NextStep::FetchAgain);
    }

    #[test]
    fn an_empty_queue_is_waited_for_until_the_next_job_is_due() {
        let due = Duration::from_millis(40);
        assert_eq!(next(0, 8, Some(due), false, LONGEST), NextStep::Wait(Some(due)));
        assert_eq!(next(0, 8, Some(LONGEST * 9), false, LONGEST), NextStep::Wait(None));
    }

    #[test]
    fn a_paused_queue_is_not_asked_again_and_again() {
        assert_eq!(next(0, 8, None, true, LONGEST), NextStep::Wait(None));
    }
}
