//! Reads the values of a row. SQLite stores any type in any column, so each value is checked.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Row, Statement, types::ValueRef};

use super::times;

/// The longest text that is read, in bytes.
const LONGEST: usize = 100_000;

/// The columns of a table by name.
#[derive(Debug)]
pub(super) struct Columns(BTreeMap<String, usize>);

impl Columns {
    pub(super) fn of(statement: &Statement<'_>) -> Self {
        let names = statement.column_names().into_iter().enumerate();
        Self(names.map(|(at, name)| (name.to_lowercase(), at)).collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OddCell {
    pub(super) column: &'static str,
    pub(super) reason: String,
}

/// The values of one row. A column that the table does not have is null.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells<'a> {
    row: &'a Row<'a>,
    columns: &'a Columns,
}

impl<'a> Cells<'a> {
    pub(super) fn of(row: &'a Row<'a>, columns: &'a Columns) -> Self {
        Self { row, columns }
    }

    fn get(self, column: &str) -> ValueRef<'a> {
        let value = self.columns.0.get(column).and_then(|at| self.row.get_ref(*at).ok());
        value.unwrap_or(ValueRef::Null)
    }

    /// A text; none for null.
    pub(super) fn text(self, column: &'static str) -> Result<Option<String>, OddCell> {
        let odd = |reason| Err(OddCell { column, reason });
        let bytes = match self.get(column) {
            ValueRef::Null => return Ok(None),
            ValueRef::Text(bytes) => bytes,
            other => return odd(format!("is {}, not text", kind(other))),
        };
        if bytes.len() > LONGEST {
            return odd(format!("has {} bytes; at most {LONGEST} are read", bytes.len()));
        }
        match std::str::from_utf8(bytes) {
            Err(error) => odd(format!("is not UTF-8 from byte {} on", error.valid_up_to())),
            Ok(text) if text.contains('\0') => odd("has a NUL character".to_owned()),
            Ok(text) => Ok(Some(text.to_owned())),
        }
    }

    /// A text that has more than spaces.
    pub(super) fn words(self, column: &'static str) -> Result<String, OddCell> {
        let text = self.text(column)?.filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| OddCell { column, reason: "is empty".to_owned() })
    }

    /// A whole number of at least zero; none for null.
    pub(super) fn count(self, column: &'static str) -> Result<Option<i64>, OddCell> {
        let odd = |reason| Err(OddCell { column, reason });
        match self.get(column) {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(n) if n < 0 => odd(format!("is {n}, below zero")),
            ValueRef::Integer(n) => Ok(Some(n)),
            other => odd(format!("is {}, not a whole number", kind(other))),
        }
    }

    /// An amount of at least zero; none for null.
    pub(super) fn amount(self, column: &'static str) -> Result<Option<f64>, OddCell> {
        let odd = |reason| Err(OddCell { column, reason });
        #[expect(clippy::cast_precision_loss, reason = "a cost is far below the precision of a float")]
        let amount = match self.get(column) {
            ValueRef::Null => return Ok(None),
            ValueRef::Integer(n) => n as f64,
            ValueRef::Real(amount) => amount,
            other => return odd(format!("is {}, not a number", kind(other))),
        };
        if amount.is_finite() && amount >= 0.0 { Ok(Some(amount)) } else { odd(format!("is {amount}, not an amount")) }
    }

    /// Whether a flag is set: 1 or 0.
    pub(super) fn flag(self, column: &'static str) -> Result<bool, OddCell> {
        let odd = |reason| Err(OddCell { column, reason });
        match self.get(column) {
            ValueRef::Integer(0) => Ok(false),
            ValueRef::Integer(1) => Ok(true),
            ValueRef::Integer(n) => odd(format!("is {n}; 0 and 1 are expected")),
            other => odd(format!("is {}; 0 and 1 are expected", kind(other))),
        }
    }

    /// A time as SQLite or JavaScript writes it; none for null.
    pub(super) fn time(self, column: &'static str) -> Result<Option<DateTime<Utc>>, OddCell> {
        let read = match self.get(column) {
            ValueRef::Integer(n) => times::of_number(n),
            ValueRef::Real(n) => {
                return Err(OddCell { column, reason: format!("is {n}, not a time") });
            }
            _ => match self.text(column)? {
                None => return Ok(None),
                Some(text) => times::of_text(&text),
            },
        };
        read.map(Some).map_err(|reason| OddCell { column, reason })
    }
}

fn kind(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Null => "null",
        ValueRef::Integer(_) => "a whole number",
        ValueRef::Real(_) => "a number",
        ValueRef::Text(_) => "text",
        ValueRef::Blob(_) => "binary",
    }
}
