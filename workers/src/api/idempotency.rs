//! Idempotency keys: the same request sent twice is one job.
//!
//! What is kept of a key in Redis, for a day, is the digest of the request, the id that its job was given *before* it was
//! enqueued, and the answer once there is one. A request whose answer never came can so be told from a new one: it is
//! enqueued again under the same id, which the engine takes for the same job while that is not finished, and which the
//! effect ledger takes for the same effect after that.

use axum::http::HeaderMap;
use perch_jobs::JobId;
use perch_queue::{Queue, QueueError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    enqueue::EnqueueAnswer,
    failure,
    problem::{Answer, Cause, Problem},
};

/// The header that carries the key.
pub(super) const HEADER: &str = "idempotency-key";
/// The header that marks an answer as one that was given before.
pub(super) const REPLAYED: &str = "idempotency-replayed";

/// Seconds that a key is remembered.
const KEPT: u64 = 86_400;
const LONGEST: usize = 255;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    request: String,
    id: JobId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<EnqueueAnswer>,
}

/// An idempotency key, held for one request.
#[derive(Debug)]
pub(super) struct Once {
    queue: Queue,
    name: String,
    digest: String,
}

/// What is known of a request when it arrives.
#[derive(Debug)]
pub(super) enum Seen {
    /// Nothing: it is new.
    Never,
    /// It arrived before and was given this id; what became of it is not known.
    Unanswered(JobId),
    /// It was answered.
    Answered(EnqueueAnswer),
}

/// The key in the headers.
pub(super) fn key(headers: &HeaderMap) -> Answer<Option<&str>> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let fits = |key: &&str| (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    value.to_str().ok().filter(fits).map(Some).ok_or_else(|| {
        let reason = format!("it must have 1 to {LONGEST} visible ASCII characters");
        Problem::field(Cause::InvalidHeader, "Idempotency-Key", reason)
    })
}

impl Once {
    /// The key of `caller` for a request with this body. Keys of different callers never meet.
    pub fn new(queue: &Queue, caller: &str, key: &str, body: &[u8]) -> Self {
        let name = hex(&Sha256::digest(format!("{caller}\n{key}")));
        // Not among the keys of the queue: a key that comes back with a job for another queue must be found too.
        let name = format!("{}idempotency:{name}", queue.env().prefix());
        Self { queue: queue.clone(), name, digest: hex(&Sha256::digest(body)) }
    }

    /// Claims the key for a job with the id `id`, or tells what became of the request that did so before.
    pub async fn claim(&self, id: JobId) -> Answer<Seen> {
        let mine = Kept { request: self.digest.clone(), id, answer: None };
        // Twice, because the key may run out between the two commands.
        for _ in 0..2 {
            let mut set = redis::cmd("SET");
            set.arg(&self.name).arg(encode(&mine)).arg("NX").arg("EX").arg(KEPT);
            let claimed: Option<String> = self.queue.redis().cmd("claim an idempotency key", &set).await?;
            if claimed.is_some() {
                return Ok(Seen::Never);
            }
            if let Some(kept) = self.read().await? {
                return seen(kept, &self.digest);
            }
        }
        Err(failure::redis_is_away())
    }

    async fn read(&self) -> Result<Option<Kept>, QueueError> {
        let mut get = redis::cmd("GET");
        get.arg(&self.name);
        let kept: Option<String> = self.queue.redis().cmd("read an idempotency key", &get).await?;
        Ok(kept.and_then(|kept| serde_json::from_str(&kept).ok()))
    }

    /// Keeps the answer. When that fails the job is accepted all the same, and a repetition finds it by its id.
    pub async fn settle(&self, answer: &EnqueueAnswer) {
        let kept = Kept { request: self.digest.clone(), id: answer.id, answer: Some(answer.clone()) };
        let mut set = redis::cmd("SET");
        set.arg(&self.name).arg(encode(&kept)).arg("EX").arg(KEPT);
        if let Err(error) = self.queue.redis().cmd::<()>("keep an answer", &set).await {
            tracing::warn!(%error, job = %answer.id, "the answer of an idempotent request could not be kept");
        }
    }

    /// Forgets a request that was refused: corrected, it may come back with the same key.
    pub async fn release(&self) {
        let mut del = redis::cmd("DEL");
        del.arg(&self.name);
        if let Err(error) = self.queue.redis().cmd::<u64>("release an idempotency key", &del).await {
            tracing::warn!(%error, "the idempotency key of a refused request stays claimed for a day");
        }
    }
}

fn seen(kept: Kept, digest: &str) -> Answer<Seen> {
    if kept.request != digest {
        let reason = "it was used with another body before; a new request needs a new key";
        return Err(Problem::field(Cause::KeyReused, "Idempotency-Key", reason).because_of(kept.id));
    }
    Ok(match kept.answer {
        Some(answer) => Seen::Answered(answer),
        None => Seen::Unanswered(kept.id),
    })
}

fn encode(kept: &Kept) -> String {
    serde_json::to_string(kept).expect("what is kept has text keys and values that JSON can hold")
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    #[test]
    fn the_same_key_with_another_body_is_refused() {
        let kept = Kept { request: "a".into(), id: JobId::at(Utc::now()), answer: None };
        assert_eq!(seen(kept.clone(), "b").expect_err("another body").cause(), Cause::KeyReused);
        assert!(matches!(seen(kept.clone(), "a"), Ok(Seen::Unanswered(id)) if id == kept.id));
    }

    #[test]
    fn a_key_that_is_empty_or_too_long_is_refused() {
        for bad in [String::new(), "x".repeat(LONGEST + 1), "with space".into()] {
            let value = axum::http::HeaderValue::from_str(&bad).expect("a header value");
            let headers = HeaderMap::from_iter([(axum::http::HeaderName::from_static(HEADER), value)]);
            assert!(key(&headers).is_err(), "{bad}");
        }
        assert_eq!(key(&HeaderMap::new()).expect("no key is fine"), None);
    }
}
