//! Reading rows of Postgres. A row that cannot be read is an error that names its column, never a panic, and in a list only that row
//! is left out.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use perch_base::{Cursor, Page, Paging};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Column as _, Decode, FromRow, Postgres, Row as _, Type,
    error::BoxDynError,
    postgres::{PgColumn, PgRow, PgTypeInfo, PgValueRef},
};

use crate::StoreError;

/// A time from a column. The driver's own decoding panics on values that chrono cannot hold: infinity, and years after 262,142.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub DateTime<Utc>);

/// A day from a column, with the same protection as [`Moment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(pub NaiveDate);

/// 2000-01-01, the epoch of Postgres, in seconds since 1970.
const EPOCH: i64 = 946_684_800;

impl From<Moment> for DateTime<Utc> {
    fn from(moment: Moment) -> Self {
        moment.0
    }
}

impl From<Moment> for Option<DateTime<Utc>> {
    fn from(moment: Moment) -> Self {
        Some(moment.0)
    }
}

impl Type<Postgres> for Moment {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for Moment {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        let epoch = DateTime::from_timestamp(EPOCH, 0);
        let at = epoch.and_then(|epoch| epoch.checked_add_signed(TimeDelta::microseconds(micros)));
        at.map(Self).ok_or_else(|| beyond(micros, i64::MIN, i64::MAX).into())
    }
}

impl Type<Postgres> for Day {
    fn type_info() -> PgTypeInfo {
        <NaiveDate as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for Day {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let days = <i32 as Decode<Postgres>>::decode(value)?;
        let epoch = DateTime::from_timestamp(EPOCH, 0).map(|epoch| epoch.date_naive());
        let day = epoch.and_then(|epoch| epoch.checked_add_signed(TimeDelta::days(days.into())));
        day.map(Self).ok_or_else(|| beyond(days.into(), i32::MIN.into(), i32::MAX.into()).into())
    }
}

/// Why a time `far` from the epoch cannot be held; `least` and `most` stand for the infinities.
fn beyond(far: i64, least: i64, most: i64) -> &'static str {
    if far == least {
        "it is -infinity"
    } else if far == most {
        "it is infinity"
    } else {
        "it is further away than any time that is meant"
    }
}

/// A time from a column.
pub fn time(row: &PgRow, column: &str) -> Result<DateTime<Utc>, sqlx::Error> {
    row.try_get(column).map(|Moment(at)| at)
}

/// As [`time`], for a column that may be null.
pub fn time_option(row: &PgRow, column: &str) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    row.try_get::<Option<Moment>, _>(column).map(|moment| moment.map(|Moment(at)| at))
}

/// A day from a column.
pub fn day(row: &PgRow, column: &str) -> Result<NaiveDate, sqlx::Error> {
    row.try_get(column).map(|Day(day)| day)
}

/// A value parsed from a text column.
pub fn parsed<T>(row: &PgRow, column: &str) -> Result<T, sqlx::Error>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error: T::Err| undecodable(column, error))
}

/// As [`parsed`], for a column that may be null.
pub fn parsed_option<T>(row: &PgRow, column: &str) -> Result<Option<T>, sqlx::Error>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|error: T::Err| undecodable(column, error))).transpose()
}

/// The error of a column whose value cannot be decoded.
pub fn undecodable(column: &str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) }
}

/// An enum from a text column that holds its serde name.
pub fn word<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    let text: String = row.try_get(column)?;
    serde_json::from_value(serde_json::Value::String(text)).map_err(|error| undecodable(column, error))
}

/// A number that Postgres stores as signed although it is never negative; a negative one becomes 0.
pub fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// An unsigned number from a column.
pub fn count(row: &PgRow, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(unsigned)
}

/// An unsigned 32-bit number from a column.
pub fn small_count(row: &PgRow, column: &str) -> Result<u32, sqlx::Error> {
    row.try_get::<i32, _>(column).map(|n| u32::try_from(n).unwrap_or(0))
}

/// A row of a list, or why it cannot be read.
#[derive(Debug)]
pub struct Lenient<T>(pub Result<T, UnreadableRow>);

/// A row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRow {
    /// Its key.
    pub key: String,
    /// The column, and what is wrong with it.
    pub reason: String,
}

impl<'r, T: FromRow<'r, PgRow>> FromRow<'r, PgRow> for Lenient<T> {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        match T::from_row(row) {
            Ok(read) => Ok(Self(Ok(read))),
            Err(error @ sqlx::Error::ColumnDecode { .. }) => {
                let names_it = |column: &&PgColumn| column.name() == "id" || column.name().ends_with("key");
                let named = row.columns().iter().find(names_it).and_then(|column| row.try_get(column.ordinal()).ok());
                let key = named.or_else(|| row.try_get(0).ok()).unwrap_or_else(|| "without a key".to_owned());
                Ok(Self(Err(UnreadableRow { key, reason: error.to_string() })))
            }
            Err(error) => Err(error),
        }
    }
}

/// The rows of a list that can be read. The others are counted, and the first of them is named in the log. `doing` is what an error says
/// was being done.
///
/// # Errors
///
/// Postgres is away, or refuses the statement.
pub async fn readable_rows<T>(
    doing: &'static str,
    rows: impl Future<Output = Result<Vec<Lenient<T>>, sqlx::Error>>,
) -> Result<Vec<T>, StoreError> {
    rows.await.map(|rows| sorted(doing, rows).0).map_err(StoreError::on(doing))
}

/// A page of a list, from rows fetched with one row more than the page holds ([`Paging::rows`]). Rows that cannot be read are left out
/// as by [`readable_rows`], but they count for where the page ends and whether there is a next one.
///
/// # Errors
///
/// The cursor position of the last row cannot be read.
pub fn page<T, P: Serialize>(
    doing: &'static str,
    list: &str,
    paging: &Paging,
    mut rows: Vec<PgRow>,
    place: impl FnOnce(&PgRow) -> Result<P, sqlx::Error>,
) -> Result<Page<T>, StoreError>
where
    T: for<'r> FromRow<'r, PgRow>,
{
    let is_more = rows.len() > paging.limit();
    rows.truncate(paging.limit());
    let end = rows.last().filter(|_| is_more).map(place).transpose().map_err(StoreError::on(doing))?;
    let read: Result<Vec<Lenient<T>>, sqlx::Error> = rows.iter().map(Lenient::from_row).collect();
    let items = sorted(doing, read.map_err(StoreError::on(doing))?).0;
    Ok(Page { items, next: end.map(|place| Cursor::at(list, &place)) })
}

/// As [`readable_rows`], and returns the rows that cannot be read too.
pub(crate) fn sorted<T>(doing: &'static str, rows: Vec<Lenient<T>>) -> (Vec<T>, Vec<UnreadableRow>) {
    let mut read = Vec::with_capacity(rows.len());
    let mut unreadable = Vec::new();
    for Lenient(row) in rows {
        match row {
            Ok(row) => read.push(row),
            Err(row) => unreadable.push(row),
        }
    }
    if let Some(UnreadableRow { key, reason }) = unreadable.first() {
        let rows = unreadable.len();
        tracing::warn!(doing, rows, key, reason, "rows of Postgres cannot be read and are left out");
        metrics::counter!("perch_postgres_unreadable_total", "doing" => doing).increment(rows as u64);
    }
    (read, unreadable)
}
