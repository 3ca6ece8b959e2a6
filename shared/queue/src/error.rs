use std::time::Duration;

use perch_base::{Classified, Disposition};
use perch_job::{InvalidRetryPolicy, JobId, JobKind, PayloadError, QueueName};

/// What can go wrong between Perch and Redis.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Redis did not answer, refused the connection, or is not ready to work.
    #[error("redis is unavailable ({doing}): {source}; check REDIS_URL and that the server is up")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// What Redis or the network said.
        source: redis::RedisError,
    },
    /// Redis took longer than `redis.command_timeout`.
    #[error("redis did not answer within {after:?} ({doing}); is the server overloaded?")]
    Timeout {
        /// What was being done.
        doing: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// Redis answered, but not what was asked for.
    #[error("redis refused to {doing}: {source}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What Redis said.
        source: redis::RedisError,
    },
    /// Somebody else had written to keys of the queue. They were set aside; the same call can succeed now.
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
    /// Something in Redis is not what Perch wrote there.
    #[error("{what} of job {id} in queue {queue} cannot be read: {reason}; see `perch jobs show {id}`")]
    Corrupt {
        /// The queue.
        queue: QueueName,
        /// The job.
        id: JobId,
        /// Which part.
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
            // Written by a Redis whose memory is full, or whose last snapshot failed.
            || matches!(source.code(), Some("OOM" | "MISCONF" | "UNBLOCKED"));
        if away { Self::Unavailable { doing, source } } else { Self::Refused { doing, source } }
    }

    /// The same error for another caller.
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

    /// True when Redis is away and the same call may succeed once it is back.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Timeout { .. } | Self::SetAside { .. })
    }

    /// True when a key is of another type than what is kept there.
    pub(crate) fn is_wrong_type(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if source.code() == Some("WRONGTYPE")
            || source.detail().is_some_and(|detail| detail.contains("WRONGTYPE")))
    }
}

/// How long a job is put off when Redis is away.
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
/// only the answer lost: repeat the call with the same id, which accepts it once.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// No such kind.
    #[error("unknown job kind {kind:?}; known kinds: {known}")]
    UnknownKind {
        /// The kind given.
        kind: String,
        /// Those there are.
        known: String,
    },
    /// The kind's queue is not configured.
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
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// The retry policy cannot be followed.
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
    /// The queue has as many jobs as it may.
    #[error(
        "queue {queue} is full: it holds {limit} jobs, dead letters among them (queues.{queue}.max_depth); enqueue again later"
    )]
    Full {
        /// The queue.
        queue: QueueName,
        /// Most jobs.
        limit: usize,
    },
    /// Redis.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The queue is kept in a ledger, which took nothing.
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

/// When to enqueue again where a queue is full.
pub const WHEN_FULL: Duration = Duration::from_secs(10);

/// Why the ledger kept nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the ledger of jobs: {reason}")]
pub struct LedgerError {
    /// What it said.
    pub reason: String,
    /// Whether it may work later.
    pub disposition: Disposition,
}

impl Classified for LedgerError {
    fn disposition(&self) -> Disposition {
        self.disposition
    }
}
