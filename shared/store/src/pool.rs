//! The way of every statement to Postgres.
//!
//! Here it is heard when a session is of no use any more, and here everything is done that a pooler in transaction mode asks for:
//! such a pooler hands out a session of the server for each transaction, so nothing may outlive one. A statement that stands
//! alone gets a transaction of its own there, because the driver sends it in two steps that must meet the same session, and none
//! is prepared by name.

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
    error::ends_sessions,
    connection::{RetiredConnections, PooledConnection, Connection, Manager, Step},
};

/// Begins a transaction. A process that froze amid it must not hold its locks against the others for ever; set for the
/// transaction alone, because the session may be somebody else's after it.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '15s'";
const COMMIT: &str = "commit";
const ROLLBACK: &str = "rollback";
/// A session that nobody used for so long is closed: managed Postgres counts them.
const IDLE: Duration = Duration::from_secs(300);
/// How long it is tried to take leave of the server.
const LEAVE: Duration = Duration::from_secs(2);

/// Sessions with Postgres.
#[derive(Debug, Clone)]
pub struct Pool {
    sessions: managed::Pool<Manager>,
    acquire_timeout: Duration,
    statement_timeout: Duration,
    /// Whether a pooler in transaction mode stands between; `None` where nothing was said and nothing shows it.
    by_transaction: Option<bool>,
    retired: RetiredConnections,
    swept: Arc<Mutex<Instant>>,
}

impl Pool {
    /// Nothing is connected yet.
    pub(crate) fn new(address: Address, settings: &PostgresSettings) -> Self {
        Self::with(address, settings, RetiredConnections::default())
    }

    /// Sessions with the same server by another way; they are given up together with these.
    pub(crate) fn beside(&self, address: Address, settings: &PostgresSettings) -> Self {
        Self::with(address, settings, self.retired.clone())
    }

    fn with(address: Address, settings: &PostgresSettings, retired: RetiredConnections) -> Self {
        let manager = Manager { options: address.options, retired: retired.clone() };
        let sessions = managed::Pool::builder(manager)
            .max_size(usize::try_from(settings.max_connections).unwrap_or(usize::MAX))
            // The one used last goes first, so that those not needed become idle.
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

    /// The same by way of a pooler in transaction mode, unless its address says that there is none.
    pub(crate) fn unless_told_by_transaction(self) -> Self {
        Self { by_transaction: self.by_transaction.or(Some(true)), ..self }
    }

    /// Whether a pooler in transaction mode stands between.
    pub(crate) fn is_by_transaction(&self) -> bool {
        self.by_transaction == Some(true)
    }

    /// Sessions at most.
    pub(crate) fn most(&self) -> usize {
        self.sessions.status().max_size
    }

    /// Where it leads, for a session that is kept.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.sessions.manager().options
    }

    /// Begins a transaction; dropped, it is rolled back.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        let mut connection = self.connection().await?;
        self.note_failure(connection.plain(BEGIN).await)?;
        Ok(Tx { connection: Some(connection), pool: self.clone() })
    }

    /// A transaction whose statements may take as long as they need, as those of a migration.
    pub(crate) async fn begin_unhurried(&self) -> Result<Tx, sqlx::Error> {
        let mut tx = self.begin().await?;
        if let Some(connection) = &mut tx.connection {
            connection.timeout = None;
        }
        Ok(tx)
    }

    /// A session for statements that stand alone.
    pub(crate) async fn acquire(&self) -> Result<Session, sqlx::Error> {
        Ok(Session { connection: self.connection().await?, pool: self.clone() })
    }

    async fn connection(&self) -> Result<PooledConnection, sqlx::Error> {
        self.close_idle();
        // Boxed: to open a session is large, and seldom.
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

    /// Whether a session that was opened then is of no use any more.
    pub(crate) fn has_retired(&self, opened: Instant) -> bool {
        !self.retired.allows(opened)
    }

    /// Closes all sessions; calls after this fail. One that is in use is closed when it is given back.
    pub(crate) async fn close(&self) {
        let idle = self.sessions.retain(|_, _| false).removed;
        self.sessions.close();
        let leave = async {
            for connection in idle {
                connection.disconnect().await;
            }
        };
        // Postgres notices also where it is not told.
        let _ = tokio::time::timeout(LEAVE, leave).await;
    }

    /// Hears what came of a statement. After a failover the sessions there are lead to a server that may only be read from, or to
    /// none, and the driver would keep the former for half an hour.
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

/// A session for statements that stand alone.
#[derive(Debug)]
pub struct Session {
    connection: PooledConnection,
    pool: Pool,
}

impl Session {
    async fn all<'q>(&mut self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        let steps =
            if self.pool.is_by_transaction() { in_own_transaction(&mut self.connection, query).await } else { self.connection.all(query).await };
        self.pool.note_failure(steps)
    }
}

/// A statement in a transaction of its own.
async fn in_own_transaction<'q>(connection: &mut Connection, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
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
    /// None once it has ended.
    connection: Option<PooledConnection>,
    pool: Pool,
}

impl Tx {
    /// Makes what was done hold.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.end(COMMIT).await
    }

    /// Undoes what was done.
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
        let steps = if by_transaction { connection.all(UnnamedStatement(query)).await } else { connection.all(query).await };
        self.pool.note_failure(steps)
    }
}

impl Drop for Tx {
    /// What was locked must not wait for the next who takes the session.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match Handle::try_current() {
            Ok(runtime) if !connection.is_lost() => {
                runtime.spawn(async move {
                    let _ = connection.plain(ROLLBACK).await;
                });
            }
            // Postgres rolls back when it is closed.
            _ => connection.close(),
        }
    }
}

/// A statement that is not prepared by name: the session that knows the name may be another's by the next time.
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

/// Lets statements be executed by a type that answers them with all steps at once.
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
