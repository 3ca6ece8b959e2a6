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

use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use perch_base::settings::PostgresSettings;
use sqlx::{
    Connection as _, Describe, Either, Execute, Executor, PgPool, Postgres, SqlStr, Transaction,
    error::BoxDynError,
    pool::PoolConnection,
    postgres::{PgArguments, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use crate::{address::Address, error::ends_sessions};

/// Begins a transaction. A process that froze amid it must not hold its locks against the others for ever; set for the
/// transaction alone, because the session may be somebody else's after it.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '15s'";
/// A session that nobody used for so long is closed: managed Postgres counts them.
const IDLE: Duration = Duration::from_secs(300);

/// Sessions with Postgres.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    sessions: PgPool,
    /// Whether a pooler in transaction mode stands between; `None` where nothing was said and nothing shows it.
    by_transaction: Option<bool>,
    given_up: GivenUp,
}

/// Sessions that were opened up to then are not used again.
#[derive(Debug, Clone, Default)]
struct GivenUp(Arc<Mutex<Option<Instant>>>);

impl GivenUp {
    fn all_until_now(&self) {
        // A test shows what happens without it.
        fail::fail_point!("store.sessions", |_| ());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a session of this age was opened since.
    fn spares(&self, age: Duration) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| age < until.elapsed())
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
        let known = given_up.clone();
        let sessions = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .idle_timeout(IDLE)
            .before_acquire(move |_, session| {
                let is_usable = known.spares(session.age);
                async move { Ok(is_usable) }.boxed()
            })
            .connect_lazy_with(address.options);
        Self { sessions, by_transaction: address.by_transaction, given_up }
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
    pub fn most(&self) -> u32 {
        self.sessions.options().get_max_connections()
    }

    /// Its sessions as the driver has them, for what only the driver can do with one.
    pub fn sessions(&self) -> &PgPool {
        &self.sessions
    }

    /// Begins a transaction; dropped, it is rolled back.
    pub async fn begin(&self) -> Result<Tx, sqlx::Error> {
        let tx = self.heard(self.sessions.begin_with(BEGIN).await)?;
        Ok(Tx { tx, pool: self.clone() })
    }

    /// A session for statements that stand alone.
    pub async fn acquire(&self) -> Result<Session, sqlx::Error> {
        let session = self.heard(self.sessions.acquire().await)?;
        Ok(Session { session, pool: self.clone() })
    }

    /// Whether a session that was opened then is of no use any more.
    pub fn has_given_up(&self, opened: Instant) -> bool {
        !self.given_up.spares(opened.elapsed())
    }

    /// Closes all sessions; calls after this fail.
    pub async fn close(&self) {
        self.sessions.close().await;
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
    session: PoolConnection<Postgres>,
    pool: Pool,
}

impl Session {
    async fn all<'q>(&mut self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        let steps = if self.pool.is_by_transaction() {
            alone(&mut self.session, query).await
        } else {
            self.session.fetch_many(query).try_collect().await
        };
        self.pool.heard(steps)
    }
}

/// A statement in a transaction of its own.
async fn alone<'q>(
    session: &mut PoolConnection<Postgres>,
    query: impl Execute<'q, Postgres> + 'q,
) -> Result<Vec<Step>, sqlx::Error> {
    let mut tx = session.begin_with(BEGIN).await?;
    let steps = tx.fetch_many(Unnamed(query)).try_collect().await?;
    tx.commit().await?;
    Ok(steps)
}

/// A transaction.
#[derive(Debug)]
pub(crate) struct Tx {
    tx: Transaction<'static, Postgres>,
    pool: Pool,
}

impl Tx {
    /// Makes what was done hold.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.pool.heard(self.tx.commit().await)
    }

    /// Undoes what was done.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.pool.heard(self.tx.rollback().await)
    }

    async fn all<'q>(&mut self, query: impl Execute<'q, Postgres> + 'q) -> Result<Vec<Step>, sqlx::Error> {
        let steps = if self.pool.is_by_transaction() {
            self.tx.fetch_many(Unnamed(query)).try_collect().await
        } else {
            self.tx.fetch_many(query).try_collect().await
        };
        self.pool.heard(steps)
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
    ($($by:ty: |$this:ident| $sessions:expr;)*) => {$(
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
                $sessions.prepare_with(sql, parameters)
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
            where
                'c: 'e,
            {
                let $this = self;
                $sessions.describe(sql)
            }
        }
    )*};
}

executes! {
    &'c Pool: |pool| (&pool.sessions);
    &'c mut Session: |session| (&mut *session.session);
    &'c mut Tx: |tx| (&mut *tx.tx);
}
