//! The single enqueues of a queue that are under way: those sent directly, and those that wait for the next shared call.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::{EnqueueError, Enqueued, admission::Admission};

pub(crate) type EnqueueResult = Result<Enqueued, EnqueueError>;

/// Jobs that wait for a shared call, each with the channel to its caller.
pub(crate) type WaitingEnqueues = Vec<(Admission, oneshot::Sender<EnqueueResult>)>;

/// Most sender tasks at once: with only one, the process and Redis wait for each other.
const SENDERS: usize = 2;

#[derive(Debug, Default)]
pub(crate) struct Coalescer(Mutex<CoalescerState>);

#[derive(Debug, Default)]
struct CoalescerState {
    /// A caller is sending its own job.
    direct: bool,
    /// Running sender tasks. They never wait for a caller, which may not be polled.
    senders: usize,
    waiting: WaitingEnqueues,
}

/// How a job gets to Redis.
#[expect(clippy::large_enum_variant, reason = "one lives for a moment only")]
pub(crate) enum SendMode<'a> {
    /// Its caller sends it, and holds the guard until it has the result.
    Direct(Admission, DirectCall<'a>),
    /// A sender task sends it. `spawn_sender`: the caller must start that task.
    Shared { result: oneshot::Receiver<EnqueueResult>, spawn_sender: bool },
}

impl Coalescer {
    fn state(&self) -> MutexGuard<'_, CoalescerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job: sent directly if nothing is under way, else in the next shared call.
    pub fn add(&self, job: Admission) -> SendMode<'_> {
        let mut state = self.state();
        if !state.direct && state.senders == 0 {
            state.direct = true;
            return SendMode::Direct(job, DirectCall(self));
        }
        let (caller, result) = oneshot::channel();
        state.waiting.push((job, caller));
        let spawn_sender = state.senders < SENDERS;
        state.senders += usize::from(spawn_sender);
        SendMode::Shared { result, spawn_sender }
    }

    /// How many jobs wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Takes all waiting jobs. A sender task that gets none is no longer counted and must end.
    pub fn take(&self) -> WaitingEnqueues {
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.waiting);
        state.senders -= usize::from(waiting.is_empty());
        waiting
    }
}

/// A direct call under way; ends when its caller has the result or is dropped.
pub(crate) struct DirectCall<'a>(&'a Coalescer);

impl Drop for DirectCall<'_> {
    fn drop(&mut self) {
        self.0.state().direct = false;
    }
}
