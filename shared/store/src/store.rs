use std::{str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use perch_base::{Environment, settings::PostgresSettings};
use perch_queue::EntryId;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Executor as _, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    Accounts, ApiKeys, Audit, Effects, Extractions, History, IdempotencyKeys, Outbox, Performance, Picks, Posts,
    Recovery, Spend, StoreError, Summaries, Tracking,
};

/// A process that froze amid a transaction must not hold its locks against the others for ever.
const LET_GO: &str = "set idle_in_transaction_session_timeout = '15s'";

/// The door to Postgres for one environment. Cheap to clone.
///
/// Every query it makes names the environment; rows of the other one are never read or written.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: PgPool,
    pub(crate) env: Environment,
}

/// What Postgres says of itself.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// Its version.
    pub version: String,
    /// What its clock shows.
    pub clock: DateTime<Utc>,
}

/// A connection that nobody used for so long is closed: managed Postgres counts them.
const IDLE: Duration = Duration::from_secs(300);

impl Store {
    /// A store on `url`, `postgres://…`; `?sslmode=require` and its kin ask for TLS. Nothing is connected yet.
    pub fn connect_lazy(url: &SecretString, env: Environment, settings: &PostgresSettings) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url.expose_secret())
            .map_err(|error| StoreError::Configuration(without_url(&error)))?
            .application_name("perch");
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .idle_timeout(IDLE)
            .after_connect(|conn, _| Box::pin(async move { conn.execute(LET_GO).await.map(|_| ()) }))
            .connect_lazy_with(options);
        Ok(Self { pool, env })
    }

    /// The environment whose rows it reads and writes.
    pub fn env(&self) -> Environment {
        self.env
    }

    /// Asks Postgres whether it is there. Takes up to `postgres.acquire_timeout` when it is not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await.map(|_| ()).map_err(StoreError::on("ping"))
    }

    /// What the server says of itself.
    pub async fn server(&self) -> Result<ServerInfo, StoreError> {
        let (version, clock) = sqlx::query_as("select current_setting('server_version'), clock_timestamp()")
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::on("ask the server"))?;
        Ok(ServerInfo { version, clock })
    }

    /// Closes every connection; calls after this fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// What is known of jobs.
    pub fn history(&self) -> History<'_> {
        History(self)
    }

    /// The effect ledger.
    pub fn effects(&self) -> Effects<'_> {
        Effects(self)
    }

    /// The outbox.
    pub fn outbox(&self) -> Outbox<'_> {
        Outbox(self)
    }

    /// Idempotency keys of ledger queues.
    pub fn idempotency_keys(&self) -> IdempotencyKeys<'_> {
        IdempotencyKeys(self)
    }

    /// What is needed to rebuild Redis.
    pub fn recovery(&self) -> Recovery<'_> {
        Recovery(self)
    }

    /// The posts that were read.
    pub fn posts(&self) -> Posts<'_> {
        Posts(self)
    }

    /// The accounts whose posts are read.
    pub fn accounts(&self) -> Accounts<'_> {
        Accounts(self)
    }

    /// The picks and what was done about them.
    pub fn picks(&self) -> Picks<'_> {
        Picks(self)
    }

    /// What calls to paid services cost.
    pub fn spend(&self) -> Spend<'_> {
        Spend(self)
    }

    /// What was decided about posts that were read.
    pub fn extractions(&self) -> Extractions<'_> {
        Extractions(self)
    }

    /// How picks end, and what they come to.
    pub fn tracking(&self) -> Tracking<'_> {
        Tracking(self)
    }

    /// What each day came to.
    pub fn summaries(&self) -> Summaries<'_> {
        Summaries(self)
    }

    /// What was published, and how it did.
    pub fn performance(&self) -> Performance<'_> {
        Performance(self)
    }

    /// The audit log.
    pub fn audit(&self) -> Audit<'_> {
        Audit(self)
    }

    /// The keys of the HTTP API.
    pub fn api_keys(&self) -> ApiKeys<'_> {
        ApiKeys(self)
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

/// The parser's own words name the part that is wrong, never the URL, which holds a password.
fn without_url(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Configuration(inner) => inner.to_string(),
        _ => "it is not a URL".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unusable_url_is_refused_without_showing_its_password() {
        let settings = PostgresSettings { max_connections: 1, acquire_timeout: Duration::from_secs(1) };
        for url in ["postgres://me:hunter2@host:notaport/db", "hunter2", "postgres://me:hunter2@h/db?sslmode=hunter2"] {
            let error = Store::connect_lazy(&SecretString::from(url), Environment::Staging, &settings)
                .expect_err("the URL is not usable");
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2@") && !text.contains(":hunter2"), "{text}");
            assert!(text.contains("DATABASE_URL"), "{text}");
        }
    }
}
