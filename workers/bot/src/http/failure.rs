//! Converts errors of the engine and the store to problems. The words of a server stay in the log, because they may name hosts.

use perch_base::{Classified, ConfigError, Disposition, InvalidCursor};
use perch_core::job_list::ListError;
use perch_jobs::InvalidRetryPolicy;
use perch_queue::{EnqueueError, QueueError, WHEN_FULL};
use perch_store::StoreError;

use super::problem::{Cause, Problem};

/// Seconds after which a request may be repeated when a server is away.
const AWAY: u64 = 5;

/// The problem for when Redis is away. Whether a command arrived is not always known, so the text makes no promise.
pub fn redis_is_away() -> Problem {
    Problem::new(
        Cause::Unavailable,
        "Redis does not answer, so it is not known whether the request was carried out. Send it again; an \
         Idempotency-Key or an id makes that safe for an enqueue.",
    )
    .retry_after(AWAY)
}

/// The problem for when Postgres is away.
pub fn postgres_is_away() -> Problem {
    Problem::new(Cause::Unavailable, "Postgres does not answer, and this request needs it. Send it again.")
        .retry_after(AWAY)
}

/// The problem for a fault that a client can do nothing about.
pub fn internal() -> Problem {
    Problem::new(Cause::Internal, "The request could not be carried out. The log names the cause by the x-request-id.")
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        tracing::error!(%error, "a request failed");
        internal()
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        match error.disposition() {
            Disposition::Retry | Disposition::RetryAfter(_) | Disposition::Wait(_) => {
                tracing::warn!(%error, "a request failed");
                redis_is_away()
            }
            Disposition::Never => {
                tracing::error!(%error, "a request failed");
                internal()
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let error = match error {
            StoreError::Redis(error) => return error.into(),
            error @ StoreError::Unreadable { .. } => {
                tracing::error!(%error, "a request failed");
                let words = "What Postgres holds of this cannot be read. The log names the row by the x-request-id.";
                return Self::new(Cause::Internal, words);
            }
            // A message of Postgres about a value may name columns; a message of Perch is meant for the client.
            StoreError::Data { .. } => {
                tracing::warn!(%error, "a request failed");
                return Self::new(
                    Cause::InvalidRequest,
                    "A value of the request cannot be stored: it is out of range.",
                );
            }
            StoreError::Cursor(bad) => return bad.into(),
            StoreError::Invalid { .. } => return Self::new(Cause::InvalidRequest, format!("{error}.")),
            error => error,
        };
        match error.disposition() {
            Disposition::Retry | Disposition::RetryAfter(_) | Disposition::Wait(_) => {
                tracing::warn!(%error, "a request failed");
                postgres_is_away()
            }
            Disposition::Never => {
                tracing::error!(%error, "a request failed");
                internal()
            }
        }
    }
}

impl From<InvalidCursor> for Problem {
    fn from(bad: InvalidCursor) -> Self {
        Self::field(Cause::InvalidQuery, "cursor", bad.to_string())
    }
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Cursor(bad) => bad.into(),
            ListError::Queue(error) => error.into(),
            ListError::Store(error) => error.into(),
        }
    }
}

impl From<EnqueueError> for Problem {
    fn from(error: EnqueueError) -> Self {
        let words = error.to_string();
        match error {
            EnqueueError::Queue(error) => error.into(),
            EnqueueError::Ledger(error) => {
                tracing::warn!(%error, "a request failed");
                match error.disposition {
                    Disposition::Never => internal(),
                    Disposition::Retry | Disposition::RetryAfter(_) | Disposition::Wait(_) => postgres_is_away(),
                }
            }
            EnqueueError::Full { .. } => Self::new(Cause::QueueFull, words).retry_after(WHEN_FULL.as_secs()),
            EnqueueError::UnknownKind { .. } => Self::field(Cause::UnknownKind, "$.kind", words),
            EnqueueError::UnknownQueue { .. } => {
                tracing::error!(error = words, "a request failed");
                internal()
            }
            EnqueueError::Payload(error) => {
                let path = format!("$.payload{}", error.path.strip_prefix('$').unwrap_or(&error.path));
                Self::field(Cause::InvalidPayload, path, error.reason)
            }
            EnqueueError::TooLarge { .. } => Self::field(Cause::TooLarge, "$.payload", words),
            EnqueueError::Field { field, reason } => Self::field(Cause::InvalidRequest, path_of(&field), reason),
            EnqueueError::Retry(error) => {
                let field = match error {
                    InvalidRetryPolicy::Attempts(_) => "$.retry.max_attempts",
                    InvalidRetryPolicy::Cap { .. } => "$.retry.cap_ms",
                };
                Self::field(Cause::InvalidRequest, field, error.to_string())
            }
            EnqueueError::Conflict { holder, .. } => {
                Self::field(Cause::Conflict, "$.unique.key", words).because_of(holder)
            }
        }
    }
}

/// The JSON path of an option by the engine's name for it.
fn path_of(field: &str) -> String {
    match field {
        "timeout" => "$.timeout_ms".to_owned(),
        other => format!("$.{other}"),
    }
}

#[cfg(test)]
mod tests {
    use perch_jobs::PayloadError;

    use super::*;

    #[test]
    fn a_payload_error_names_its_place_in_the_request() {
        let error = PayloadError { kind: "extract_post".into(), path: "$.post.id".into(), reason: "no".into() };
        let document = Problem::from(EnqueueError::Payload(error)).into_document();
        assert_eq!((document.status, document.errors[0].field.as_str()), (422, "$.payload.post.id"));
    }

    #[test]
    fn what_a_server_said_does_not_reach_the_client() {
        let error = QueueError::Configuration("redis://user:secret@10.0.0.7".into());
        let document = Problem::from(error).into_document();
        assert_eq!(document.status, 500);
        assert!(!document.detail.contains("10.0.0.7"), "{}", document.detail);
    }
}
