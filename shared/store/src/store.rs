use crate::{query, query_as, query_scalar};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use perch_base::{ConfigError, Environment, Settings, settings::PostgresSettings};
use perch_queue::EntryId;
use secrecy::SecretString;

use crate::{Families, StoreError, Tables, address::Address, pool::Pool, row::Moment};

/// The door to Postgres for one environment. Cheap to clone.
///
/// Every query it makes names the environment; rows of the other one are never read or written.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: Pool,
    /// What goes on over several transactions has a session of its own here; `None` where nothing leads past a pooler.
    pub(crate) sessions: Option<Pool>,
    pub(crate) env: Environment,
    /// The tables of the bots of this deployment.
    pub(crate) tables: Arc<[Tables]>,
    /// What their handlers write.
    pub(crate) records: Arc<Families>,
}

/// What Postgres says of itself.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// Its version.
    pub version: String,
    /// What its clock shows.
    pub clock: DateTime<Utc>,
    /// What it does so that an answer holds.
    pub durability: Durability,
}

/// What Postgres does so that what it answered survives a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// Whether it waits for the disk (`fsync`).
    pub waits_for_disk: bool,
    /// Whether a page that was half written can be restored (`full_page_writes`).
    pub mends_pages: bool,
    /// Whether a commit is answered only once it is on its way to the disk (`synchronous_commit` is not `off`), for this role in
    /// this database.
    pub commits_first: bool,
}

/// By which sessions new jobs are heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationRoute {
    /// By those of `DATABASE_URL`.
    Direct,
    /// By one of `DATABASE_SESSION_URL`, past a pooler in transaction mode.
    PastPooler,
    /// By none: `DATABASE_URL` leads through a pooler in transaction mode, and no other way is known.
    Nowhere,
}

impl Store {
    /// The store that settings describe. Nothing is connected yet.
    pub fn of(settings: &Settings) -> Result<Self, OpenError> {
        let store = Self::connect_lazy(settings.database_url()?, settings.env, &settings.postgres)?;
        match &settings.secrets.database_session_url {
            Some(url) => Ok(store.with_sessions_at(url, &settings.postgres)?),
            None => Ok(store),
        }
    }

    /// A store on `url`, `postgres://…`; `?sslmode=require` and its kin ask for TLS, `?pgbouncer=true` says that a pooler in
    /// transaction mode stands there. Nothing is connected yet.
    pub fn connect_lazy(url: &SecretString, env: Environment, settings: &PostgresSettings) -> Result<Self, StoreError> {
        let pool = Pool::new(Address::parse(url, "DATABASE_URL")?, settings);
        let sessions = (!pool.is_by_transaction()).then(|| pool.clone());
        Ok(Self { pool, sessions, env, tables: Arc::default(), records: Arc::default() })
    }

    /// The same with another address for what needs a session of its own. The first one then is that of a pooler in transaction
    /// mode, unless it says `?pgbouncer=false`.
    pub fn with_sessions_at(self, url: &SecretString, settings: &PostgresSettings) -> Result<Self, StoreError> {
        let address = Address::parse(url, "DATABASE_SESSION_URL")?;
        if address.by_transaction == Some(true) {
            return Err(StoreError::Configuration {
                variable: "DATABASE_SESSION_URL",
                reason: "its address is that of a pooler in transaction mode; say ?pgbouncer=false in it where that is not so"
                    .to_owned(),
            });
        }
        let few = PostgresSettings { max_connections: 1, ..settings.clone() };
        let sessions = self.pool.beside(address, &few);
        Ok(Self { pool: self.pool.unless_told_by_transaction(), sessions: Some(sessions), ..self })
    }

    /// The same, which asks for the tables of these bots too, and makes them when it migrates.
    #[must_use]
    pub fn with_tables(self, tables: impl IntoIterator<Item = Tables>) -> Self {
        Self { tables: tables.into_iter().collect(), ..self }
    }

    /// The same, whose sync moves the records of these families.
    #[must_use]
    pub fn with_records(self, records: Families) -> Self {
        Self { records: Arc::new(records), ..self }
    }

    /// The way of statements to Postgres, for the tables of a bot. They name the environment, and so do their rows.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The environment whose rows it reads and writes.
    pub fn env(&self) -> Environment {
        self.env
    }

    /// Asks Postgres whether it is there. Takes up to `postgres.acquire_timeout` when it is not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        query!("select 1 as alive").execute(&self.pool).await.map(|_| ()).map_err(StoreError::on("ping"))
    }

    /// Tries whether Postgres takes what is written: makes a table of a few hundred pages, which nobody else sees and which is gone
    /// at once. Reading goes on when a disk is full.
    pub async fn try_to_write(&self) -> Result<(), StoreError> {
        let doing = "try to write";
        let mut tx = self.pool.begin().await.map_err(StoreError::on(doing))?;
        query!(
            "create temporary table perch_doctor on commit drop as
             select repeat(md5(n::text), 30) as text from generate_series(1, 2000) n"
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        tx.rollback().await.map_err(StoreError::on(doing))
    }

    /// What the server says of itself.
    pub async fn server(&self) -> Result<ServerInfo, StoreError> {
        let (version, Moment(clock), waits_for_disk, mends_pages, commits_first) = query_as!(
            "select current_setting('server_version') as version, clock_timestamp(),
                    current_setting('fsync')::boolean as waits_for_disk,
                    current_setting('full_page_writes')::boolean as mends_pages,
                    current_setting('synchronous_commit') <> 'off' as commits_first"
        )
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::on("ask the server"))?;
        Ok(ServerInfo { version, clock, durability: Durability { waits_for_disk, mends_pages, commits_first } })
    }

    /// By which sessions new jobs are heard of.
    pub fn notification_route(&self) -> NotificationRoute {
        match &self.sessions {
            None => NotificationRoute::Nowhere,
            Some(_) if self.pool.is_by_transaction() => NotificationRoute::PastPooler,
            Some(_) => NotificationRoute::Direct,
        }
    }

    /// Whether the sessions past a pooler are with the same database of the same server.
    pub async fn routes_reach_same_database(&self) -> Result<bool, StoreError> {
        let place = async |pool: &Pool| -> Result<String, StoreError> {
            query_scalar!("select concat_ws(' ', current_database(), pg_postmaster_start_time())")
                .fetch_one(pool)
                .await
                .map_err(StoreError::on("compare DATABASE_URL with DATABASE_SESSION_URL"))
        };
        match &self.sessions {
            Some(sessions) => Ok(place(&self.pool).await? == place(sessions).await?),
            None => Ok(true),
        }
    }

    /// Closes every connection; calls after this fail.
    pub async fn close(&self) {
        self.pool.close().await;
        if let Some(sessions) = &self.sessions {
            sessions.close().await;
        }
    }

    /// Whether statements may be prepared by name.
    pub(crate) fn prepares(&self) -> bool {
        !self.pool.is_by_transaction()
    }

    pub(crate) fn env_name(&self) -> &'static str {
        self.env.as_str()
    }

    /// The version of a row that is written without passing through Redis.
    pub(crate) fn version_now() -> EntryId {
        let now = Utc::now();
        EntryId {
            ms: u64::try_from(now.timestamp_millis()).unwrap_or(0),
            seq: u64::from(now.timestamp_subsec_nanos() % 1_000_000),
        }
    }
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration does not say where Postgres is.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What it says cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}
