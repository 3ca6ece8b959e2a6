use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sqlx::migrate::{MigrateError, Migration, Migrator};

use crate::{Store, StoreError, Tables, error::ends_sessions, pool::Tx, query, query_as, query_scalar};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The schema of the database compared with this release.
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
    /// It has no tables of Perch.
    Empty,
}

impl Tables {
    /// Compares their version with this release.
    fn compare(self, have: i64) -> SchemaState {
        compare(have, newest(self.migrations))
    }
}

/// One migration that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStep {
    /// The bot whose tables it changes; `None` for those of the platform.
    pub bot: Option<&'static str>,
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
    newest(&MIGRATIONS)
}

fn newest(migrations: &Migrator) -> i64 {
    ups(migrations).map(|migration| migration.version).max().unwrap_or(0)
}

/// Down migrations are never used.
fn ups(migrations: &Migrator) -> impl Iterator<Item = &Migration> {
    migrations.iter().filter(|migration| !migration.migration_type.is_down_migration())
}

fn compare(have: i64, need: i64) -> SchemaState {
    match have {
        0 if need > 0 => SchemaState::Empty,
        _ if have < need => SchemaState::Behind { have, need },
        _ if have > need => SchemaState::Newer { have, know: need },
        _ => SchemaState::Current { version: have },
    }
}

impl Store {
    /// Eight hexadecimal digits that change with any migration of the platform or of a bot, for comparing two schemas.
    pub fn schema_fingerprint(&self) -> String {
        let of_bots = self.tables.iter().flat_map(|tables| tables.migrations.iter());
        let checksums = MIGRATIONS.iter().chain(of_bots).flat_map(|migration| migration.checksum.iter());
        let mut mixed = [0u8; 4];
        for (i, byte) in checksums.enumerate() {
            mixed[i % 4] = mixed[i % 4].rotate_left(1) ^ byte;
        }
        format!("{:08x}", u32::from_be_bytes(mixed))
    }

    /// Compares the schema of the database with this release.
    pub async fn schema(&self) -> Result<SchemaState, StoreError> {
        let doing = "read the schema version";
        let known: bool = query_scalar!("select to_regclass('_sqlx_migrations') is not null as known")
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::on(doing))?;
        if !known {
            return Ok(SchemaState::Empty);
        }
        let have: i64 = query_scalar!("select coalesce(max(version), 0) from _sqlx_migrations where success")
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::on(doing))?;
        Ok(compare(have, schema_version()))
    }

    /// Compares the tables of each bot with this release. The platform must have been migrated before.
    pub async fn schemas_of_bots(&self) -> Result<Vec<(&'static str, SchemaState)>, StoreError> {
        if self.tables.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<(String, i64)> = query_as!("select bot, max(version) from bot_migrations group by bot")
            .fetch_all(&self.pool)
            .await
            .map_err(StoreError::on("read the schema versions of the bots"))?;
        let have: BTreeMap<String, i64> = rows.into_iter().collect();
        let state = |tables: &Tables| (tables.bot, tables.compare(have.get(tables.bot).copied().unwrap_or(0)));
        Ok(self.tables.iter().map(state).collect())
    }

    /// Fails unless the tables of all bots have the version that this release needs.
    pub async fn require_schemas_of_bots(&self) -> Result<(), StoreError> {
        for (bot, state) in self.schemas_of_bots().await? {
            match state {
                SchemaState::Current { .. } => {}
                SchemaState::Empty => {
                    let need =
                        self.tables.iter().find(|tables| tables.bot == bot).map(|tables| newest(tables.migrations));
                    return Err(StoreError::BotSchemaBehind { bot, have: 0, need: need.unwrap_or(0) });
                }
                SchemaState::Behind { have, need } => return Err(StoreError::BotSchemaBehind { bot, have, need }),
                SchemaState::Newer { have, know } => return Err(StoreError::BotSchemaNewer { bot, have, know }),
            }
        }
        Ok(())
    }

    /// Fails unless the schema is the one this release needs and the role may work in this environment; the error says what to do.
    pub async fn require_schema(&self) -> Result<(), StoreError> {
        match self.schema().await? {
            SchemaState::Current { .. } => {
                self.require_schemas_of_bots().await?;
                self.roles().require_own_environment().await
            }
            SchemaState::Behind { have, need } => Err(StoreError::SchemaBehind { have, need }),
            SchemaState::Newer { have, know } => Err(StoreError::SchemaNewer { have, know }),
            SchemaState::Empty => Err(StoreError::SchemaMissing { need: schema_version() }),
        }
    }

    /// Brings the database to the schema of this release. `progress` is called after each migration.
    ///
    /// Each migration is a transaction of its own. Several processes may call it at once: each migration is done by one of them,
    /// while the others wait. A database of a newer release is left as it is.
    pub async fn migrate(&self, mut progress: impl FnMut(&MigrationStep)) -> Result<MigrationReport, StoreError> {
        let from = self.begin_migration().await?.version();
        let mut applied = Vec::new();
        let carried_out = self
            .carry_out(|step| {
                progress(&step);
                applied.push(step);
            })
            .await;
        // Also after a failure: protects the tables of migrations that succeeded, now or in a process that died.
        let protected = self.roles().protect().await;
        carried_out.and(protected)?;
        Ok(MigrationReport { from, to: schema_version(), applied })
    }

    async fn carry_out(&self, mut done: impl FnMut(MigrationStep)) -> Result<(), StoreError> {
        for migration in MIGRATIONS.iter() {
            self.begin_migration().await?.apply(None, migration).await?.into_iter().for_each(&mut done);
        }
        for tables in self.tables.iter() {
            for migration in ups(tables.migrations) {
                let migrating = self.begin_migration_of(tables).await?;
                migrating.apply(Some(tables.bot), migration).await?.into_iter().for_each(&mut done);
            }
        }
        Ok(())
    }

    /// A transaction that excludes other migrations, with the migrations applied so far. It waits for other processes and for table
    /// locks without a time limit.
    async fn begin_migration(&self) -> Result<LockedMigration, StoreError> {
        let mut tx = self.pool.begin_unhurried().await.map_err(failed)?;
        query!("select pg_advisory_xact_lock(hashtext('perch migrate'))").execute(&mut tx).await.map_err(failed)?;
        sqlx::raw_sql(TABLE).execute(&mut tx).await.map_err(failed)?;
        let known: Vec<(i64, Vec<u8>)> = query_as!("select version, checksum from _sqlx_migrations where success")
            .fetch_all(&mut tx)
            .await
            .map_err(failed)?;
        let migrating = LockedMigration { tx, known: known.into_iter().collect() };
        match compare(migrating.version(), schema_version()) {
            SchemaState::Newer { have, know } => Err(StoreError::SchemaNewer { have, know }),
            _ => Ok(migrating),
        }
    }

    /// The same for the tables of a bot, in its schema.
    async fn begin_migration_of(&self, tables: &Tables) -> Result<LockedMigration, StoreError> {
        let mut migrating = self.begin_migration().await?;
        let known: Vec<(i64, Vec<u8>)> =
            query_as!("select version, checksum from bot_migrations where bot = $1", tables.bot)
                .fetch_all(&mut migrating.tx)
                .await
                .map_err(failed)?;
        migrating.known = known.into_iter().collect();
        if let SchemaState::Newer { have, know } = tables.compare(migrating.version()) {
            return Err(StoreError::BotSchemaNewer { bot: tables.bot, have, know });
        }
        query!("select perch_schema_of_bot($1)", tables.bot).execute(&mut migrating.tx).await.map_err(failed)?;
        Ok(migrating)
    }
}

/// The table of migrations, as `sqlx migrate` has it.
const TABLE: &str = include_str!("migrations.sql");

struct LockedMigration {
    tx: Tx,
    /// The versions applied so far, each with its checksum.
    known: BTreeMap<i64, Vec<u8>>,
}

impl LockedMigration {
    fn version(&self) -> i64 {
        self.known.keys().next_back().copied().unwrap_or(0)
    }

    /// Applies a migration, unless it was applied before.
    async fn apply(
        mut self,
        bot: Option<&'static str>,
        migration: &Migration,
    ) -> Result<Option<MigrationStep>, StoreError> {
        let version = migration.version;
        if let Some(checksum) = self.known.get(&version) {
            let is_same = checksum.as_slice() == migration.checksum.as_ref();
            let changed = || StoreError::Migration { of: whose(bot), source: MigrateError::VersionMismatch(version) };
            return if is_same { Ok(None) } else { Err(changed()) };
        }
        let began = Instant::now();
        let broken =
            |error| StoreError::Migration { of: whose(bot), source: MigrateError::ExecuteMigration(error, version) };
        sqlx::raw_sql(migration.sql.clone())
            .execute(&mut self.tx)
            .await
            .map_err(|error| if ends_sessions(&error) { failed(error) } else { broken(error) })?;
        let took = began.elapsed();
        let (text, sum) = (migration.description.as_ref(), migration.checksum.as_ref());
        let nanoseconds = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
        let note = match bot {
            None => query!(
                "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values ($1, $2, true, $3, $4)",
                version,
                text,
                sum,
                nanoseconds
            ),
            Some(bot) => query!(
                "insert into bot_migrations (version, description, checksum, execution_time, bot)
                 values ($1, $2, $3, $4, $5)",
                version,
                text,
                sum,
                nanoseconds,
                bot
            ),
        };
        note.execute(&mut self.tx).await.map_err(failed)?;
        self.tx.commit().await.map_err(failed)?;
        Ok(Some(MigrationStep { bot, version, description: migration.description.to_string(), took }))
    }
}

/// The name of a migration for an error message.
fn whose(bot: Option<&'static str>) -> String {
    bot.map_or_else(|| "the migration".to_owned(), |bot| format!("the migration of the bot {bot}"))
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
        assert_eq!(compare(0, need), SchemaState::Empty);
        assert_eq!(compare(need, need), SchemaState::Current { version: need });
        assert_eq!(compare(need + 1, need), SchemaState::Newer { have: need + 1, know: need });
        assert_eq!(compare(need - 1, need), SchemaState::Behind { have: need - 1, need });
    }
}
