use std::time::Duration;

use perch_base::{Classified, Disposition};
use perch_job::{InvalidRetryPolicy, JobId, JobKind, PayloadError, QueueName};

/// What can go wrong between Perch and Redis.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Redis did not answer, refused the connection, or is not ready to work.
    #[error("redis is unavailable ({doing}): {source}; check REDIS_URL and that the server is up")]
    Unavailable {
        /// The operation.
        doing: &'static str,
        /// The error of Redis or the network.
        source: redis::RedisError,
    },
    /// Redis took longer than `redis.command_timeout`.
    #[error("redis did not answer within {after:?} ({doing}); is the server overloaded?")]
    Timeout {
        /// The operation.
        doing: &'static str,
        /// The timeout.
        after: Duration,
    },
    /// Redis replied with an error.
    #[error("redis refused to {doing}: {source}")]
    Refused {
        /// The operation.
        doing: &'static str,
        /// The error of Redis.
        source: redis::RedisError,
    },
    /// Keys of the queue had the wrong type, because somebody else wrote them. They were renamed; repeating the call can succeed.
    #[error(
        "keys of queue {queue} were of another type and have been set aside: {keys}; what they held lies under the same names with :set_aside behind them"
    )]
    SetAside {
        /// The queue.
        queue: QueueName,
        /// The keys.
        keys: String,
    },
    /// The URL or the pool cannot be used.
    #[error("REDIS_URL cannot be used: {0}")]
    Configuration(String),
    /// A value in Redis is not one that Perch wrote.
    #[error("{what} of job {id} in queue {queue} cannot be read: {reason}; see `perch jobs show {id}`")]
    Corrupt {
        /// The queue.
        queue: QueueName,
        /// The job.
        id: JobId,
        /// The part of the job that cannot be read.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl QueueError {
    pub(crate) fn from_redis(doing: &'static str, source: redis::RedisError) -> Self {
        use redis::{ErrorKind, ServerErrorKind as S};
        let away = source.is_io_error()
            || source.is_timeout()
            || source.is_connection_dropped()
            || source.is_connection_refusal()
            || matches!(
                source.kind(),
                ErrorKind::Io
                    | ErrorKind::AuthenticationFailed
                    | ErrorKind::ClusterConnectionNotFound
                    | ErrorKind::Server(S::BusyLoading | S::ClusterDown | S::MasterDown | S::ReadOnly | S::TryAgain)
            )
            // Sent by a Redis whose memory is full, or whose last snapshot failed.
            || matches!(source.code(), Some("OOM" | "MISCONF" | "UNBLOCKED"));
        if away { Self::Unavailable { doing, source } } else { Self::Refused { doing, source } }
    }

    /// A copy of the error for another caller.
    pub(crate) fn again(&self, doing: &'static str) -> Self {
        match self {
            Self::Unavailable { source, .. } => Self::Unavailable { doing, source: source.clone() },
            Self::Timeout { after, .. } => Self::Timeout { doing, after: *after },
            Self::Refused { source, .. } => Self::Refused { doing, source: source.clone() },
            Self::SetAside { queue, keys } => Self::SetAside { queue: queue.clone(), keys: keys.clone() },
            Self::Configuration(reason) => Self::Configuration(reason.clone()),
            Self::Corrupt { queue, id, what, reason } => {
                Self::Corrupt { queue: queue.clone(), id: *id, what, reason: reason.clone() }
            }
        }
    }

    /// True if Redis is unavailable and the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Timeout { .. } | Self::SetAside { .. })
    }

    /// True if a key has the wrong type.
    pub(crate) fn is_wrong_type(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.code() == Some("WRONGTYPE")
            || source.detail().is_some_and(|detail| detail.contains("WRONGTYPE")))
    }
}

/// How long a job is snoozed while Redis is unavailable.
const WHEN_AWAY: Duration = Duration::from_secs(5);

impl Classified for QueueError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Unavailable { .. } | Self::Timeout { .. } | Self::SetAside { .. } => Disposition::Wait(WHEN_AWAY),
            Self::Refused { .. } => Disposition::Retry,
            Self::Configuration(_) | Self::Corrupt { .. } => Disposition::Never,
        }
    }
}

/// Why a job was not accepted. Nothing was stored, except that after [`EnqueueError::Queue`] the job may have been accepted and
/// only the reply lost. Repeating the call with the same id accepts it once.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// No such kind.
    #[error("unknown job kind {kind:?}; known kinds: {known}")]
    UnknownKind {
        /// The kind given.
        kind: String,
        /// The known kinds.
        known: String,
    },
    /// The queue of the kind is not configured.
    #[error("kind {kind} belongs to queue {queue}, which has no block in config/; add [queues.{queue}]")]
    UnknownQueue {
        /// The kind.
        kind: JobKind,
        /// Its queue.
        queue: QueueName,
    },
    /// The payload does not fit the kind.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The payload is too large.
    #[error("payload of {kind} is {size} bytes; the limit is {limit} (engine.max_payload_bytes)")]
    TooLarge {
        /// The kind.
        kind: JobKind,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// An option is out of range.
    #[error("{field}: {reason}")]
    Field {
        /// Which.
        field: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// The retry policy is invalid.
    #[error("retry: {0}")]
    Retry(#[from] InvalidRetryPolicy),
    /// Another job holds the unique key.
    #[error("unique key {key:?} is held by job {holder}")]
    Conflict {
        /// The key.
        key: String,
        /// The job that holds it.
        holder: JobId,
    },
    /// The queue is at its limit of jobs.
    #[error(
        "queue {queue} is full: it holds {limit} jobs, dead letters among them (queues.{queue}.max_depth); enqueue again later"
    )]
    Full {
        /// The queue.
        queue: QueueName,
        /// The limit.
        limit: usize,
    },
    /// Redis.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The ledger of the queue failed and stored nothing.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Classified for EnqueueError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Queue(error) => error.disposition(),
            Self::Ledger(error) => error.disposition(),
            Self::Full { .. } => Disposition::Wait(WHEN_FULL),
            _ => Disposition::Never,
        }
    }
}

/// When to retry an enqueue after a queue was full.
pub const WHEN_FULL: Duration = Duration::from_secs(10);

/// Why the ledger stored nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the ledger of jobs: {reason}")]
pub struct LedgerError {
    /// The error of the ledger.
    pub reason: String,
    /// Whether a retry may succeed.
    pub disposition: Disposition,
}

impl Classified for LedgerError {
    fn disposition(&self) -> Disposition {
        self.disposition
    }
}
