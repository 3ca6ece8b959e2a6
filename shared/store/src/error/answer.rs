//! Classification of the errors of Postgres.

use std::io::ErrorKind;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ErrorClass {
    Away,
    Conflict,
    Data,
    Unreadable,
    Pooler,
    Forbidden,
    Other,
}

/// What kind of error this is.
pub(super) fn class(error: &sqlx::Error) -> ErrorClass {
    match error {
        // A connection that breaks within a message is reported as a protocol error.
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => ErrorClass::Away,
        sqlx::Error::ColumnDecode { .. } => ErrorClass::Unreadable,
        sqlx::Error::Database(_) if is_stale_plan(error) => ErrorClass::Away,
        sqlx::Error::Database(database) => match database.code().map_or(ErrorClass::Other, |code| class_of_code(&code))
        {
            // A fatal error is about the session, not the statement.
            ErrorClass::Other if is_fatal(error) => ErrorClass::Away,
            class => class,
        },
        _ => ErrorClass::Other,
    }
}

/// Whether a session can still be used after this error.
pub(crate) fn leaves_the_session(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => !is_fatal(error),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_) => true,
        _ => false,
    }
}

/// Whether the session ended with this answer. The connection itself may end much later.
fn is_fatal(error: &sqlx::Error) -> bool {
    of_postgres(error).is_some_and(|said| matches!(said.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether a statement was prepared before a migration changed the columns of its table. The error recurs for as long as the session
/// lasts. The message is in the language of the server, but the routine name is not translated.
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

/// Whether neither the session that got this error nor any other open one can be used again: it ended, it leads to a read-only server
/// such as a former primary after a failover, or it was opened before a migration.
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

pub(super) fn is_disk_full(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some(DISK_FULL)
}

/// What to do about a Postgres that is unavailable, by its last error.
pub(super) fn advice(error: &sqlx::Error) -> &'static str {
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
fn class_of_code(code: &str) -> ErrorClass {
    match code {
        "40001" | "40P01" | "55P03" => ErrorClass::Conflict,
        // The login was refused, the database does not exist, or the server is read-only.
        READ_ONLY | "28000" | "28P01" | "3D000" => ErrorClass::Away,
        // A prepared statement does not exist, or its name is taken: another client shares the session.
        "26000" | "42P05" => ErrorClass::Pooler,
        "42501" => ErrorClass::Forbidden,
        _ => match code.get(..2) {
            Some("08" | "53") => ErrorClass::Away,
            Some("57") if code.starts_with("57P") => ErrorClass::Away,
            // Bad values, violated constraints, and limits such as the size of an index entry.
            Some("21" | "22" | "23" | "54") => ErrorClass::Data,
            _ => ErrorClass::Other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_starts_or_stops_is_away_and_not_broken() {
        for code in ["57P01", "57P03", "08006", "53300"] {
            assert_eq!(class_of_code(code), ErrorClass::Away, "{code}");
        }
    }

    #[test]
    fn the_advice_on_a_postgres_that_is_away_is_that_for_what_it_said() {
        for (code, word) in
            [("53100", "disk is full"), ("53300", "connections"), ("28P01", "password"), ("08006", "is up")]
        {
            assert!(class_of_code(code) == ErrorClass::Away && advice_on_code(code).contains(word), "{code}");
        }
    }

    #[test]
    fn a_session_is_given_up_when_it_has_ended_or_may_only_read() {
        for code in ["25006", "57P01", "57P02", "57P03", "08006", "08P01"] {
            assert!(code_ends_sessions(code) && class_of_code(code) == ErrorClass::Away, "{code}");
        }
        for code in ["25001", "57014", "53300", "40001", "23505"] {
            assert!(!code_ends_sessions(code), "{code}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_told_apart_from_queries_that_are_wrong() {
        assert_eq!(class_of_code("22P05"), ErrorClass::Data);
        assert_eq!(class_of_code("54000"), ErrorClass::Data);
        assert_eq!(class_of_code("42P01"), ErrorClass::Other);
    }
}
