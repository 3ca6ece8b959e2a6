use std::time::Duration;

use perch_base::{Classified, Disposition};
use perch_jobs::{JobId, QueueName};

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

    /// True when Redis is away and the same call may succeed once it is back.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Timeout { .. })
    }
}

/// How long a job is put off when Redis is away.
const WHEN_AWAY: Duration = Duration::from_secs(5);

impl Classified for QueueError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Unavailable { .. } | Self::Timeout { .. } => Disposition::Wait(WHEN_AWAY),
            Self::Refused { .. } => Disposition::Retry,
            Self::Configuration(_) | Self::Corrupt { .. } => Disposition::Never,
        }
    }
}
