mod answer;

use std::time::Duration;

use perch_base::{Classified, Disposition, Environment, InvalidCursor};
use perch_queue::QueueError;

use self::answer::{ErrorClass, advice, class, is_disk_full};
pub(crate) use self::answer::{ends_sessions, leaves_the_session};

/// Errors of Postgres and of the hot state in Redis.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres did not answer, refused the connection, or is not ready to work.
    #[error("postgres is unavailable ({doing}): {source}; {}", advice(source))]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What Postgres or the network said.
        source: sqlx::Error,
    },
    /// Postgres aborted a transaction because of a concurrent one. The same call may succeed.
    #[error("postgres broke off the transaction ({doing}): {source}; it can be tried again")]
    Conflict {
        /// What was being done.
        doing: &'static str,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// Postgres cannot hold these values.
    #[error("postgres cannot store the values ({doing}): {source}")]
    Data {
        /// What was being done.
        doing: &'static str,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// Postgres refused the statement for a reason that no other variant covers.
    #[error("postgres refused to {doing}: {source}; `perch doctor` compares the schema with this release")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// Postgres holds a row that this release cannot read. Other rows are not affected.
    #[error("a row of postgres cannot be read ({doing}): {source}; correct that value in the database")]
    Unreadable {
        /// What was being done.
        doing: &'static str,
        /// Which column, and why.
        source: sqlx::Error,
    },
    /// The role may not do this.
    #[error(
        "postgres does not let the role of DATABASE_URL {doing}: {source}; `perch doctor` says what it is bound to, and it needs the \
         rights that `perch roles bind` gives, or to own the tables"
    )]
    Forbidden {
        /// What was being done.
        doing: &'static str,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// The role is bound to another environment than that of the process.
    #[error(
        "the role of DATABASE_URL is bound to {bound_to}, and this process is for {env}: it would see nothing; use a role of {env}, \
         or another APP_ENV"
    )]
    OtherEnvironment {
        /// What the role is bound to.
        bound_to: String,
        /// What it is used for.
        env: Environment,
    },
    /// A role cannot be bound or released.
    #[error("{reason}")]
    Role {
        /// Why.
        reason: String,
    },
    /// A pooler in transaction mode is in front of Postgres and was not configured: prepared statements of other clients could be hit.
    #[error(
        "a pooler in transaction mode stands before postgres ({doing}): {source}; say so with DATABASE_SESSION_URL, an address \
         past it, or with ?pgbouncer=true in DATABASE_URL"
    )]
    Pooler {
        /// What was being done.
        doing: &'static str,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// A URL cannot be used.
    #[error("{variable} cannot be used: {reason}; expected postgres://user:password@host:port/database")]
    Configuration {
        /// The variable that holds it.
        variable: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The database holds no tables of Perch.
    #[error("the database is empty, this release needs schema {need}; run `perch migrate`")]
    SchemaMissing {
        /// The version this release needs.
        need: i64,
    },
    /// The database was last migrated by an older release.
    #[error("the database has schema {have}, this release needs {need}; run `perch migrate`")]
    SchemaBehind {
        /// The version of the database.
        have: i64,
        /// The version this release needs.
        need: i64,
    },
    /// The database was migrated by a newer release.
    #[error(
        "this database was migrated by a newer release (schema {have}, this one knows up to {know}); deploy that release. One \
         that a build from before 0.1.0 made is not taken over: use an empty database"
    )]
    SchemaNewer {
        /// The version of the database.
        have: i64,
        /// The newest version this release knows.
        know: i64,
    },
    /// The tables of a bot were last migrated by an older release, or are not there.
    #[error("the tables of the bot {bot} have schema {have}, this release needs {need}; run `perch migrate`")]
    BotSchemaBehind {
        /// The bot.
        bot: &'static str,
        /// Their version, 0 where there are none.
        have: i64,
        /// The version this release needs.
        need: i64,
    },
    /// The tables of a bot were migrated by a newer release.
    #[error(
        "the tables of the bot {bot} were migrated by a newer release (schema {have}, this one knows up to {know}); deploy \
         that release"
    )]
    BotSchemaNewer {
        /// The bot.
        bot: &'static str,
        /// Their version.
        have: i64,
        /// The newest version this release knows.
        know: i64,
    },
    /// A migration failed; those before it are done, it and those after it are not.
    #[error("{of} failed: {source}; mend the cause and run `perch migrate` again")]
    Migration {
        /// Whose: "the migration", or that of a bot.
        of: String,
        /// What Postgres said.
        source: sqlx::migrate::MigrateError,
    },
    /// Another attempt took the effect over; nothing this attempt did since may be recorded as the effect.
    #[error("the effect {key} was taken over by another attempt; this one must stop")]
    EffectSuperseded {
        /// The key of the effect.
        key: String,
    },
    /// A value that may not be stored as it is.
    #[error("{what} cannot be stored: {reason}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The hot state is full: Postgres has not taken anything for too long. Nothing was written.
    #[error("{waiting} records wait for the sync, {bound} are allowed; check the lag of sync_to_store and Postgres")]
    HotFull {
        /// Records that wait.
        waiting: u64,
        /// How many may wait.
        bound: u64,
    },
    /// Concurrent changes won every time. The same call may succeed.
    #[error("others change {what} again and again; it can be tried again")]
    Contended {
        /// What.
        what: &'static str,
    },
    /// The cursor of a page belongs to another list, or is not valid.
    #[error("cursor: {0}")]
    Cursor(#[from] InvalidCursor),
    /// Redis failed.
    #[error(transparent)]
    Redis(#[from] QueueError),
}

/// How long a job is put off when its cause passes without a change of the job: Postgres is unavailable, a migration is missing, a
/// pooler is not configured, or the hot state is full.
const WHEN_AWAY: Duration = Duration::from_secs(10);

impl StoreError {
    /// Classifies an error of Postgres by what can be done about it, and counts it.
    pub(crate) fn sql(doing: &'static str, source: sqlx::Error) -> Self {
        metrics::counter!("perch_postgres_errors_total", "doing" => doing).increment(1);
        match class(&source) {
            ErrorClass::Away => Self::Unavailable { doing, source },
            ErrorClass::Conflict => Self::Conflict { doing, source },
            ErrorClass::Data => Self::Data { doing, source },
            ErrorClass::Unreadable => Self::Unreadable { doing, source },
            ErrorClass::Pooler => Self::Pooler { doing, source },
            ErrorClass::Forbidden => Self::Forbidden { doing, source },
            ErrorClass::Other => Self::Refused { doing, source },
        }
    }

    /// For `map_err` on a statement; `doing` says in the error what was being done.
    pub fn on(doing: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::sql(doing, source)
    }

    /// True when Postgres or Redis is away and the same call may succeed once it is back.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Redis(error) => error.is_unavailable(),
            _ => false,
        }
    }

    /// True when the disk of Postgres is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Unavailable { source, .. } if is_disk_full(source))
    }

    /// True when the values are at fault, so that the same call with others would succeed.
    pub(crate) fn is_data(&self) -> bool {
        matches!(self, Self::Data { .. } | Self::Invalid { .. })
    }
}

impl Classified for StoreError {
    fn disposition(&self) -> Disposition {
        match self {
            // The migration of a deploy will create a missing table, and configuring the pooler restarts the process.
            Self::Unavailable { .. }
            | Self::SchemaMissing { .. }
            | Self::SchemaBehind { .. }
            | Self::BotSchemaBehind { .. }
            | Self::Migration { .. }
            | Self::HotFull { .. }
            | Self::Pooler { .. } => Disposition::Wait(WHEN_AWAY),
            Self::Conflict { .. }
            | Self::Refused { .. }
            | Self::Forbidden { .. }
            | Self::EffectSuperseded { .. }
            | Self::Contended { .. } => Disposition::Retry,
            Self::Redis(error) => error.disposition(),
            Self::Data { .. }
            | Self::Unreadable { .. }
            | Self::Configuration { .. }
            | Self::SchemaNewer { .. }
            | Self::BotSchemaNewer { .. }
            | Self::OtherEnvironment { .. }
            | Self::Role { .. }
            | Self::Cursor(_)
            | Self::Invalid { .. } => Disposition::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_database_is_not_tried_again_and_an_older_one_is() {
        assert_eq!(StoreError::SchemaNewer { have: 9, know: 5 }.disposition(), Disposition::Never);
        assert_eq!(StoreError::SchemaBehind { have: 1, need: 5 }.disposition(), Disposition::Wait(WHEN_AWAY));
    }
}
