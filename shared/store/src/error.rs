use std::{io::ErrorKind, time::Duration};

use perch_base::{Classified, Disposition, Environment};
use perch_queue::QueueError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// What can go wrong between Perch and Postgres, and between Perch and the hot state in Redis.
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
    /// Postgres broke off a transaction that met another one. The same call may succeed.
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
    /// Postgres answered, but not what was asked for.
    #[error("postgres refused to {doing}: {source}; `perch doctor` compares the schema with this release")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What Postgres said.
        source: sqlx::Error,
    },
    /// Postgres holds a row that this release cannot read. Others are not touched by it.
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
    /// A pooler in transaction mode stands before Postgres and was not told of: statements of other clients could be met.
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
        "this database was migrated by a newer release (schema {have}, this one knows up to {know}); deploy that release"
    )]
    SchemaNewer {
        /// The version of the database.
        have: i64,
        /// The newest version this release knows.
        know: i64,
    },
    /// A migration failed; those before it are done, it and those after it are not.
    #[error("the migration failed: {source}; mend the cause and run `perch migrate` again")]
    Migration {
        /// What Postgres said.
        source: sqlx::migrate::MigrateError,
    },
    /// Another attempt took the effect over; whatever this one did since must not be recorded as the effect.
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
    /// Others changed it again and again. The same call may succeed.
    #[error("others change {what} again and again; it can be tried again")]
    Contended {
        /// What.
        what: &'static str,
    },
    /// Redis failed.
    #[error(transparent)]
    Redis(#[from] QueueError),
}

/// How long a job is put off when Postgres is away, or has taken nothing for too long.
const WHEN_AWAY: Duration = Duration::from_secs(10);

impl StoreError {
    /// Sorts an error of Postgres by what can be done about it, and counts it.
    pub(crate) fn sql(doing: &'static str, source: sqlx::Error) -> Self {
        metrics::counter!("perch_postgres_errors_total", "doing" => doing).increment(1);
        match class(&source) {
            Class::Away => Self::Unavailable { doing, source },
            Class::Conflict => Self::Conflict { doing, source },
            Class::Data => Self::Data { doing, source },
            Class::Unreadable => Self::Unreadable { doing, source },
            Class::Pooler => Self::Pooler { doing, source },
            Class::Forbidden => Self::Forbidden { doing, source },
            Class::Other => Self::Refused { doing, source },
        }
    }

    /// For `map_err`.
    pub(crate) fn on(doing: &'static str) -> impl Fn(sqlx::Error) -> Self {
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
        matches!(self, Self::Unavailable { source, .. } if code(source).as_deref() == Some(DISK_FULL))
    }

    /// True when the values are at fault, so that the same call with others would succeed.
    pub(crate) fn is_data(&self) -> bool {
        matches!(self, Self::Data { .. } | Self::Invalid { .. })
    }
}

impl Classified for StoreError {
    fn disposition(&self) -> Disposition {
        match self {
            // A table that is missing will be there after the migration that a deploy runs, and whoever tells of a pooler starts
            // the process again.
            Self::Unavailable { .. }
            | Self::SchemaMissing { .. }
            | Self::SchemaBehind { .. }
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
            | Self::OtherEnvironment { .. }
            | Self::Role { .. }
            | Self::Invalid { .. } => Disposition::Never,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Away,
    Conflict,
    Data,
    Unreadable,
    Pooler,
    Forbidden,
    Other,
}

fn class(error: &sqlx::Error) -> Class {
    match error {
        // A connection that breaks within a message shows as a breach of the protocol.
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Class::Away,
        sqlx::Error::ColumnDecode { .. } => Class::Unreadable,
        sqlx::Error::Database(_) if is_stale_plan(error) => Class::Away,
        sqlx::Error::Database(database) => match database.code().map_or(Class::Other, |code| class_of_code(&code)) {
            // Whatever it was, it was not about the statement.
            Class::Other if is_fatal(error) => Class::Away,
            class => class,
        },
        _ => Class::Other,
    }
}

/// Whether a session can go on after this error.
pub(crate) fn leaves_the_session(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => !is_fatal(error),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_) => true,
        _ => false,
    }
}

/// Whether the session ended with this answer: it stands before the end of the connection, which may come much later.
fn is_fatal(error: &sqlx::Error) -> bool {
    of_postgres(error).is_some_and(|said| matches!(said.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether a statement was prepared before a migration gave its table another column. It stays so for as long as the session
/// does. The message is in the language of the server; the name of the function that says so is not.
fn is_stale_plan(error: &sqlx::Error) -> bool {
    of_postgres(error).is_some_and(|said| {
        said.code() == "0A000"
            && (said.routine() == Some("RevalidateCachedQuery")
                || said.message() == "cached plan must not change result type")
    })
}

fn of_postgres(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Whether the session that answered so is of no use any more, nor are those beside it: it ended, it leads to a server that may
/// only be read from, as a former primary does after a failover, or it was begun before a migration.
pub(crate) fn ends_sessions(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => true,
        sqlx::Error::Database(database) => {
            is_stale_plan(error) || database.code().is_some_and(|code| code_ends_sessions(&code))
        }
        _ => false,
    }
}

fn code_ends_sessions(code: &str) -> bool {
    code == READ_ONLY || code.starts_with("57P") || code.starts_with("08")
}

/// `read_only_sql_transaction`.
const READ_ONLY: &str = "25006";

/// `disk_full`.
const DISK_FULL: &str = "53100";

fn code(error: &sqlx::Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error()?.code()
}

/// What is to be done about a Postgres that is away, by what it said last.
fn advice(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Io(late) if late.kind() == ErrorKind::TimedOut => {
            "see whether the server and the network work; where statements are only slow, raise postgres.statement_timeout"
        }
        sqlx::Error::Database(_) if is_stale_plan(error) => {
            "a migration changed the table: the next call goes by a new session"
        }
        _ => advice_on_code(code(error).as_deref().unwrap_or_default()),
    }
}

fn advice_on_code(code: &str) -> &'static str {
    match code {
        DISK_FULL => {
            "its disk is full: enlarge it, or remove what is not of Postgres (never files of its data folder or of pg_wal); what waits \
             goes on by itself"
        }
        "53200" => "it has no memory left: give it more, or lower work_mem or the number of its connections",
        "53300" => {
            "it takes no more connections: lower postgres.max_connections of the processes, raise max_connections of the server, or \
             put a pooler before it"
        }
        READ_ONLY => "it may only be read from: DATABASE_URL has to lead to the primary",
        "28000" | "28P01" => "check the user and the password in DATABASE_URL",
        "3D000" => "check the name of the database in DATABASE_URL",
        "57P03" => "it starts, stops or recovers: its log says which, and what keeps it",
        _ => "check DATABASE_URL and that the server is up",
    }
}

/// By SQLSTATE (PostgreSQL documentation, appendix A).
fn class_of_code(code: &str) -> Class {
    match code {
        "40001" | "40P01" | "55P03" => Class::Conflict,
        // The login was refused, the server starts, stops or is promoted, or may not be written to.
        READ_ONLY | "28000" | "28P01" | "3D000" => Class::Away,
        // A statement that is there under the name of another, or not there: they are prepared by name, once a session.
        "26000" | "42P05" => Class::Pooler,
        "42501" => Class::Forbidden,
        _ => match code.get(..2) {
            Some("08" | "53") => Class::Away,
            Some("57") if code.starts_with("57P") => Class::Away,
            // Bad values, constraints, and limits such as the size of an index entry.
            Some("21" | "22" | "23" | "54") => Class::Data,
            _ => Class::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_starts_or_stops_is_away_and_not_broken() {
        for code in ["57P01", "57P03", "08006", "53300"] {
            assert_eq!(class_of_code(code), Class::Away, "{code}");
        }
    }

    #[test]
    fn the_advice_on_a_postgres_that_is_away_is_that_for_what_it_said() {
        for (code, word) in
            [("53100", "disk is full"), ("53300", "connections"), ("28P01", "password"), ("08006", "is up")]
        {
            assert!(class_of_code(code) == Class::Away && advice_on_code(code).contains(word), "{code}");
        }
    }

    #[test]
    fn a_session_is_given_up_when_it_has_ended_or_may_only_read() {
        for code in ["25006", "57P01", "57P02", "57P03", "08006", "08P01"] {
            assert!(code_ends_sessions(code) && class_of_code(code) == Class::Away, "{code}");
        }
        for code in ["25001", "57014", "53300", "40001", "23505"] {
            assert!(!code_ends_sessions(code), "{code}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_told_apart_from_queries_that_are_wrong() {
        assert_eq!(class_of_code("22P05"), Class::Data);
        assert_eq!(class_of_code("54000"), Class::Data);
        assert_eq!(class_of_code("42P01"), Class::Other);
    }

    #[test]
    fn a_newer_database_is_not_tried_again_and_an_older_one_is() {
        assert_eq!(StoreError::SchemaNewer { have: 9, know: 5 }.disposition(), Disposition::Never);
        assert_eq!(StoreError::SchemaBehind { have: 1, need: 5 }.disposition(), Disposition::Wait(WHEN_AWAY));
    }
}
