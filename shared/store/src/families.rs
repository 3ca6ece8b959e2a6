//! The record families of the platform, and writing records directly to Postgres.

use crate::{
    ActionRecord, Families, MetricPoint, PublishedPost, Recorded, SpendRecord, Store, StoreError,
    record::{Family, RecordRow},
};

impl Default for Families {
    fn default() -> Self {
        Self::none().with::<ActionRecord>().with::<PublishedPost>().with::<MetricPoint>().with::<SpendRecord>()
    }
}

impl Store {
    /// Writes records directly to Postgres, without the hot state: all of them, or none on error.
    pub async fn record<T: Recorded>(&self, records: &[T]) -> Result<(), StoreError> {
        let (family, version) = (Family::of::<T>(), Self::version_now());
        let rows = records
            .iter()
            .map(|record| RecordRow::of(record).map(|row| row.at(version)))
            .collect::<Result<Vec<_>, _>>();
        let rows = rows.map_err(|error| StoreError::Invalid { what: "a record", reason: error.to_string() })?;
        family.write(&self.pool, self.env_name(), &rows).await
    }
}
