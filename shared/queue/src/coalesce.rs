//! Batches single enqueues that arrive while another is under way into one shared call, because a call costs Redis and the
//! process far more than one more job in it. The caller of a lone job sends it at once.

use std::io;

use tokio::runtime::Handle;

use crate::{
    EnqueueError, Queue, QueueError,
    admission::Admission,
    coalescer::{EnqueueResult, SendMode, WaitingEnqueues},
    transport::{CHUNK, push, push_all},
};

/// Jobs sent before their callers get results.
const SENT_AT_ONCE: usize = 1_000;

/// A task that sends the waiting jobs until none is left.
struct SenderTask {
    queue: Queue,
    done: bool,
}

impl Drop for SenderTask {
    /// If its runtime ends first, the waiting jobs are dropped with their channels, so the callers get an error.
    fn drop(&mut self) {
        while !self.done {
            self.done = self.queue.coalescer().take().is_empty();
        }
    }
}

impl SenderTask {
    async fn run(mut self) {
        loop {
            self.gather().await;
            let waiting = self.queue.coalescer().take();
            if waiting.is_empty() {
                self.done = true;
                return;
            }
            self.send(waiting).await;
        }
    }

    /// Yields to other tasks while that brings more jobs, up to one chunk.
    async fn gather(&self) {
        let mut before = 0;
        loop {
            tokio::task::yield_now().await;
            let now = self.queue.coalescer().waiting();
            if now == before || now >= CHUNK {
                return;
            }
            before = now;
        }
    }

    async fn send(&self, waiting: WaitingEnqueues) {
        let (jobs, callers): (Vec<Admission>, Vec<_>) = waiting.into_iter().unzip();
        let mut callers = callers.into_iter();
        for some in jobs.chunks(SENT_AT_ONCE) {
            let results = push_all(&self.queue, &some.iter().collect::<Vec<_>>()).await;
            let away = results.iter().any(|result| result.as_ref().is_err_and(is_away));
            for (caller, result) in callers.by_ref().take(some.len()).zip(results) {
                // Fails if the caller was dropped.
                let _ = caller.send(result);
            }
            if away {
                break;
            }
        }
        // Redis has just failed, so sending the rest would only make their callers wait.
        for caller in callers {
            let _ = caller.send(Err(not_sent("those before did not come through")));
        }
    }
}

impl Queue {
    /// Stores a plain job, in its own call or in a shared one.
    pub(crate) async fn push_coalesced(&self, job: Admission) -> EnqueueResult {
        match self.coalescer().add(job) {
            SendMode::Direct(job, _under_way) => {
                push(self, &[&job]).await.pop().unwrap_or_else(|| Err(not_sent("nothing was answered")))
            }
            SendMode::Shared { result, spawn_sender } => {
                if spawn_sender {
                    let sender = SenderTask { queue: self.clone(), done: false };
                    // Without a runtime it is dropped here, which fails the waiting callers.
                    if let Ok(runtime) = Handle::try_current() {
                        runtime.spawn(sender.run());
                    }
                }
                result.await.unwrap_or_else(|_| Err(not_sent("the process stops")))
            }
        }
    }
}

fn is_away(error: &EnqueueError) -> bool {
    matches!(error, EnqueueError::Queue(error) if error.is_unavailable())
}

fn not_sent(why: &'static str) -> EnqueueError {
    let source = io::Error::new(io::ErrorKind::Interrupted, why).into();
    QueueError::Unavailable { doing: "enqueue", source }.into()
}
