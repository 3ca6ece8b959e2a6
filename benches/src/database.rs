//! The Postgres that `./ops/bench` starts: one database with the schema of this release.

use std::time::Duration;

use perch_base::Environment;
use perch_base::settings::PostgresSettings;
use perch_store::Store;
use perch_workers::bots;
use secrecy::SecretString;
use sqlx::{Connection as _, PgConnection};

use crate::error::{BenchError, Outcome};

/// A connection to the database, and a store on it.
pub struct Database {
    /// Its URL.
    pub url: String,
    /// For plain SQL.
    pub conn: PgConnection,
    /// For the environment of all scenarios.
    pub store: Store,
}

impl Database {
    /// The database with the newest schema and nothing in it.
    pub async fn empty(url: Option<&str>) -> Outcome<Self> {
        let url = url.ok_or_else(|| {
            BenchError::Setup("PERCH_BENCH_DATABASE_URL is not set; ./ops/bench starts a PostgreSQL and sets it".into())
        })?;
        let (acquire_timeout, statement_timeout) = (Duration::from_secs(10), Duration::from_secs(600));
        let settings = PostgresSettings { max_connections: 10, acquire_timeout, statement_timeout };
        let store = bots().store(Store::connect_lazy(&SecretString::from(url), Environment::Staging, &settings)?);
        store.migrate(|_| ()).await?;
        let mut database = Self { url: url.to_owned(), conn: PgConnection::connect(url).await?, store };
        database.wipe().await?;
        Ok(database)
    }

    /// Empties every table that a scenario fills.
    pub async fn wipe(&mut self) -> Outcome {
        let tables = "truncate job_events, jobs, outbox, sync_cursors, sync_rejects, api_keys, job_kinds";
        sqlx::raw_sql(tables).execute(&mut self.conn).await?;
        Ok(())
    }
}
