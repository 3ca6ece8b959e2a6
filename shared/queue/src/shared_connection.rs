//! The connection that the short commands of a process share, behind a circuit breaker.
//!
//! While Redis answers, all callers get a clone of one connection. When a call fails because Redis is unavailable, the connection
//! is dropped and the breaker opens. Then there is one attempt to connect at a time, and callers wait for it only briefly. An
//! attempt that succeeds closes the breaker.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{Connection, QueueError};

/// The result of an attempt to connect; `None` while it is under way.
pub(crate) type ConnectResult = Option<Result<NumberedConnection, SharedError>>;

/// A connection and its number, so that a late failure of a call on an earlier connection does not close this one.
#[derive(Clone)]
pub(crate) struct NumberedConnection {
    pub conn: Connection,
    pub number: u64,
}

/// An error that several callers get.
#[derive(Clone)]
pub(crate) struct SharedError(Arc<QueueError>);

#[derive(Default)]
pub(crate) struct SharedConnection(Mutex<Breaker>);

#[derive(Default)]
struct Breaker {
    conn: Option<NumberedConnection>,
    /// The number of connections opened so far.
    opened: u64,
    attempt: Option<watch::Sender<ConnectResult>>,
    /// Why the last connection was dropped. While it is set, the breaker is open.
    away: Option<SharedError>,
}

/// What a caller that asks for the connection gets.
pub(crate) enum ConnectionOrWait {
    Connection(NumberedConnection),
    /// The result of the attempt under way. `connects`: the caller has to start it. `is_away`: the breaker is open.
    Wait {
        answer: watch::Receiver<ConnectResult>,
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
    fn state(&self) -> MutexGuard<'_, Breaker> {
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

    /// Waits for the result of an attempt to connect.
    pub async fn answer(
        &self,
        mut answer: watch::Receiver<ConnectResult>,
        doing: &'static str,
        patience: Duration,
    ) -> Result<NumberedConnection, QueueError> {
        let told = tokio::time::timeout(patience, answer.wait_for(Option::is_some)).await;
        match told.map(|told| told.map(|attempt| attempt.clone())) {
            Ok(Ok(Some(Ok(conn)))) => Ok(conn),
            Ok(Ok(Some(Err(failure)))) => Err(failure.0.again(doing)),
            // The attempt took too long, or its runtime has ended.
            _ => {
                let away = self.state().away.clone();
                Err(away.map_or(QueueError::Timeout { doing, after: patience }, |failure| failure.0.again(doing)))
            }
        }
    }

    /// Stores the result of an attempt to connect.
    pub fn connected(&self, opened: Result<Connection, QueueError>) {
        let mut state = self.state();
        let attempt = state.attempt.take();
        let told = match opened {
            Ok(conn) => {
                state.opened += 1;
                let conn = NumberedConnection { conn, number: state.opened };
                (state.conn, state.away) = (Some(conn.clone()), None);
                Ok(conn)
            }
            Err(error) => {
                let failure = SharedError(error.into());
                state.away = Some(failure.clone());
                Err(failure)
            }
        };
        drop(state);
        if let Some(attempt) = attempt {
            attempt.send_replace(Some(told));
        }
    }

    /// Reports that a call failed because Redis is unavailable. False if its connection was dropped already, so a newer one
    /// stays.
    pub fn failed(&self, number: u64, error: &QueueError) -> bool {
        let mut state = self.state();
        let is_it = state.conn.take_if(|conn| conn.number == number).is_some();
        if is_it {
            state.away = Some(SharedError(error.again("connect").into()));
        }
        is_it
    }
}

#[cfg(test)]
mod tests {
    use perch_testkit::TestRedis;

    use super::*;

    #[tokio::test]
    async fn a_call_that_fails_late_does_not_drop_the_connection_that_was_opened_since() {
        let redis = TestRedis::claim().await;
        let late = || QueueError::Timeout { doing: "look", after: Duration::from_secs(1) };
        let shared = SharedConnection::default();
        let opened = async || {
            shared.connected(Ok(Connection::Single(redis.raw().await)));
            let ConnectionOrWait::Connection(conn) = shared.ask() else { panic!("there is one") };
            conn.number
        };
        let first = opened().await;
        assert!(shared.failed(first, &late()));
        assert!(matches!(shared.ask(), ConnectionOrWait::Wait { is_away: true, .. }));
        let second = opened().await;
        assert!(!shared.failed(first, &late()));
        assert!(matches!(shared.ask(), ConnectionOrWait::Connection(conn) if conn.number == second));
        assert!(shared.failed(second, &late()));
    }
}
