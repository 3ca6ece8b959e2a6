//! The connection pool through which every statement reaches Postgres.
//!
//! It retires sessions that can no longer be used, and supports a pooler in transaction mode: such a pooler assigns a server session
//! to each transaction, so no state may outlive one. With it, a single statement gets a transaction of its own, because the driver
//! sends it in two steps that must reach the same session, and no statement is prepared by name.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use deadpool::managed::{self, PoolError, QueueMode};
use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use perch_base::settings::PostgresSettings;
use sqlx::{
    Describe, Either, Execute, Executor, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgConnectOptions, PgRow, PgStatement, PgTypeInfo},
};
use tokio::runtime::Handle;

use crate::{
    address::Address,
    connection::{Connection, Manager, PooledConnection, RetiredConnections, Step},
    error::ends_sessions,
};

/// Begins a transaction. The timeout releases the locks of a process that froze within it. It is set for the transaction only, because
/// the session may belong to another client afterwards.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '15s'";
const COMMIT: &str = "commit";
const ROLLBACK: &str = "rollback";
/// A session that is idle for longer is closed, because managed Postgres limits the number of connections.
const IDLE: Duration = Duration::from_secs(300);
/// How long closing all sessions may take.
const LEAVE: Duration = Duration::from_secs(2);

/// A pool of sessions with Postgres.
#[derive(Debug, Clone)]
pub struct Pool {
    sessions: managed::Pool<Manager>,
    acquire_timeout: Duration,
    statement_timeout: Duration,
    /// Whether a pooler in transaction mode is in between; `None` if unknown.
    by_transaction: Option<bool>,
    retired: RetiredConnections,
    swept: Arc<Mutex<Instant>>,
}

impl Pool {
    /// A pool without connections; they are opened on demand.
    pub(crate) fn new(address: Address, settings: &PostgresSettings) -> Self {
        Self::with(address, settings, RetiredConnections::default())
    }

    /// A pool for the same server at another address. Its sessions are retired together with these.
    pub(crate) fn beside(&self, address: Address, settings: &PostgresSettings) -> Self {
        Self::with(address, settings, self.retired.clone())
    }

    fn with(address: Address, settings: &PostgresSettings, retired: RetiredConnections) -> Self {
        let manager = Manager { options: address.options, retired: retired.clone() };
        let sessions = managed::Pool::builder(manager)
            .max_size(usize::try_from(settings.max_connections).unwrap_or(usize::MAX))
            // The most recently used one is taken first, so that surplus ones become idle.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("a pool without timeouts of its own needs no runtime");
        Self {
            sessions,
            acquire_timeout: settings.acquire_timeout,
            statement_timeout: settings.statement_timeout,
            by_transaction: address.by_transaction,
            retired,
            swept: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Assumes a pooler in transaction mode, unless the address says that there is none.
    pub(crate) fn assume_by_transaction(self) -> Self {
        Self { by_transaction: self.by_transaction.or(Some(true)), ..self }
    }

    /// Whether a pooler in transaction mode is in between.
    pub(crate) fn is_by_transaction(&self) -> bool {
        self.by_transaction == Some(true)
    }

    /// The most sessions that it opens.
    pub(crate) fn most(&self) -> usize {
        self.sessions.status().max_size
    }

    /// The connection options, for a session outside the pool.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.sessions.manager().options
    }

    /// Begins a transaction, which is rolled back when dropped.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        let mut connection = self.connection().await?;
        self.note_failure(connection.plain(BEGIN).await)?;
        Ok(Tx { connection: Some(connection), pool: self.clone() })
    }

    /// A transaction without statement timeout, for migrations.
    pub(crate) async fn begin_unhurried(&self) -> Result<Tx, sqlx::Error> {
        let mut tx = self.begin().await?;
        if let Some(connection) = &mut tx.connection {
            connection.timeout = None;
        }
        Ok(tx)
    }

    /// A session for single statements.
    pub(crate) async fn acquire(&self) -> Result<Session, sqlx::Error> {
        Ok(Session { connection: self.connection().await?, pool: self.clone() })
    }

    async fn connection(&self) -> Result<PooledConnection, sqlx::Error> {
        self.close_idle();
        // Boxed, because the future that opens a session is large and rarely needed.
        let connection = match tokio::time::timeout(self.acquire_timeout, Box::pin(self.sessions.get())).await {
            Err(_) | Ok(Err(PoolError::Timeout(_))) => Err(sqlx::Error::PoolTimedOut),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(_)) => Err(sqlx::Error::PoolClosed),
            Ok(Ok(connection)) => Ok(PooledConnection::for_statements(connection, self.statement_timeout)),
        };
        self.note_failure(connection)
    }

    fn close_idle(&self) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.elapsed() > IDLE / 5 {
            *swept = Instant::now();
            self.sessions.retain(|connection, _| connection.used.elapsed() < IDLE);
        }
    }

    /// Whether a session that was opened at `opened` is retired.
    pub(crate) fn has_retired(&self, opened: Instant) -> bool {
        !self.retired.allows(opened)
    }

    /// Closes all sessions; later calls fail. A session in use is closed when it is returned.
    pub(crate) async fn close(&self) {
        let idle = self.sessions.retain(|_, _| false).removed;
        self.sessions.close();
        let leave = async {
            for connection in idle {
                connection.disconnect().await;
            }
        };
        // Postgres also notices sessions that are not closed properly.
        let _ = tokio::time::timeout(LEAVE, leave).await;
    }

    /// Retires all open sessions if the error calls for it. After a failover they lead to a read-only server or to none, and the pool
    /// would keep those to the read-only one for half an hour.
    fn note_failure<T>(&self, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        answer.inspect_err(|error| {
            if ends_sessions(error) {
                self.retired.retire_all();
            }
        })
    }

    async fn all<'q>(&self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        self.acquire().await?.all(query).await
    }
}

/// A session for single statements.
#[derive(Debug)]
pub struct Session {
    connection: PooledConnection,
    pool: Pool,
}

impl Session {
    async fn all<'q>(&mut self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        let steps = if self.pool.is_by_transaction() {
            in_own_transaction(&mut self.connection, query).await
        } else {
            self.connection.all(query).await
        };
        self.pool.note_failure(steps)
    }
}

/// Runs a statement in a transaction of its own.
async fn in_own_transaction<'q>(
    connection: &mut Connection,
    query: impl Execute<'q, Postgres> + 'q,
) -> Result<Vec<Step>, sqlx::Error> {
    connection.plain(BEGIN).await?;
    let steps = connection.all(UnnamedStatement(query)).await;
    if connection.is_lost() {
        return steps;
    }
    connection.plain(if steps.is_ok() { COMMIT } else { ROLLBACK }).await?;
    steps
}

/// A transaction.
#[derive(Debug)]
pub struct Tx {
    /// `None` once it has ended.
    connection: Option<PooledConnection>,
    pool: Pool,
}

impl Tx {
    /// Commits.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.end(COMMIT).await
    }

    /// Rolls back.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end(ROLLBACK).await
    }

    async fn end(mut self, how: &'static str) -> Result<(), sqlx::Error> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        self.pool.note_failure(connection.plain(how).await)
    }

    async fn all<'q>(&mut self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        let by_transaction = self.pool.is_by_transaction();
        let connection = self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        let steps =
            if by_transaction { connection.all(UnnamedStatement(query)).await } else { connection.all(query).await };
        self.pool.note_failure(steps)
    }
}

impl Drop for Tx {
    /// Rolls back at once: locks must not be held until the session is taken the next time.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match Handle::try_current() {
            Ok(runtime) if !connection.is_lost() => {
                runtime.spawn(async move {
                    let _ = connection.plain(ROLLBACK).await;
                });
            }
            // Closing the session makes Postgres roll back.
            _ => connection.close(),
        }
    }
}

/// A statement that is not prepared by name: behind a pooler, the next use may reach a session that does not know the name.
struct UnnamedStatement<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for UnnamedStatement<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

/// Implements `Executor` for types whose `all` method returns all results at once.
macro_rules! executes {
    ($($by:ty: |$this:ident| $connection:expr;)*) => {$(
        impl<'c> Executor<'c> for $by {
            type Database = Postgres;

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                let steps = async move { self.all(query).await };
                steps.map_ok(|steps| stream::iter(steps.into_iter().map(Ok))).try_flatten_stream().boxed()
            }

            fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
            where
                'c: 'e,
                E: 'q + Execute<'q, Postgres>,
            {
                let steps = async move { self.all(query).await };
                steps.map_ok(|steps| steps.into_iter().find_map(Either::right)).boxed()
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                parameters: &'e [PgTypeInfo],
            ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
            where
                'c: 'e,
            {
                let $this = self;
                async move { $connection.prepare(sql, parameters).await }.boxed()
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
            where
                'c: 'e,
            {
                let $this = self;
                async move { $connection.describe(sql).await }.boxed()
            }
        }
    )*};
}

executes! {
    &'c Pool: |pool| pool.acquire().await?.connection;
    &'c mut Session: |session| session.connection;
    &'c mut Tx: |tx| tx.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
}
