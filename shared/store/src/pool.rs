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

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use perch_base::settings::PostgresSettings;
use sqlx::{
    Connection as _, Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::runtime::Handle;

use crate::{address::Address, error::ends_sessions};

/// Begins a transaction. A process that froze amid it must not hold its locks against the others for ever; set for the
/// transaction alone, because the session may be somebody else's after it.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '15s'";
const COMMIT: &str = "commit";
const ROLLBACK: &str = "rollback";
/// A session that nobody used for so long is closed: managed Postgres counts them.
const IDLE: Duration = Duration::from_secs(300);
/// A session is closed after so long: a server keeps what it learned with each for as long as it is open.
const LIFETIME: Duration = Duration::from_secs(1_800);
/// A session that nobody used for so long may have been closed by what stands between, and is asked before it is used. Others are
/// not: each question is a way to a server that may be far.
const QUIET: Duration = Duration::from_secs(10);

/// Sessions with Postgres.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    sessions: managed::Pool<Manager>,
    acquire_timeout: Duration,
    /// Whether a pooler in transaction mode stands between; `None` where nothing was said and nothing shows it.
    by_transaction: Option<bool>,
    given_up: GivenUp,
    swept: Arc<Mutex<Instant>>,
}

/// Opens sessions, and says which can be used again.
struct Manager {
    options: PgConnectOptions,
    given_up: GivenUp,
}

// The options of the driver show their password.
impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Manager")
    }
}

/// A session of the server.
#[derive(Debug)]
pub(crate) struct Link {
    conn: PgConnection,
    opened: Instant,
    used: Instant,
    /// A statement is under way, or broke off: nobody knows what the server sends next.
    is_busy: bool,
}

impl Link {
    /// A statement; the session is of no more use when it is not awaited to its end, or the way to the server broke.
    async fn all<'q>(&mut self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        self.is_busy = true;
        let steps: Result<Vec<Step>, sqlx::Error> = self.conn.fetch_many(query).try_collect().await;
        self.is_busy = steps.as_ref().is_err_and(|error| {
            !matches!(error, sqlx::Error::Database(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_))
        });
        self.used = Instant::now();
        steps
    }

    async fn plain(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.all(sqlx::raw_sql(sql)).await.map(|_| ())
    }
}

impl managed::Manager for Manager {
    type Type = Link;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Link, sqlx::Error> {
        let opened = Instant::now();
        let conn = PgConnection::connect_with(&self.options).await?;
        Ok(Link { conn, opened, used: opened, is_busy: false })
    }

    async fn recycle(&self, link: &mut Link, _: &Metrics) -> RecycleResult<sqlx::Error> {
        if link.is_busy || link.opened.elapsed() > LIFETIME || !self.given_up.spares(link.opened) {
            return Err(RecycleError::message("it is of no more use"));
        }
        if link.used.elapsed() > QUIET {
            link.conn.ping().await?;
        }
        Ok(())
    }
}

/// Sessions that were opened up to then are not used again.
#[derive(Debug, Clone, Default)]
struct GivenUp(Arc<Mutex<Option<Instant>>>);

impl GivenUp {
    fn all_until_now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a session that was opened then was opened since.
    fn spares(&self, opened: Instant) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| opened > until)
    }
}

impl Pool {
    /// Nothing is connected yet.
    pub fn new(address: Address, settings: &PostgresSettings) -> Self {
        Self::with(address, settings, GivenUp::default())
    }

    /// Sessions with the same server by another way; they are given up together with these.
    pub fn beside(&self, address: Address, settings: &PostgresSettings) -> Self {
        Self::with(address, settings, self.given_up.clone())
    }

    fn with(address: Address, settings: &PostgresSettings, given_up: GivenUp) -> Self {
        let manager = Manager { options: address.options, given_up: given_up.clone() };
        let sessions = managed::Pool::builder(manager)
            .max_size(usize::try_from(settings.max_connections).unwrap_or(usize::MAX))
            // The one used last goes first, so that those not needed become idle.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("a pool without timeouts of its own needs no runtime");
        Self {
            sessions,
            acquire_timeout: settings.acquire_timeout,
            by_transaction: address.by_transaction,
            given_up,
            swept: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// The same by way of a pooler in transaction mode, unless its address says that there is none.
    pub fn unless_told_by_transaction(self) -> Self {
        Self { by_transaction: self.by_transaction.or(Some(true)), ..self }
    }

    /// Whether a pooler in transaction mode stands between.
    pub fn is_by_transaction(&self) -> bool {
        self.by_transaction == Some(true)
    }

    /// Sessions at most.
    pub fn most(&self) -> usize {
        self.sessions.status().max_size
    }

    /// Where it leads, for a session that is kept.
    pub fn options(&self) -> &PgConnectOptions {
        &self.sessions.manager().options
    }

    /// Begins a transaction; dropped, it is rolled back.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        let mut link = self.link().await?;
        self.heard(link.plain(BEGIN).await)?;
        Ok(Tx { link: Some(link), pool: self.clone() })
    }

    /// A session for statements that stand alone.
    pub async fn acquire(&self) -> Result<Session, sqlx::Error> {
        Ok(Session { link: self.link().await?, pool: self.clone() })
    }

    async fn link(&self) -> Result<Object<Manager>, sqlx::Error> {
        self.close_idle();
        // Boxed: to open a session is large, and seldom.
        let link = match tokio::time::timeout(self.acquire_timeout, Box::pin(self.sessions.get())).await {
            Err(_) | Ok(Err(PoolError::Timeout(_))) => Err(sqlx::Error::PoolTimedOut),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(_)) => Err(sqlx::Error::PoolClosed),
            Ok(Ok(link)) => Ok(link),
        };
        self.heard(link)
    }

    fn close_idle(&self) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.elapsed() > IDLE / 5 {
            *swept = Instant::now();
            self.sessions.retain(|link, _| link.used.elapsed() < IDLE);
        }
    }

    /// Whether a session that was opened then is of no use any more.
    pub fn has_given_up(&self, opened: Instant) -> bool {
        !self.given_up.spares(opened)
    }

    /// Closes all sessions; calls after this fail. One that is in use is closed when it is given back.
    pub async fn close(&self) {
        let idle = self.sessions.retain(|_, _| false).removed;
        self.sessions.close();
        for link in idle {
            // Postgres notices also where it is not told.
            let _ = link.conn.close().await;
        }
    }

    /// Hears what came of a statement. After a failover the sessions there are lead to a server that may only be read from, or to
    /// none, and the driver would keep the former for half an hour.
    fn heard<T>(&self, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        answer.inspect_err(|error| {
            if ends_sessions(error) {
                self.given_up.all_until_now();
            }
        })
    }

    async fn all<'q>(&self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        self.acquire().await?.all(query).await
    }
}

/// What Postgres answers: a row, or that a statement is done.
type Step = Either<PgQueryResult, PgRow>;

/// A session for statements that stand alone.
#[derive(Debug)]
pub(crate) struct Session {
    link: Object<Manager>,
    pool: Pool,
}

impl Session {
    async fn all<'q>(&mut self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        let steps =
            if self.pool.is_by_transaction() { alone(&mut self.link, query).await } else { self.link.all(query).await };
        self.pool.heard(steps)
    }

    fn conn(&mut self) -> &mut PgConnection {
        &mut self.link.conn
    }
}

/// A statement in a transaction of its own.
async fn alone<'q>(link: &mut Link, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
    link.plain(BEGIN).await?;
    let steps = link.all(Unnamed(query)).await;
    link.plain(if steps.is_ok() { COMMIT } else { ROLLBACK }).await?;
    steps
}

/// A transaction.
#[derive(Debug)]
pub(crate) struct Tx {
    /// None once it has ended.
    link: Option<Object<Manager>>,
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
        let Some(mut link) = self.link.take() else { return Ok(()) };
        self.pool.heard(link.plain(how).await)
    }

    async fn all<'q>(&mut self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        let by_transaction = self.pool.is_by_transaction();
        let link = self.link.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        let steps = if by_transaction { link.all(Unnamed(query)).await } else { link.all(query).await };
        self.pool.heard(steps)
    }
}

impl Drop for Tx {
    /// What was locked must not wait for the next who takes the session.
    fn drop(&mut self) {
        let Some(mut link) = self.link.take() else { return };
        match Handle::try_current() {
            Ok(runtime) if !link.is_busy => {
                runtime.spawn(async move {
                    let _ = link.plain(ROLLBACK).await;
                });
            }
            // Postgres rolls back when it is closed.
            _ => drop(Object::take(link)),
        }
    }
}

/// A statement that is not prepared by name: the session that knows the name may be another's by the next time.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
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
    ($($by:ty: |$this:ident| $conn:expr;)*) => {$(
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
                async move { $conn.prepare_with(sql, parameters).await }.boxed()
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
            where
                'c: 'e,
            {
                let $this = self;
                async move { $conn.describe(sql).await }.boxed()
            }
        }
    )*};
}

executes! {
    &'c Pool: |pool| pool.acquire().await?.conn();
    &'c mut Session: |session| session.conn();
    &'c mut Tx: |tx| tx.link.as_mut().ok_or(sqlx::Error::PoolClosed)?.conn;
}
