//! Statements that the compiler has checked: each names tables, columns and parameters that are there.
//!
//! `.sqlx` in the folder of a crate holds what Postgres said of each statement of it; the build compares them and asks no database.
//! `./ops/sql` writes it anew when a statement or a migration has changed, and a test fails where it is stale.
//!
//! They are macros of sqlx's names in front of sqlx's functions: what `sqlx::query_as!` would make of a row ends at the first
//! field it cannot read, while [`row`](crate::row) reads what it can and says which field it was.

/// A statement with its arguments, checked: as `sqlx::query`, with an argument for each parameter. A text in several pieces is
/// given as pieces with nothing between them.
#[macro_export]
macro_rules! query {
    ($($text:literal)+ $(, $argument:expr)* $(,)?) => {
        ::sqlx::query($crate::checked!($($text)+ $(, $argument)*))$(.bind($argument))*
    };
}

/// The same for rows of a type: as `sqlx::query_as`.
#[macro_export]
macro_rules! query_as {
    ($($text:literal)+ $(, $argument:expr)* $(,)?) => {
        ::sqlx::query_as($crate::checked!($($text)+ $(, $argument)*))$(.bind($argument))*
    };
}

/// The same for one column: as `sqlx::query_scalar`.
#[macro_export]
macro_rules! query_scalar {
    ($($text:literal)+ $(, $argument:expr)* $(,)?) => {
        ::sqlx::query_scalar($crate::checked!($($text)+ $(, $argument)*))$(.bind($argument))*
    };
}

/// The text of a statement for a constant, checked: `sql!(2, "select $1::text, $2::text")`, with the number of its parameters.
#[macro_export]
macro_rules! sql {
    (2, $text:literal) => {
        $crate::sql!(@ $text, "", "")
    };
    (3, $text:literal) => {
        $crate::sql!(@ $text, "", "", "")
    };
    (4, $text:literal) => {
        $crate::sql!(@ $text, "", "", "", "")
    };
    (6, $text:literal) => {
        $crate::sql!(@ $text, "", "", "", "", "", "")
    };
    (@ $text:literal $(, $argument:literal)+) => {{
        #[allow(dead_code)]
        fn check() {
            let _ = $crate::checked!($text $(, $argument)+);
        }
        $text
    }};
}

/// The text, where Postgres knows the statement and it has so many parameters. The check is never run.
#[doc(hidden)]
#[macro_export]
macro_rules! checked {
    ($first:literal $($text:literal)* $(, $argument:expr)*) => {{
        if false {
            let _ = ::sqlx::query!($first $(+ $text)* $(, stringify!($argument) as _)*);
        }
        concat!($first $(, $text)*)
    }};
}
