//! Findings about Postgres.

use chrono::{DateTime, Utc};
use perch_base::Settings;
use perch_store::{SchemaState, Store, schema_version};
use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, PgConnection};

use super::check::{Check, clock};
use crate::{
    app::store,
    error::{OpsError, chain},
};

/// Findings about the Postgres of these settings.
pub async fn checks(settings: &Settings) -> Vec<Check> {
    const REACH: &str = "start Postgres, and see that DATABASE_URL has its address, password and database";
    let store = match store(settings) {
        Ok(store) => store,
        Err(error) => return vec![Check::fail("Postgres", chain(&error)).mend("set DATABASE_URL in the environment")],
    };
    if let Err(error) = store.ping().await {
        return vec![Check::fail("Postgres", chain(&error)).mend(REACH)];
    }
    let mut checks = match server(settings).await {
        Ok((version, ahead_ms)) => vec![
            Check::ok("Postgres", format!("version {version} answers")),
            clock("clock of Postgres", "Postgres", ahead_ms),
        ],
        Err(error) => vec![Check::fail("Postgres", chain(&error)).mend(REACH)],
    };
    checks.push(schema(&store).await);
    store.close().await;
    checks
}

/// The version of the server, and how far its clock is ahead in milliseconds.
async fn server(settings: &Settings) -> Result<(String, i64), OpsError> {
    let failed = |error: sqlx::Error| OpsError::Part { part: "postgres", reason: chain(&error) };
    let mut conn = PgConnection::connect(settings.database_url()?.expose_secret()).await.map_err(failed)?;
    let before = Utc::now();
    let (version, there): (String, DateTime<Utc>) =
        sqlx::query_as("select current_setting('server_version'), clock_timestamp()")
            .fetch_one(&mut conn)
            .await
            .map_err(failed)?;
    let here = before + (Utc::now() - before) / 2;
    // The answer is there; how the connection ends does not matter.
    let _ = conn.close().await;
    Ok((version, (there - here).num_milliseconds()))
}

async fn schema(store: &Store) -> Check {
    const NAME: &str = "migrations";
    match store.schema().await {
        Ok(SchemaState::Current { version }) => Check::ok(NAME, format!("schema {version}, as this release needs it")),
        Ok(SchemaState::Empty) => {
            Check::fail(NAME, format!("the database is empty; this release needs schema {}", schema_version()))
                .mend("run `perch migrate`")
        }
        Ok(SchemaState::Behind { have, need }) => {
            Check::fail(NAME, format!("the database has schema {have}; this release needs {need}"))
                .mend("run `perch migrate`")
        }
        Ok(SchemaState::Newer { have, know }) => {
            Check::fail(NAME, format!("a newer release migrated the database (schema {have}; this one knows {know})"))
                .mend("deploy that release, or restore the database from before")
        }
        Err(error) => Check::fail(NAME, chain(&error)).mend("mend the connection first"),
    }
}
