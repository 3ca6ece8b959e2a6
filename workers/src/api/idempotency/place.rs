//! Where idempotency keys are kept: those of ledger queues in Postgres, as their jobs are, those of other queues in Redis. So
//! a key can be told as long as a job can be accepted.

use std::time::Duration;

use perch_jobs::JobId;
use perch_queue::{Queue, Redis};
use perch_store::{KeptRequest, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::super::enqueue::EnqueueAnswer;

/// How long a key is remembered.
const LASTS: Duration = Duration::from_secs(86_400);

/// What is known of a request with a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The digest of its body.
    pub request: String,
    /// The id that its job was given before it was enqueued.
    pub id: JobId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<EnqueueAnswer>,
}

/// A key in the place where it is kept.
#[derive(Debug)]
pub(super) enum Place {
    Redis { redis: Redis, name: String },
    Postgres { store: Store, hash: String },
}

impl Place {
    /// The name is not among the keys of the queue: a key that comes back with a job for another queue must be found too.
    pub fn redis(queue: &Queue, hash: &str) -> Self {
        let name = format!("{}idempotency:{hash}", queue.env().prefix());
        Self::Redis { redis: queue.redis().clone(), name }
    }

    pub fn postgres(store: &Store, hash: &str) -> Self {
        Self::Postgres { store: store.clone(), hash: hash.to_owned() }
    }

    /// Takes the key, or answers who has it.
    pub async fn claim(&self, mine: &Kept) -> Result<Option<Kept>, StoreError> {
        match self {
            Self::Redis { redis, name } => claim_in_redis(redis, name, mine).await,
            Self::Postgres { store, hash } => {
                let kept = store.idempotency_keys().claim(hash, &stored(mine), LASTS).await?;
                Ok(kept.map(read))
            }
        }
    }

    /// Who has the key.
    pub async fn find(&self) -> Result<Option<Kept>, StoreError> {
        match self {
            Self::Redis { redis, name } => find_in_redis(redis, name).await,
            Self::Postgres { store, hash } => Ok(store.idempotency_keys().find(hash).await?.map(read)),
        }
    }

    /// Writes down what is known, whoever had the key.
    pub async fn keep(&self, known: &Kept) -> Result<(), StoreError> {
        match self {
            Self::Redis { redis, name } => {
                let mut set = redis::cmd("SET");
                set.arg(name).arg(encode(known)).arg("EX").arg(LASTS.as_secs());
                Ok(redis.cmd::<()>("keep an answer", &set).await?)
            }
            Self::Postgres { store, hash } => store.idempotency_keys().keep(hash, &stored(known), LASTS).await,
        }
    }

    /// Lets go of the key.
    pub async fn release(&self) -> Result<(), StoreError> {
        match self {
            Self::Redis { redis, name } => {
                let mut del = redis::cmd("DEL");
                del.arg(name);
                redis.cmd::<u64>("release an idempotency key", &del).await?;
                Ok(())
            }
            Self::Postgres { store, hash } => store.idempotency_keys().release(hash).await,
        }
    }
}

async fn claim_in_redis(redis: &Redis, name: &str, mine: &Kept) -> Result<Option<Kept>, StoreError> {
    loop {
        let mut set = redis::cmd("SET");
        set.arg(name).arg(encode(mine)).arg("NX").arg("EX").arg(LASTS.as_secs());
        let claimed: Option<String> = redis.cmd("claim an idempotency key", &set).await?;
        if claimed.is_some() {
            return Ok(None);
        }
        // None when it ran out between the two commands.
        if let Some(kept) = find_in_redis(redis, name).await? {
            return Ok(Some(kept));
        }
    }
}

async fn find_in_redis(redis: &Redis, name: &str) -> Result<Option<Kept>, StoreError> {
    let mut get = redis::cmd("GET");
    get.arg(name);
    let kept: Option<String> = redis.cmd("read an idempotency key", &get).await?;
    Ok(kept.and_then(|kept| serde_json::from_str(&kept).ok()))
}

fn encode(kept: &Kept) -> String {
    serde_json::to_string(kept).expect("what is kept has text keys and values that JSON can hold")
}

fn stored(kept: &Kept) -> KeptRequest {
    let answer = kept.answer.as_ref().and_then(|answer| serde_json::to_value(answer).ok());
    KeptRequest { request: kept.request.clone(), job: kept.id, answer }
}

/// An answer that this release cannot read is as good as one that was lost: its job is found by the id.
fn read(kept: KeptRequest) -> Kept {
    let answer = kept.answer.and_then(|answer| serde_json::from_value(answer).ok());
    Kept { request: kept.request, id: kept.job, answer }
}
