use std::{borrow::Cow, sync::LazyLock, time::Duration};

use perch_base::Environment;
use perch_queue::{EntryId, Redis};
use redis::Script;

use crate::{Recorded, StoreError};

/// A record on its way into Postgres.
#[derive(Debug, Clone, PartialEq)]
pub struct HotRecord {
    /// The family of the record.
    pub family: Cow<'static, str>,
    /// Its unique key within the family.
    pub key: String,
    /// The record.
    pub value: serde_json::Value,
    /// How long a copy can be read from the hot state; `None` keeps none.
    pub ttl: Option<Duration>,
}

impl HotRecord {
    /// A record without a copy to read from.
    pub fn of<T: Recorded>(record: &T) -> Result<Self, StoreError> {
        let value = serde_json::to_value(record)
            .map_err(|error| StoreError::Invalid { what: "a hot record", reason: error.to_string() })?;
        Ok(Self { family: T::FAMILY.into(), key: record.key(), value, ttl: None })
    }

    /// Keeps a copy that can be read from the hot state for `ttl`.
    #[must_use]
    pub fn kept_for(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

/// A record as the hot state holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct HotCopy {
    /// Its version: the greater of two is the newer.
    pub version: EntryId,
    /// The record.
    pub value: serde_json::Value,
}

/// The hot state in Redis: records that bots write at full speed and the sync moves into Postgres.
#[derive(Debug, Clone)]
pub struct HotStore {
    redis: Redis,
    prefix: String,
    bound: u64,
}

/// Records that may wait for the sync. At a few hundred bytes each that is under 200 MB.
const BOUND: u64 = 200_000;
/// Records of one script call.
const CHUNK: usize = 100;

static PUT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/put.lua")));

pub(crate) fn base(env: Environment) -> String {
    format!("{}{{sync_to_store}}:", env.prefix())
}

pub(crate) fn stream_key(env: Environment) -> String {
    format!("{}hot", base(env))
}

impl HotStore {
    /// The hot state of `env`.
    pub fn new(redis: Redis, env: Environment) -> Self {
        Self { redis, prefix: base(env), bound: BOUND }
    }

    /// Sets how many records may wait for the sync.
    #[must_use]
    pub fn with_bound(mut self, bound: u64) -> Self {
        self.bound = bound;
        self
    }

    /// Accepts records and returns their versions, in order.
    ///
    /// Up to 100 records are accepted atomically, more in chunks of 100. Returns [`StoreError::HotFull`] when too many records are
    /// waiting: accepted records are never dropped to make room.
    pub async fn put(&self, records: &[HotRecord]) -> Result<Vec<EntryId>, StoreError> {
        let mut versions = Vec::with_capacity(records.len());
        for chunk in records.chunks(CHUNK) {
            let mut call = PUT.prepare_invoke();
            call.key(format!("{}hot", self.prefix)).key(format!("{}hot_ahead", self.prefix)).arg(self.bound);
            for record in chunk {
                let ttl = record.ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1));
                call.key(self.copy_key(&record.family, &record.key))
                    .arg(format!("{} {}", record.family, record.key))
                    .arg(record.value.to_string())
                    .arg(ttl);
            }
            let answer: Vec<String> = self
                .redis
                .call("put hot records", |mut conn| async move { call.invoke_async(&mut conn).await })
                .await?;
            if let [code, waiting] = answer.as_slice()
                && code == "-1"
            {
                return Err(StoreError::HotFull { waiting: waiting.parse().unwrap_or(0), bound: self.bound });
            }
            for id in &answer {
                versions.push(id.parse().map_err(|_| StoreError::Invalid {
                    what: "a version of the hot state",
                    reason: format!("redis answered {id:?}"),
                })?);
            }
        }
        Ok(versions)
    }

    /// The copy of a record by its key, while it is kept.
    pub async fn get<T: Recorded>(&self, key: &str) -> Result<Option<HotCopy>, StoreError> {
        let text: Option<String> =
            self.redis.cmd("read a hot record", redis::cmd("GET").arg(self.copy_key(T::FAMILY, key))).await?;
        Ok(text.as_deref().and_then(read_copy))
    }

    fn copy_key(&self, family: &str, key: &str) -> String {
        format!("{}hot:{family}:{key}", self.prefix)
    }
}

/// `None` for a value that `put.lua` did not write: the copy is a convenience, Postgres has the record.
fn read_copy(text: &str) -> Option<HotCopy> {
    let (version, value) = text.split_once(' ')?;
    Some(HotCopy { version: version.parse().ok()?, value: serde_json::from_str(value).ok()? })
}
