//! A session with Postgres: how long to wait for its answers, and when it can no longer be used.

use std::{
    io,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use deadpool::managed::{self, Metrics, Object, RecycleError, RecycleResult};
use futures::TryStreamExt as _;
use sqlx::{
    Connection as _, Describe, Either, Execute, Executor as _, PgConnection, Postgres, SqlStr,
    postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use crate::error::leaves_the_session;

/// The longest life of a session: the server keeps caches for each session for as long as it is open.
const LIFETIME: Duration = Duration::from_secs(1_800);
/// A session that was idle for longer may have been closed by a proxy or firewall, and is pinged before use. Others are not pinged,
/// because each ping is a round trip to a server that may be far away.
const QUIET: Duration = Duration::from_secs(10);
/// How long a ping may take.
const PING: Duration = Duration::from_secs(2);

/// What Postgres answers: a row, or that a statement is done.
pub(crate) type Step = Either<PgQueryResult, PgRow>;

/// Opens sessions for the pool and decides which can be reused.
pub(crate) struct Manager {
    pub options: PgConnectOptions,
    pub retired: RetiredConnections,
}

// The options of the driver show their password.
impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Manager")
    }
}

/// A session of the server.
#[derive(Debug)]
pub(crate) struct Connection {
    conn: PgConnection,
    opened: Instant,
    pub used: Instant,
    /// How long a statement may take; `None` sets no limit. Set by whoever takes the session from the pool.
    pub timeout: Option<Duration>,
    /// A statement is under way or was aborted, so what the server sends next is unknown.
    is_busy: bool,
}

impl Connection {
    /// Runs a statement. The session cannot be used again if this future is dropped early, if the connection breaks, or if the
    /// answer does not come in time: a server that hangs and a network that drops packets both stay silent.
    pub async fn all<'q>(&mut self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        self.begin()?;
        let steps = limited(self.timeout, self.conn.fetch_many(query).try_collect()).await;
        self.end(steps)
    }

    pub async fn plain(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.all(sqlx::raw_sql(sql)).await.map(|_| ())
    }

    pub async fn prepare(&mut self, sql: SqlStr, parameters: &[PgTypeInfo]) -> Result<PgStatement, sqlx::Error> {
        self.begin()?;
        let prepared = limited(self.timeout, self.conn.prepare_with(sql, parameters)).await;
        self.end(prepared)
    }

    pub async fn describe(&mut self, sql: SqlStr) -> Result<Describe<Postgres>, sqlx::Error> {
        self.begin()?;
        let described = limited(self.timeout, self.conn.describe(sql)).await;
        self.end(described)
    }

    /// Whether it can no longer be used.
    pub fn is_lost(&self) -> bool {
        self.is_busy
    }

    /// Closes it in agreement with the server.
    pub async fn disconnect(self) {
        let _ = self.conn.close().await;
    }

    // A statement sent after an aborted one would wait for the rest of the old answer, and then take effect after all.
    fn begin(&mut self) -> Result<(), sqlx::Error> {
        if self.is_busy {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the session was given up").into());
        }
        self.is_busy = true;
        Ok(())
    }

    fn end<T>(&mut self, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.is_busy = answer.as_ref().is_err_and(|error| !leaves_the_session(error));
        self.used = Instant::now();
        answer
    }
}

/// The answer, or an error if it does not come in time.
pub(crate) async fn limited<T>(
    timeout: Option<Duration>,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let Some(timeout) = timeout else { return answer.await };
    tokio::time::timeout(timeout, answer).await.unwrap_or_else(|_| {
        let late = format!("no answer within {timeout:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, late).into())
    })
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Connection, sqlx::Error> {
        let opened = Instant::now();
        let conn = PgConnection::connect_with(&self.options).await?;
        Ok(Connection { conn, opened, used: opened, timeout: None, is_busy: false })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<sqlx::Error> {
        if connection.is_busy || connection.opened.elapsed() > LIFETIME || !self.retired.allows(connection.opened) {
            return Err(RecycleError::message("it is of no more use"));
        }
        if connection.used.elapsed() > QUIET {
            let answered = limited(Some(PING), connection.conn.ping()).await;
            answered.inspect_err(|error| {
                // The other idle sessions would otherwise be pinged one by one, each with the same wait.
                if is_late(error) {
                    self.retired.retire_all();
                }
            })?;
        }
        Ok(())
    }
}

fn is_late(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// A session taken from the pool. One that can no longer be used is closed when this is dropped, so that a server that hung sees
/// that nobody waits any more.
#[derive(Debug)]
pub(crate) struct PooledConnection(Option<Object<Manager>>);

impl PooledConnection {
    /// For statements that may take as long as `timeout`.
    pub fn for_statements(mut connection: Object<Manager>, timeout: Duration) -> Self {
        connection.timeout = Some(timeout);
        Self(Some(connection))
    }

    /// Closes it instead of returning it to the pool.
    pub fn close(mut self) {
        drop(self.0.take().map(Object::take));
    }
}

impl Deref for PooledConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.as_ref().expect("it is there until this is dropped")
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        self.0.as_mut().expect("it is there until this is dropped")
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take_if(|connection| connection.is_busy) {
            drop(Object::take(connection));
        }
    }
}

/// The time up to which opened sessions are not used again. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RetiredConnections(Arc<Mutex<Option<Instant>>>);

impl RetiredConnections {
    pub fn retire_all(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a session that was opened at `opened` may still be used.
    pub fn allows(&self, opened: Instant) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| opened > until)
    }
}

#[cfg(test)]
mod tests {
    use deadpool::managed::Manager as _;
    use perch_testkit::TestDatabase;
    use secrecy::ExposeSecret as _;

    use super::*;

    /// A delay so long that the server seems to hang.
    const FAR: Duration = Duration::from_secs(600);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_that_lay_idle_and_does_not_answer_is_given_up_with_the_others() {
        let database = TestDatabase::create().await;
        let (gate, url) = database.gated().await;
        let options = url.expose_secret().parse().expect("a Postgres URL");
        let manager = Manager { options, retired: RetiredConnections::default() };
        let mut connections = Vec::new();
        for _ in 0..2 {
            let mut connection = manager.create().await.expect("Postgres answers");
            connection.used = Instant::now().checked_sub(2 * QUIET).expect("the machine has been up for a minute");
            connections.push(connection);
        }
        for connection in &mut connections {
            manager.recycle(connection, &Metrics::default()).await.expect("it answers");
        }
        gate.set_delay(FAR);
        let late = manager.recycle(&mut connections[0], &Metrics::default()).await.expect_err("it does not answer");
        assert!(matches!(&late, RecycleError::Backend(error) if is_late(error)), "{late}");
        let other = manager.recycle(&mut connections[1], &Metrics::default()).await.expect_err("nobody waits for it");
        assert!(matches!(other, RecycleError::Message(_)), "{other}");
    }
}
