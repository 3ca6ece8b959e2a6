//! Statements checked at compile time: their tables, columns and parameters exist.
//!
//! `.sqlx` in the folder of each crate holds the description of its statements by Postgres. The build compares with it, and asks neither a
//! database nor the environment. `./ops/sql` regenerates it after a statement or a migration has changed, and a test fails when it is stale.
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

/// The checked text of a statement for a constant: `sql!(2, "select $1::text, $2::text")`, with the number of its parameters.
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
        #[cfg(ask_postgres)]
        #[allow(dead_code)]
        fn ask() {
            let _ = ::sqlx::query!($text $(, $argument as _)*);
        }
        #[cfg(not(ask_postgres))]
        $crate::checked!(@ $text, [$($argument),+]);
        $text
    }};
}

/// The text of a statement, checked at compile time with its number of arguments.
#[allow(clippy::crate_in_macro_def, reason = "each crate has statements of its own")]
#[doc(hidden)]
#[macro_export]
macro_rules! checked {
    (@ $text:expr, [$($argument:expr),*]) => {
        const _: () = assert!(
            $crate::is_known(crate::STATEMENTS, $text, <[&str]>::len(&[$($argument),*])),
            "run ./ops/sql: .sqlx does not have this statement with so many parameters"
        );
    };
    ($first:literal $($text:literal)* $(, $argument:expr)*) => {{
        #[cfg(ask_postgres)]
        if false {
            let _ = ::sqlx::query!($first $(+ $text)* $(, stringify!($argument) as _)*);
        }
        #[cfg(not(ask_postgres))]
        $crate::checked!(@ concat!($first $(, $text)*), [$(stringify!($argument)),*]);
        concat!($first $(, $text)*)
    }};
}

/// Declares the statements of a crate that Postgres has checked. It belongs into the root of each crate that uses these macros; its
/// build script calls `perch_statements::embed`.
#[macro_export]
macro_rules! statements {
    () => {
        #[cfg(not(ask_postgres))]
        pub(crate) const STATEMENTS: &[(&str, usize)] = include!(concat!(env!("OUT_DIR"), "/statements.rs"));
    };
}

/// Whether a statement is among the known ones, with the same number of parameters.
#[doc(hidden)]
#[must_use]
pub const fn is_known(known: &[(&str, usize)], text: &str, parameters: usize) -> bool {
    let mut n = 0;
    while n < known.len() {
        if known[n].1 == parameters && is_same(known[n].0.as_bytes(), text.as_bytes()) {
            return true;
        }
        n += 1;
    }
    false
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut n = 0;
    while n < one.len() {
        if one[n] != other[n] {
            return false;
        }
        n += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_known;

    #[test]
    fn a_statement_is_known_by_its_whole_text_and_the_number_of_its_parameters() {
        let known = [("select $1", 1), ("select 1", 0)];
        assert!(is_known(&known, "select 1", 0) && is_known(&known, "select $1", 1));
        for (text, parameters) in [("select 1", 1), ("select 2", 0), ("select", 0), ("select 1 ", 0)] {
            assert!(!is_known(&known, text, parameters), "{text:?}");
        }
    }
}
