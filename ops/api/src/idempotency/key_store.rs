//! Stores idempotency keys: those of ledger queues in Postgres, like their jobs, those of other queues in Redis. So
//! keys can be checked whenever jobs can be accepted.

use std::{sync::LazyLock, time::Duration};

use perch_jobs::JobId;
use perch_queue::{Enqueued, Queue, QueueError, Redis};
use perch_store::{IdempotentRequest, Store, StoreError};
use redis::Script;
use serde::{Deserialize, Serialize};

/// How long a key is kept.
const LASTS: Duration = Duration::from_secs(86_400);

static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("release.lua")));

/// The stored request of a key.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RequestRecord {
    /// The digest of its body.
    pub request: String,
    /// The id of its job, chosen before the enqueue.
    pub id: JobId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Enqueued>,
}

/// The same as stored in Redis: the answer may be from another release and unreadable for this one.
#[derive(Debug, Deserialize)]
struct RedisRecord {
    request: String,
    id: JobId,
    answer: Option<serde_json::Value>,
}

/// What is stored under a key.
#[derive(Debug, Clone)]
pub(super) enum StoredKey {
    /// A request.
    Request(RequestRecord),
    /// A record that this release cannot read, so the request is unknown.
    Unreadable,
}

/// A key in the server that stores it.
#[derive(Debug)]
pub(super) enum KeyStore {
    Redis { redis: Redis, name: String },
    Postgres { store: Store, hash: String },
}

impl KeyStore {
    /// The name is outside the keys of the queue: the key must also be found when it comes with a job for another queue.
    pub fn redis(queue: &Queue, hash: &str) -> Self {
        let name = format!("{}idempotency:{hash}", queue.env().prefix());
        Self::Redis { redis: queue.redis().clone(), name }
    }

    pub fn postgres(store: &Store, hash: &str) -> Self {
        Self::Postgres { store: store.clone(), hash: hash.to_owned() }
    }

    /// The key as an operator can find it.
    pub fn name(&self) -> &str {
        match self {
            Self::Redis { name, .. } => name,
            Self::Postgres { hash, .. } => hash,
        }
    }

    /// Claims the key, or returns the request that has it.
    pub async fn claim(&self, mine: &RequestRecord) -> Result<Option<StoredKey>, StoreError> {
        match self {
            Self::Redis { redis, name } => Ok(claim_in_redis(redis, name, mine).await?),
            Self::Postgres { store, hash } => {
                let kept = store.idempotency_keys().claim(hash, &stored(mine), LASTS).await?;
                Ok(kept.map(|kept| StoredKey::Request(read(kept))))
            }
        }
    }

    /// The request that has the key.
    pub async fn find(&self) -> Result<Option<StoredKey>, StoreError> {
        match self {
            Self::Redis { redis, name } => Ok(find_in_redis(redis, name).await?),
            Self::Postgres { store, hash } => {
                Ok(store.idempotency_keys().find(hash).await?.map(|kept| StoredKey::Request(read(kept))))
            }
        }
    }

    /// Stores a request, replacing any other under the key.
    pub async fn keep(&self, known: &RequestRecord) -> Result<(), StoreError> {
        match self {
            Self::Redis { redis, name } => {
                let mut set = redis::cmd("SET");
                set.arg(name).arg(encode(known)).arg("EX").arg(LASTS.as_secs());
                Ok(redis.cmd::<()>("keep an answer", &set).await?)
            }
            Self::Postgres { store, hash } => store.idempotency_keys().keep(hash, &stored(known), LASTS).await,
        }
    }

    /// Releases the key. False when its request has been answered, or there is none; then nothing changes.
    pub async fn release(&self) -> Result<bool, StoreError> {
        match self {
            Self::Redis { redis, name } => {
                let release = |mut conn| async move { RELEASE.key(name).invoke_async(&mut conn).await };
                Ok(redis.call("release an idempotency key", release).await?)
            }
            Self::Postgres { store, hash } => store.idempotency_keys().release(hash).await,
        }
    }
}

/// One call, whatever is stored under the key; it is not retried.
async fn claim_in_redis(redis: &Redis, name: &str, mine: &RequestRecord) -> Result<Option<StoredKey>, QueueError> {
    let (name, mine) = (name.to_owned(), encode(mine));
    let answer: (u8, Option<Vec<u8>>) = redis
        .call("claim an idempotency key", |mut conn| async move {
            let mut claim = CLAIM.key(name);
            let answer: Vec<redis::Value> = claim.arg(mine).arg(LASTS.as_secs()).invoke_async(&mut conn).await?;
            let mut answer = answer.into_iter();
            let code = answer.next().map(redis::from_redis_value).transpose()?.unwrap_or_default();
            Ok((code, answer.next().map(redis::from_redis_value).transpose()?))
        })
        .await?;
    Ok(match answer {
        (0, _) => None,
        (_, held) => Some(held.map_or(StoredKey::Unreadable, |held| decode(&held))),
    })
}

async fn find_in_redis(redis: &Redis, name: &str) -> Result<Option<StoredKey>, QueueError> {
    let mut get = redis::cmd("GET");
    get.arg(name);
    match redis.cmd::<Option<Vec<u8>>>("read an idempotency key", &get).await {
        Ok(held) => Ok(held.map(|held| decode(&held))),
        Err(QueueError::Refused { source, .. }) if source.code() == Some("WRONGTYPE") => {
            Ok(Some(StoredKey::Unreadable))
        }
        Err(error) => Err(error),
    }
}

fn decode(held: &[u8]) -> StoredKey {
    serde_json::from_slice(held).map_or(StoredKey::Unreadable, |RedisRecord { request, id, answer }| {
        StoredKey::Request(read(IdempotentRequest { request, job: id, answer }))
    })
}

fn encode(kept: &RequestRecord) -> String {
    serde_json::to_string(kept).expect("what is kept has text keys and values that JSON can hold")
}

fn stored(kept: &RequestRecord) -> IdempotentRequest {
    let answer = kept.answer.as_ref().and_then(|answer| serde_json::to_value(answer).ok());
    IdempotentRequest { request: kept.request.clone(), job: kept.id, answer }
}

/// An answer that this release cannot read counts as lost: the job is found by its id.
fn read(kept: IdempotentRequest) -> RequestRecord {
    let answer = kept.answer.and_then(|answer| serde_json::from_value(answer).ok());
    RequestRecord { request: kept.request, id: kept.job, answer }
}

#[cfg(test)]
mod tests {
    use perch_base::Environment;
    use perch_testkit::{TestDatabase, TestRedis};

    use perch_queue::Acceptance;

    use super::*;

    #[tokio::test]
    async fn the_key_of_a_request_that_was_answered_is_not_let_go_of() {
        let (redis, database) = (TestRedis::claim().await, TestDatabase::create().await);
        let in_redis = KeyStore::Redis { redis: redis.door(), name: "stg:idempotency:k".into() };
        for place in [in_redis, KeyStore::postgres(&database.store(Environment::Staging), &"a".repeat(64))] {
            let id = JobId::at(chrono::Utc::now());
            let asked = RequestRecord { request: "b".repeat(64), id, answer: None };
            assert!(place.claim(&asked).await.expect("it answers").is_none());
            assert!(place.release().await.expect("it answers"), "{place:?}");
            assert!(!place.release().await.expect("it answers"), "{place:?}");
            assert!(place.claim(&asked).await.expect("it answers").is_none(), "it was free again: {place:?}");

            let queue = "extraction".parse().expect("a queue");
            let answer = Enqueued { id, queue, acceptance: Acceptance::Accepted, replaced: None };
            place.keep(&RequestRecord { answer: Some(answer), ..asked }).await.expect("it answers");
            assert!(!place.release().await.expect("it answers"), "{place:?}");
            let stands = place.find().await.expect("it answers");
            assert!(matches!(stands, Some(StoredKey::Request(RequestRecord { answer: Some(_), .. }))), "{place:?}");
        }
    }
}
