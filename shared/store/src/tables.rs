use sqlx::migrate::Migrator;

/// The tables of a bot: a schema of its name, and the migrations that make what is in it. They name it with each table, and each table
/// with rows of an environment has the column `environment`, checked to be `staging` or `production`: by that it is held to the
/// environment of a role, as all of Perch is. Numbers are identity columns; such a role may use no other sequence.
#[derive(Debug, Clone, Copy)]
pub struct Tables {
    /// The name of the bot.
    pub bot: &'static str,
    /// Its migrations, from 1 on: `sqlx::migrate!()` in the crate of the bot.
    pub migrations: &'static Migrator,
}
