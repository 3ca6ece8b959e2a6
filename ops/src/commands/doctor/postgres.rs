//! Findings about Postgres.

use chrono::Utc;
use perch_base::Settings;
use perch_store::{SchemaState, Store, StoreError, schema_version};

use super::check::{Check, clock};
use crate::{app::store, error::chain};

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
    let mut checks = match server(&store).await {
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
async fn server(store: &Store) -> Result<(String, i64), StoreError> {
    let before = Utc::now();
    let server = store.server().await?;
    let here = before + (Utc::now() - before) / 2;
    Ok((server.version, (server.clock - here).num_milliseconds()))
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
