use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use perch_queue::EntryId;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::PgExecutor;

use crate::{StoreError, json};

/// A record that handlers write to its table, through the hot state or directly.
pub trait Recorded: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Its family, which identifies the type in the hot state. A family of a bot begins with the name of the bot and a full stop, as in
    /// `heartbeat.beats`. The bot must register it with `Bot::records`, otherwise its records end up in `sync_rejects`.
    const FAMILY: &'static str;
    /// The statement that writes records. `$1` is the environment, `$2` a JSON array of the records, each with `version_ms` and
    /// `version_seq`. It must be idempotent, and older versions must change nothing.
    const SQL: &'static str;
    /// What was being done, for error messages.
    const DOING: &'static str;

    /// Its unique key within the family.
    fn key(&self) -> String;
}

/// The families of records that a process can move into Postgres: those of the platform, and those of its bots.
#[derive(Debug, Clone)]
pub struct Families(pub(crate) Vec<Family>);

/// One family, by its type.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    name: &'static str,
    sql: &'static str,
    doing: &'static str,
    read: fn(&str) -> Result<RecordRow, serde_json::Error>,
}

/// A record as it is written.
#[derive(Debug, Clone)]
pub(crate) struct RecordRow {
    key: String,
    version: (i64, i64),
    fields: Value,
}

impl Families {
    /// No family at all.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|family| family.name)
    }

    /// Adds a family. Of two types with the same name the later one wins.
    #[must_use]
    pub fn with<T: Recorded>(mut self) -> Self {
        self.0.retain(|other| other.name != T::FAMILY);
        self.0.push(Family::of::<T>());
        self
    }

    pub(crate) fn find(&self, name: &str) -> Option<Family> {
        self.0.iter().find(|family| family.name == name).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Family> {
        self.0.iter().copied()
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Family {
    pub fn of<T: Recorded>() -> Self {
        let read = |text: &str| RecordRow::of(&serde_json::from_str::<T>(text)?);
        Self { name: T::FAMILY, sql: T::SQL, doing: T::DOING, read }
    }

    /// Reads a record of this family.
    pub fn read(self, text: &str, version: EntryId) -> Result<RecordRow, String> {
        (self.read)(text).map(|row| row.at(version)).map_err(|error| error.to_string())
    }

    /// Writes records in one statement. Of several with the same key only the newest is written.
    pub async fn write(self, conn: impl PgExecutor<'_>, env: &str, rows: &[RecordRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut latest: BTreeMap<&str, &RecordRow> = BTreeMap::new();
        for row in rows {
            let held = latest.entry(&row.key).or_insert(row);
            if row.version >= held.version {
                *held = row;
            }
        }
        let fields: Vec<&Value> = latest.into_values().map(|row| &row.fields).collect();
        execute_json(conn, self.doing, self.sql, env, &fields).await.map(|_| ())
    }
}

impl RecordRow {
    pub fn of<T: Recorded>(record: &T) -> Result<Self, serde_json::Error> {
        Ok(Self { key: record.key(), version: (0, 0), fields: serde_json::to_value(record)? })
    }

    /// Sets the version, which decides between two records with the same key.
    pub fn at(mut self, version: EntryId) -> Self {
        self.version = (signed(version.ms), signed(version.seq));
        if let Value::Object(fields) = &mut self.fields {
            fields.insert("version_ms".to_owned(), self.version.0.into());
            fields.insert("version_seq".to_owned(), self.version.1.into());
        }
        self
    }
}

/// A part of an entry id as Postgres holds it.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Runs `sql` with the environment as `$1` and `rows` as JSON as `$2`; returns how many rows it wrote. `doing` says in an error what
/// was being done.
///
/// # Errors
///
/// Postgres is unavailable, or refuses one of the rows: then none is written.
pub async fn execute_json<T: Serialize>(
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

/// A time from milliseconds since 1970, if Postgres can read it from text: up to the year 9999.
pub(crate) fn storable_time(ms: i64) -> Option<DateTime<Utc>> {
    const YEAR_10000: i64 = 253_402_300_800_000;
    (0..YEAR_10000).contains(&ms).then(|| DateTime::from_timestamp_millis(ms)).flatten()
}

/// Times as text with milliseconds, the precision that Redis, the API and the unique indexes of the tables share.
pub mod millis {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a time.
    ///
    /// # Errors
    ///
    /// The format refuses text.
    pub fn serialize<S: Serializer>(time: &DateTime<Utc>, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    /// Reads a time.
    ///
    /// # Errors
    ///
    /// The text is not a time.
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
