use std::sync::Arc;

use chrono::{DateTime, Utc};
use perch_base::{ConfigError, Environment, Settings, settings::PostgresSettings};
use perch_queue::EntryId;
use secrecy::SecretString;

use crate::{Families, StoreError, Tables, address::Address, pool::Pool, query, query_as, query_scalar, row::Moment};

/// Access to Postgres for one environment. Cheap to clone.
///
/// Every query it makes names the environment; rows of the other one are never read or written.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: Pool,
    /// For work that needs a session over several transactions; `None` where there is no connection past a pooler.
    pub(crate) sessions: Option<Pool>,
    pub(crate) env: Environment,
    /// The tables of the bots of this deployment.
    pub(crate) tables: Arc<[Tables]>,
    /// The families of records that their handlers write.
    pub(crate) records: Arc<Families>,
}

/// What Postgres reports about itself.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// Its version.
    pub version: String,
    /// The time by its clock.
    pub clock: DateTime<Utc>,
    /// Its settings for durability.
    pub durability: Durability,
}

/// The settings of Postgres that decide whether a confirmed commit survives a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// Whether it waits for the disk (`fsync`).
    pub waits_for_disk: bool,
    /// Whether a page that was half written can be restored (`full_page_writes`).
    pub mends_pages: bool,
    /// Whether a commit is confirmed only after it was written out (`synchronous_commit` is not `off`), for this role in this database.
    pub commits_first: bool,
}

/// How notifications of new jobs are received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationRoute {
    /// Those of `DATABASE_URL`.
    Direct,
    /// One of `DATABASE_SESSION_URL`, past a pooler in transaction mode.
    PastPooler,
    /// None: `DATABASE_URL` leads through a pooler in transaction mode, and no other address is configured.
    Nowhere,
}

impl Store {
    /// The store for these settings. Nothing is connected yet.
    pub fn of(settings: &Settings) -> Result<Self, OpenError> {
        let store = Self::connect_lazy(settings.database_url()?, settings.env, &settings.postgres)?;
        match &settings.secrets.database_session_url {
            Some(url) => Ok(store.with_sessions_at(url, &settings.postgres)?),
            None => Ok(store),
        }
    }

    /// A store at `url`, `postgres://…`; `?sslmode=require` and similar ask for TLS, `?pgbouncer=true` announces a pooler in
    /// transaction mode. Nothing is connected yet.
    pub fn connect_lazy(url: &SecretString, env: Environment, settings: &PostgresSettings) -> Result<Self, StoreError> {
        let pool = Pool::new(Address::parse(url, "DATABASE_URL")?, settings);
        let sessions = (!pool.is_by_transaction()).then(|| pool.clone());
        Ok(Self { pool, sessions, env, tables: Arc::default(), records: Arc::default() })
    }

    /// Adds another address for work that needs a session of its own. The first address then counts as that of a pooler in
    /// transaction mode, unless it says `?pgbouncer=false`.
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
        Ok(Self { pool: self.pool.assume_by_transaction(), sessions: Some(sessions), ..self })
    }

    /// Adds the tables of bots, which are then required, and created by a migration.
    #[must_use]
    pub fn with_tables(self, tables: impl IntoIterator<Item = Tables>) -> Self {
        Self { tables: tables.into_iter().collect(), ..self }
    }

    /// Sets the families of records that the sync moves.
    #[must_use]
    pub fn with_records(self, records: Families) -> Self {
        Self { records: Arc::new(records), ..self }
    }

    /// The connection pool, for statements on the tables of a bot. Every statement must name the environment.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The environment whose rows it reads and writes.
    pub fn env(&self) -> Environment {
        self.env
    }

    /// Pings Postgres. Takes up to `postgres.acquire_timeout` when it is unavailable.
    pub async fn ping(&self) -> Result<(), StoreError> {
        query!("select 1 as alive").execute(&self.pool).await.map(|_| ()).map_err(StoreError::on("ping"))
    }

    /// Tests whether Postgres accepts writes, which it does not when its disk is full although reads go on: creates a temporary table
    /// of a few hundred pages and rolls back.
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

    /// What the server reports about itself.
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

    /// How notifications of new jobs are received.
    pub fn notification_route(&self) -> NotificationRoute {
        match &self.sessions {
            None => NotificationRoute::Nowhere,
            Some(_) if self.pool.is_by_transaction() => NotificationRoute::PastPooler,
            Some(_) => NotificationRoute::Direct,
        }
    }

    /// Whether `DATABASE_URL` and `DATABASE_SESSION_URL` lead to the same database of the same server.
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

    /// Closes every connection; later calls fail.
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

    /// A version for rows that are written without passing through Redis.
    pub(crate) fn version_now() -> EntryId {
        let now = Utc::now();
        EntryId {
            ms: u64::try_from(now.timestamp_millis()).unwrap_or(0),
            seq: u64::from(now.timestamp_subsec_nanos() % 1_000_000),
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration has no address of Postgres.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configured address cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}
