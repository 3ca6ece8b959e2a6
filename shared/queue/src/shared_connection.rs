//! The connection that the short commands of a process share, and what is known of it: a circuit breaker.
//!
//! While Redis answers, everybody gets a clone of one connection. When a call fails because Redis is away, the connection is
//! dropped and the breaker opens. From then on one attempt to connect is under way at a time, whoever asks; those who ask wait for
//! it no longer than a moment. The attempt that comes through closes the breaker.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{Connection, QueueError};

/// What came of an attempt; none while it is under way.
pub(crate) type Attempt = Option<Result<Connection, Failure>>;

/// A failure that is told to many.
#[derive(Clone)]
pub(crate) struct Failure(Arc<QueueError>);

#[derive(Default)]
pub(crate) struct SharedConnection(Mutex<State>);

#[derive(Default)]
struct State {
    conn: Option<Connection>,
    attempt: Option<watch::Sender<Attempt>>,
    /// Why the last connection was given up, until there is another: the breaker is open.
    away: Option<Failure>,
}

/// What somebody gets who asks for the connection.
pub(crate) enum ConnectionOrWait {
    Connection(Connection),
    /// The answer of the attempt under way. `connects`: the one who asks is to begin it. `is_away`: the breaker is open.
    Wait {
        answer: watch::Receiver<Attempt>,
        connects: bool,
        is_away: bool,
    },
}

impl fmt::Debug for SharedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(f, "SharedConnection(open: {}, away: {})", state.conn.is_some(), state.away.is_some())
    }
}

impl SharedConnection {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn ask(&self) -> ConnectionOrWait {
        let mut state = self.state();
        if let Some(conn) = &state.conn {
            return ConnectionOrWait::Connection(conn.clone());
        }
        let is_away = state.away.is_some();
        let connects = state.attempt.is_none();
        let sender = state.attempt.get_or_insert_with(|| watch::channel(None).0);
        ConnectionOrWait::Wait { answer: sender.subscribe(), connects, is_away }
    }

    /// Waits for the answer of an attempt.
    pub async fn answer(
        &self,
        mut answer: watch::Receiver<Attempt>,
        doing: &'static str,
        patience: Duration,
    ) -> Result<Connection, QueueError> {
        let told = tokio::time::timeout(patience, answer.wait_for(Option::is_some)).await;
        match told.map(|told| told.map(|attempt| attempt.clone())) {
            Ok(Ok(Some(Ok(conn)))) => Ok(conn),
            Ok(Ok(Some(Err(failure)))) => Err(failure.0.again(doing)),
            // It takes longer than anybody should wait, or the runtime that it ran on is gone.
            _ => {
                let away = self.state().away.clone();
                Err(away.map_or(QueueError::Timeout { doing, after: patience }, |failure| failure.0.again(doing)))
            }
        }
    }

    /// An attempt has ended.
    pub fn connected(&self, opened: Result<Connection, QueueError>) {
        let mut state = self.state();
        let attempt = state.attempt.take();
        let told = match opened {
            Ok(conn) => {
                (state.conn, state.away) = (Some(conn.clone()), None);
                Ok(conn)
            }
            Err(error) => {
                let failure = Failure(error.into());
                state.away = Some(failure.clone());
                Err(failure)
            }
        };
        drop(state);
        if let Some(attempt) = attempt {
            attempt.send_replace(Some(told));
        }
    }

    /// A call on the connection failed because Redis is away.
    pub fn failed(&self, error: &QueueError) {
        let mut state = self.state();
        if state.conn.take().is_some() {
            state.away = Some(Failure(error.again("connect").into()));
        }
    }
}
