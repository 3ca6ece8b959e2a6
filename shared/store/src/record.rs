use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use perch_queue::EntryId;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::PgExecutor;

use crate::{Family, Store, StoreError, json};

/// A record that bots write: it goes into the hot state, and from there, or at once, into its table.
///
/// Implemented by [`PostRecord`](crate::PostRecord), [`PickRecord`](crate::PickRecord),
/// [`PickSighting`](crate::PickSighting), [`ActionRecord`](crate::ActionRecord),
/// [`PublishedPost`](crate::PublishedPost) and [`MetricPoint`](crate::MetricPoint).
pub trait Recorded: Serialize + DeserializeOwned + Clone + Send + Sync + sealed::Upsert {
    /// Its family in the hot state.
    const FAMILY: Family;

    /// What makes it one of a kind in its family.
    fn key(&self) -> String;
}

pub(crate) mod sealed {
    /// How the records of a type come into their table.
    pub trait Upsert {
        /// `$1` is the environment, `$2` an array of the records as JSON, each with `version_ms` and `version_seq`.
        /// Running it again, or with older versions, changes nothing.
        const SQL: &'static str;
        /// What an error says was being done.
        const DOING: &'static str;
    }
}

/// A record and the version that decides between two of the same key.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Versioned<T> {
    #[serde(flatten)]
    pub row: T,
    pub version_ms: i64,
    pub version_seq: i64,
}

impl<T> Versioned<T> {
    pub fn new(row: T, version: EntryId) -> Self {
        Self { row, version_ms: signed(version.ms), version_seq: signed(version.seq) }
    }
}

/// A part of an entry id as Postgres holds it.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Writes records in one statement. Of several with one key the newest counts. Answers how many rows changed.
pub(crate) async fn upsert<T: Recorded>(
    conn: impl PgExecutor<'_>,
    env: &str,
    rows: &[Versioned<T>],
) -> Result<u64, StoreError> {
    if rows.is_empty() {
        return Ok(0);
    }
    let mut latest: BTreeMap<String, &Versioned<T>> = BTreeMap::new();
    for row in rows {
        let held = latest.entry(row.row.key()).or_insert(row);
        if (row.version_ms, row.version_seq) >= (held.version_ms, held.version_seq) {
            *held = row;
        }
    }
    let rows: Vec<&Versioned<T>> = latest.into_values().collect();
    execute_json(conn, <T as sealed::Upsert>::DOING, <T as sealed::Upsert>::SQL, env, &rows).await
}

/// Runs `sql` with the environment and `rows` as JSON.
pub(crate) async fn execute_json<T: Serialize>(
    conn: impl PgExecutor<'_>,
    doing: &'static str,
    sql: &'static str,
    env: &str,
    rows: &T,
) -> Result<u64, StoreError> {
    let text = serde_json::to_string(rows)
        .map_err(|error| StoreError::Invalid { what: "a record", reason: error.to_string() })?;
    let text = json::without_nul(&text);
    let done = sqlx::query(sql).bind(env).bind(text.as_ref()).execute(conn).await.map_err(StoreError::on(doing))?;
    Ok(done.rows_affected())
}

impl Store {
    /// Writes records to Postgres at once, past the hot state. All of them, or none when it fails.
    pub async fn record<T: Recorded>(&self, records: &[T]) -> Result<(), StoreError> {
        let version = Self::version_now();
        let rows: Vec<_> = records.iter().map(|record| Versioned::new(record.clone(), version)).collect();
        upsert(&self.pool, self.env_name(), &rows).await.map(|_| ())
    }
}

/// A time from milliseconds since 1970, if it is one that Postgres reads from text: up to the year 9999.
pub(crate) fn storable_time(ms: i64) -> Option<DateTime<Utc>> {
    const YEAR_10000: i64 = 253_402_300_800_000;
    (0..YEAR_10000).contains(&ms).then(|| DateTime::from_timestamp_millis(ms)).flatten()
}

/// Times as text with milliseconds: what Redis, the API and the unique indexes of the tables agree on.
pub(crate) mod millis {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &DateTime<Utc>, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<DateTime<Utc>, D::Error> {
        DateTime::deserialize(d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_postgres_cannot_hold_is_left_out() {
        assert_eq!(storable_time(i64::MAX), None);
        assert_eq!(storable_time(-1), None);
        assert!(storable_time(253_402_300_799_999).is_some());
    }
}
