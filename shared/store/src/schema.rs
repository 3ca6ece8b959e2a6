use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sqlx::migrate::{MigrateError, Migration, Migrator};

use crate::{Store, StoreError, error::ends_sessions, pool::Tx};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How the schema of the database stands to this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// It is what this release needs.
    Current {
        /// Its version.
        version: i64,
    },
    /// `perch migrate` has to run.
    Behind {
        /// The version of the database.
        have: i64,
        /// The version this release needs.
        need: i64,
    },
    /// A newer release migrated it.
    Newer {
        /// The version of the database.
        have: i64,
        /// The newest version this release knows.
        know: i64,
    },
    /// There is nothing of Perch in it.
    Empty,
}

/// One migration that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStep {
    /// Its version.
    pub version: i64,
    /// What it is about.
    pub description: String,
    /// How long it took.
    pub took: Duration,
}

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    /// The version before, 0 for an empty database.
    pub from: i64,
    /// The version now.
    pub to: i64,
    /// What was carried out, in order.
    pub applied: Vec<MigrationStep>,
}

/// The version of the schema that this release needs.
pub fn schema_version() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Eight hexadecimal digits that change with any migration, for telling apart two schemas of one version.
pub fn schema_fingerprint() -> String {
    let mut mixed = [0u8; 4];
    for (i, byte) in MIGRATIONS.iter().flat_map(|migration| migration.checksum.iter()).enumerate() {
        mixed[i % 4] = mixed[i % 4].rotate_left(1) ^ byte;
    }
    format!("{:08x}", u32::from_be_bytes(mixed))
}

fn compare(have: i64) -> SchemaState {
    let need = schema_version();
    match have {
        0 => SchemaState::Empty,
        _ if have < need => SchemaState::Behind { have, need },
        _ if have > need => SchemaState::Newer { have, know: need },
        _ => SchemaState::Current { version: have },
    }
}

impl Store {
    /// How the schema of the database stands to this release.
    pub async fn schema(&self) -> Result<SchemaState, StoreError> {
        let doing = "read the schema version";
        let known: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::on(doing))?;
        if !known {
            return Ok(SchemaState::Empty);
        }
        let have: i64 = sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::on(doing))?;
        Ok(compare(have))
    }

    /// Refuses a database whose schema is not the one this release needs, and a role that is bound to another environment; the
    /// error says what to do.
    pub async fn require_schema(&self) -> Result<(), StoreError> {
        match self.schema().await? {
            SchemaState::Current { .. } => self.roles().require_own_environment().await,
            SchemaState::Behind { have, need } => Err(StoreError::SchemaBehind { have, need }),
            SchemaState::Newer { have, know } => Err(StoreError::SchemaNewer { have, know }),
            SchemaState::Empty => Err(StoreError::SchemaMissing { need: schema_version() }),
        }
    }

    /// Brings the database to the schema of this release. `progress` hears of each migration when it is done.
    ///
    /// Each migration is a transaction of its own. Several processes may call it at once: each migration is done by one of them,
    /// while the others wait. A database of a newer release is left as it is.
    pub async fn migrate(&self, mut progress: impl FnMut(&MigrationStep)) -> Result<MigrationReport, StoreError> {
        let from = self.begin_migration().await?.version();
        let mut applied = Vec::new();
        for migration in MIGRATIONS.iter() {
            if let Some(step) = self.begin_migration().await?.apply(migration).await? {
                progress(&step);
                applied.push(step);
            }
        }
        if !applied.is_empty() {
            self.roles().protect().await?;
        }
        Ok(MigrationReport { from, to: schema_version(), applied })
    }

    /// A transaction in which nobody else migrates, and what was migrated before it. It waits for those who do, and for tables,
    /// as long as that takes.
    async fn begin_migration(&self) -> Result<Migrating, StoreError> {
        let mut tx = self.pool.begin_unhurried().await.map_err(failed)?;
        sqlx::query("select pg_advisory_xact_lock(hashtext('perch migrate'))")
            .execute(&mut tx)
            .await
            .map_err(failed)?;
        sqlx::raw_sql(TABLE).execute(&mut tx).await.map_err(failed)?;
        let known: Vec<(i64, Vec<u8>)> = sqlx::query_as("select version, checksum from _sqlx_migrations where success")
            .fetch_all(&mut tx)
            .await
            .map_err(failed)?;
        let migrating = Migrating { tx, known: known.into_iter().collect() };
        match compare(migrating.version()) {
            SchemaState::Newer { have, know } => Err(StoreError::SchemaNewer { have, know }),
            _ => Ok(migrating),
        }
    }
}

/// The table of migrations, as `sqlx migrate` has it.
const TABLE: &str = "
    create table if not exists _sqlx_migrations (
        version bigint primary key,
        description text not null,
        installed_on timestamptz not null default now(),
        success boolean not null,
        checksum bytea not null,
        execution_time bigint not null
    )";

struct Migrating {
    tx: Tx,
    /// What was migrated, with the checksum of its text.
    known: BTreeMap<i64, Vec<u8>>,
}

impl Migrating {
    fn version(&self) -> i64 {
        self.known.keys().next_back().copied().unwrap_or(0)
    }

    /// Carries a migration out, unless it was before.
    async fn apply(mut self, migration: &Migration) -> Result<Option<MigrationStep>, StoreError> {
        let version = migration.version;
        if let Some(checksum) = self.known.get(&version) {
            let is_same = checksum.as_slice() == migration.checksum.as_ref();
            let changed = || StoreError::Migration { source: MigrateError::VersionMismatch(version) };
            return if is_same { Ok(None) } else { Err(changed()) };
        }
        let began = Instant::now();
        let broken = |error| StoreError::Migration { source: MigrateError::ExecuteMigration(error, version) };
        sqlx::raw_sql(migration.sql.clone())
            .execute(&mut self.tx)
            .await
            .map_err(|error| if ends_sessions(&error) { failed(error) } else { broken(error) })?;
        let took = began.elapsed();
        sqlx::query(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values ($1, $2, true, $3, $4)",
        )
        .bind(version)
        .bind(migration.description.as_ref())
        .bind(migration.checksum.as_ref())
        .bind(i64::try_from(took.as_nanos()).unwrap_or(i64::MAX))
        .execute(&mut self.tx)
        .await
        .map_err(failed)?;
        self.tx.commit().await.map_err(failed)?;
        Ok(Some(MigrationStep { version, description: migration.description.to_string(), took }))
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    StoreError::sql("migrate", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_with_the_one_this_release_needs() {
        let need = schema_version();
        assert_eq!(compare(0), SchemaState::Empty);
        assert_eq!(compare(need), SchemaState::Current { version: need });
        assert_eq!(compare(need + 1), SchemaState::Newer { have: need + 1, know: need });
        assert_eq!(compare(need - 1), SchemaState::Behind { have: need - 1, need });
    }
}
