//! Enqueues of single jobs that come while another is under way are sent together: a call costs Redis and the process far more
//! than one more job in it does. One that comes alone is sent at once, by its caller.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    EnqueueError, Enqueued, Queue, QueueError,
    admission::Admission,
    transport::{CHUNK, push, push_all},
};

type Answer = Result<Enqueued, EnqueueError>;
type Waiting = Vec<(Admission, oneshot::Sender<Answer>)>;

/// Jobs sent before their callers are answered.
const AT_ONCE: usize = 1_000;
/// Calls of shared jobs under way at once: with one alone the process and Redis wait for each other.
const CALLS: usize = 2;

/// The single enqueues of a queue that are under way.
#[derive(Debug, Default)]
pub(crate) struct Coalescer(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// A caller sends its job itself.
    alone: bool,
    /// Tasks that send what waits, until nothing does. They never wait for a caller, who need not be polled.
    sending: usize,
    waiting: Waiting,
}

#[expect(clippy::large_enum_variant, reason = "one lives for a moment only")]
enum Boarding {
    Alone(Admission),
    Waits { answer: oneshot::Receiver<Answer>, may_send: bool },
}

impl Coalescer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, job: Admission) -> Boarding {
        let mut state = self.state();
        if !state.alone && state.sending == 0 {
            state.alone = true;
            return Boarding::Alone(job);
        }
        let (caller, answer) = oneshot::channel();
        state.waiting.push((job, caller));
        let may_send = state.sending < CALLS;
        state.sending += usize::from(may_send);
        Boarding::Waits { answer, may_send }
    }

    /// What waits; the task that asked ends when that is nothing.
    fn next(&self) -> Waiting {
        let mut state = self.state();
        let waiting = std::mem::take(&mut state.waiting);
        state.sending -= usize::from(waiting.is_empty());
        waiting
    }
}

/// A caller under way, until it has its answer or leaves.
struct Alone<'a>(&'a Coalescer);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.state().alone = false;
    }
}

/// A task that sends what waits.
struct Sending {
    queue: Queue,
    done: bool,
}

impl Drop for Sending {
    /// Where its runtime ended before it did, those who wait learn of it by their senders, which go with what they wait for.
    fn drop(&mut self) {
        while !self.done {
            self.done = self.queue.coalescer().next().is_empty();
        }
    }
}

impl Sending {
    async fn run(mut self) {
        loop {
            self.gather().await;
            let waiting = self.queue.coalescer().next();
            if waiting.is_empty() {
                self.done = true;
                return;
            }
            self.send(waiting).await;
        }
    }

    /// Lets whoever is about to come along do so: as long as each look at the sockets brings more.
    async fn gather(&self) {
        let mut before = 0;
        loop {
            tokio::task::yield_now().await;
            let now = self.queue.coalescer().state().waiting.len();
            if now == before || now >= CHUNK {
                return;
            }
            before = now;
        }
    }

    async fn send(&self, waiting: Waiting) {
        let (jobs, callers): (Vec<Admission>, Vec<_>) = waiting.into_iter().unzip();
        let mut callers = callers.into_iter();
        for some in jobs.chunks(AT_ONCE) {
            let answers = push_all(&self.queue, &some.iter().collect::<Vec<_>>()).await;
            let away = answers.iter().any(|answer| answer.as_ref().is_err_and(is_away));
            for (caller, answer) in callers.by_ref().take(some.len()).zip(answers) {
                // A caller that left does not want to know.
                let _ = caller.send(answer);
            }
            if away {
                break;
            }
        }
        // A Redis that just failed would only keep the others waiting.
        for caller in callers {
            let _ = caller.send(Err(not_sent("those before did not come through")));
        }
    }
}

impl Queue {
    /// Stores a job for which nothing but itself is asked for: alone, or with others that came meanwhile.
    pub(crate) async fn push_coalesced(&self, job: Admission) -> Answer {
        match self.coalescer().place(job) {
            Boarding::Alone(job) => {
                let _under_way = Alone(self.coalescer());
                push(self, &[&job]).await.pop().unwrap_or_else(|| Err(not_sent("nothing was answered")))
            }
            Boarding::Waits { answer, may_send } => {
                if may_send {
                    let sending = Sending { queue: self.clone(), done: false };
                    // Without a runtime it ends at once, and tells those who wait.
                    if let Ok(runtime) = Handle::try_current() {
                        runtime.spawn(sending.run());
                    }
                }
                answer.await.unwrap_or_else(|_| Err(not_sent("the process stops")))
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
