use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};

use crate::{Store, StoreError};

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

    /// Refuses a database whose schema is not the one this release needs; the error says what to do.
    pub async fn require_schema(&self) -> Result<(), StoreError> {
        match self.schema().await? {
            SchemaState::Current { .. } => Ok(()),
            SchemaState::Behind { have, need } => Err(StoreError::SchemaBehind { have, need }),
            SchemaState::Newer { have, know } => Err(StoreError::SchemaNewer { have, know }),
            SchemaState::Empty => Err(StoreError::SchemaMissing { need: schema_version() }),
        }
    }

    /// Brings the database to the schema of this release. `progress` hears of each migration when it is done.
    ///
    /// Each migration is a transaction of its own. Several processes may call it at once: one works, the others wait
    /// and then find nothing to do. A database of a newer release is left as it is.
    pub async fn migrate(&self, mut progress: impl FnMut(&MigrationStep)) -> Result<MigrationReport, StoreError> {
        let mut conn = self.pool.acquire().await.map_err(StoreError::on("connect"))?;
        conn.lock().await.map_err(failed)?;
        let outcome = apply_missing(&mut *conn, &mut progress).await;
        let unlocked = conn.unlock().await.map_err(failed);
        let report = outcome?;
        unlocked?;
        Ok(report)
    }
}

async fn apply_missing<C: Migrate>(
    conn: &mut C,
    progress: &mut impl FnMut(&MigrationStep),
) -> Result<MigrationReport, StoreError> {
    let table = MIGRATIONS.table_name.as_ref();
    conn.ensure_migrations_table(table).await.map_err(failed)?;
    let known = conn.list_applied_migrations(table).await.map_err(failed)?;
    let from = known.iter().map(|migration| migration.version).max().unwrap_or(0);
    if let SchemaState::Newer { have, know } = compare(from) {
        return Err(StoreError::SchemaNewer { have, know });
    }
    let mut applied = Vec::new();
    for migration in MIGRATIONS.iter() {
        if let Some(old) = known.iter().find(|old| old.version == migration.version) {
            if old.checksum != migration.checksum {
                return Err(failed(MigrateError::VersionMismatch(migration.version)));
            }
            continue;
        }
        let took = conn.apply(table, migration).await.map_err(failed)?;
        let step = MigrationStep { version: migration.version, description: migration.description.to_string(), took };
        progress(&step);
        applied.push(step);
    }
    Ok(MigrationReport { from, to: schema_version(), applied })
}

fn failed(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(source) => StoreError::sql("migrate", source),
        source => StoreError::Migration { source },
    }
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
