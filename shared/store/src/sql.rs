//! Statements checked at compile time: their tables, columns and parameters exist.
//!
//! `.sqlx` in the folder of each crate holds the description of its statements by Postgres; the build checks against it without a
//! database. `./ops/sql` regenerates it after a statement or a migration has changed, and a test fails when it is stale.
//!
//! The macros have the names of sqlx's macros but call sqlx's functions, because a field that cannot be read fails the whole list with
//! `sqlx::query_as!`. The types of [`row`](crate::row) leave out only the row of that field, and name the field.

/// A checked statement with its arguments: as `sqlx::query`, with one argument for each parameter. The text may be given as several
/// literals without separators.
#[macro_export]
macro_rules! query {
    ($($text:literal)+ $(, $argument:expr)* $(,)?) => {
        ::sqlx::query($crate::checked!($($text)+ $(, $argument)*))$(.bind($argument))*
    };
}

/// A checked statement that returns rows of a type: as `sqlx::query_as`.
#[macro_export]
macro_rules! query_as {
    ($($text:literal)+ $(, $argument:expr)* $(,)?) => {
        ::sqlx::query_as($crate::checked!($($text)+ $(, $argument)*))$(.bind($argument))*
    };
}

/// A checked statement that returns one column: as `sqlx::query_scalar`.
#[macro_export]
macro_rules! query_scalar {
    ($($text:literal)+ $(, $argument:expr)* $(,)?) => {
        ::sqlx::query_scalar($crate::checked!($($text)+ $(, $argument)*))$(.bind($argument))*
    };
}

/// The checked text of a statement, for a constant: `sql!(2, "select $1::text, $2::text")`, with the number of its parameters.
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

/// The text of a statement, checked at compile time with its number of arguments. The code of the check never runs.
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
