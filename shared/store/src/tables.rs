use sqlx::migrate::Migrator;

/// The tables of a bot: a schema with its name, and the migrations that create the tables in it. Migrations must qualify each table with
/// the schema. Each table with rows of an environment must have a column `environment`, checked to be `staging` or `production`, by
/// which roles are bound to an environment. Serial numbers must be identity columns, because bound roles may use no other sequence.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// The name of the bot.
    pub bot: &'static str,
    /// Its migrations, from 1 on: `sqlx::migrate!()` in the crate of the bot.
    pub migrations: &'static Migrator,
}
