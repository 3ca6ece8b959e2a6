//! Idempotency keys: the same request sent twice is one job.
//!
//! A key stores, for a day, the digest of the request, the id of its job, chosen *before* the enqueue, and
//! the answer once there is one. So a request whose answer was lost can be told from a new one: it is enqueued again under
//! the same id. The engine takes it for the same job while that is unfinished, and the effect ledger takes it for the
//! same effect after that.

mod key_store;

use std::time::Duration;

use axum::http::HeaderMap;
use perch_bot::http::{ApiResult, Cause, Problem};
use perch_jobs::JobId;
use perch_queue::{Enqueued, Queue};
use perch_store::Store;
use sha2::{Digest, Sha256};

use self::key_store::{KeyStore, RequestRecord, StoredKey};

/// The header that carries the key.
pub(super) const HEADER: &str = "idempotency-key";
/// The header that marks a repeated answer.
pub(super) const REPLAYED: &str = "idempotency-replayed";

const LONGEST: usize = 255;
/// How long the other store, where the key does not belong, may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The idempotency key of one request.
#[derive(Debug)]
pub(super) struct IdempotencyKey {
    /// The store where the key belongs. Its answer is decisive.
    own: KeyStore,
    /// The other store, which may have the key: it came with a job of another queue, or the queue became a ledger queue or ceased
    /// to be one.
    other: KeyStore,
    digest: String,
}

/// An earlier request with the same key.
#[derive(Debug)]
pub(super) enum PriorRequest {
    /// None: the request is new.
    None,
    /// A request with this job id whose result is unknown.
    Unanswered(JobId),
    /// An answered request.
    Answered(Enqueued),
}

/// Reads the key from the headers.
pub(super) fn key(headers: &HeaderMap) -> ApiResult<Option<&str>> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let fits = |key: &&str| (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    value.to_str().ok().filter(fits).map(Some).ok_or_else(|| {
        let reason = format!("it must have 1 to {LONGEST} visible ASCII characters");
        Problem::field(Cause::InvalidHeader, "Idempotency-Key", reason)
    })
}

impl IdempotencyKey {
    /// The key of `caller` for a request with this body. Different callers have separate keys.
    pub fn new(queue: &Queue, store: &Store, caller: &str, key: &str, body: &[u8]) -> Self {
        let hash = hex(&Sha256::digest(format!("{caller}\n{key}")));
        let (redis, postgres) = (KeyStore::redis(queue, &hash), KeyStore::postgres(store, &hash));
        let (own, other) = if queue.settings().ledger { (postgres, redis) } else { (redis, postgres) };
        Self { own, other, digest: hex(&Sha256::digest(body)) }
    }

    /// Claims the key for a job with the id `id`, or returns the earlier request.
    pub async fn claim(&self, id: JobId) -> ApiResult<PriorRequest> {
        let mine = RequestRecord { request: self.digest.clone(), id, answer: None };
        let known = match self.own.claim(&mine).await? {
            Some(stands) => seen(readable(&self.own, stands)?, &self.digest)?,
            None => PriorRequest::None,
        };
        if matches!(known, PriorRequest::Answered(_)) {
            return Ok(known);
        }
        // Read after the claim: of two requests that race with one key on different queues, at least one sees the other.
        let Some(stands) = self.elsewhere().await else { return Ok(known) };
        let elsewhere = readable(&self.other, stands);
        match elsewhere.and_then(|kept| Ok((seen(kept.clone(), &self.digest)?, kept))) {
            Ok((known, kept)) => {
                self.own.keep(&kept).await?;
                Ok(known)
            }
            Err(refused) => {
                self.release().await;
                Err(refused)
            }
        }
    }

    async fn elsewhere(&self) -> Option<StoredKey> {
        let asked = tokio::time::timeout(PATIENCE, self.other.find()).await;
        asked
            .map_err(|late| late.to_string())
            .and_then(|found| found.map_err(|error| error.to_string()))
            .unwrap_or_else(|error| {
                tracing::warn!(error, "an idempotency key is looked for only where it belongs");
                None
            })
    }

    /// Stores the answer. If that fails, the job is still accepted, and a repetition finds it by its id.
    pub async fn settle(&self, answer: &Enqueued) {
        let kept = RequestRecord { request: self.digest.clone(), id: answer.id, answer: Some(answer.clone()) };
        if let Err(error) = self.own.keep(&kept).await {
            tracing::warn!(%error, job = %answer.id, "the answer of an idempotent request could not be kept");
        }
    }

    /// Releases the key of a refused request: corrected, it may be sent again with the same key. If a repetition was answered
    /// meanwhile, that answer stays.
    pub async fn release(&self) {
        match self.own.release().await {
            Ok(true) => {}
            Ok(false) => {
                let key = self.own.name();
                tracing::info!(
                    key,
                    "the idempotency key of a refused request has been let go of already, or a repetition was answered"
                );
            }
            Err(error) => {
                tracing::warn!(%error, "the idempotency key of a refused request stays claimed for a day");
            }
        }
    }
}

/// The request stored under a key. An unreadable record may belong to this same request, so the request is refused.
/// The record expires like any other.
fn readable(place: &KeyStore, stands: StoredKey) -> ApiResult<RequestRecord> {
    match stands {
        StoredKey::Request(kept) => Ok(kept),
        StoredKey::Unreadable => {
            metrics::counter!("perch_idempotency_unreadable_total").increment(1);
            tracing::error!(
                key = place.name(),
                "what is kept of an idempotency key cannot be read; it runs out in a day"
            );
            let reason = "what is kept of it cannot be read, so it is not known which request it was; look whether the job \
                          is there, and send a new one with a new key";
            Err(Problem::field(Cause::Conflict, "Idempotency-Key", reason))
        }
    }
}

fn seen(kept: RequestRecord, digest: &str) -> ApiResult<PriorRequest> {
    if kept.request != digest {
        let reason = "it was used with another body before; a new request needs a new key";
        return Err(Problem::field(Cause::KeyReused, "Idempotency-Key", reason).because_of(kept.id));
    }
    Ok(match kept.answer {
        Some(answer) => PriorRequest::Answered(answer),
        None => PriorRequest::Unanswered(kept.id),
    })
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
        let kept = RequestRecord { request: "a".into(), id: JobId::at(Utc::now()), answer: None };
        assert_eq!(seen(kept.clone(), "b").expect_err("another body").cause(), Cause::KeyReused);
        assert!(matches!(seen(kept.clone(), "a"), Ok(PriorRequest::Unanswered(id)) if id == kept.id));
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
