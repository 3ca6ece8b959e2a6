use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{PayloadError, RetryPolicy};

/// A job type: the implementing struct is its payload, and the constants are its rules.
///
/// ```
/// use perch_job::Job;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct WarmCache { key: String }
///
/// impl Job for WarmCache {
///     const KIND: &'static str = "warm_cache";
///     const QUEUE: &'static str = "housekeeping";
/// }
/// ```
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the kind, unique in the deployment.
    const KIND: &'static str;
    /// The queue its jobs wait in.
    const QUEUE: &'static str;
    /// How failed attempts are retried.
    const RETRY: RetryPolicy = RetryPolicy::DEFAULT;
    /// How long one attempt may take.
    const TIMEOUT: Duration = Duration::from_secs(60);
    /// Which jobs of the queue go first.
    const PRIORITY: Priority = Priority::Normal;

    /// The JSON schema of the payload, which the HTTP API shows and SQL checks requests against; default: any JSON. For a type
    /// that derives `JsonSchema` it is `schemars::schema_for!(Self)`.
    fn schema() -> Schema {
        schemars::json_schema!(true)
    }

    /// The uniqueness lock that prevents a second equal job, if any.
    fn unique(&self) -> Option<Unique> {
        None
    }

    /// The group that the limits of the job are counted by: an account, a bot, a provider.
    fn group(&self) -> Option<String> {
        None
    }

    /// Rejects a payload from outside with values that only Perch itself may use.
    fn check_from_outside(&self) -> Result<(), PayloadError> {
        Ok(())
    }
}

/// Which jobs of a queue go first. A minimum share keeps low jobs from starving (see `fetch` of the engine).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before all others.
    High,
    /// The default.
    #[default]
    Normal,
    /// After all others, but never starved.
    Low,
}

impl Priority {
    /// The word in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// True for the default, which is not stored.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    pub fn is_normal(&self) -> bool {
        *self == Self::Normal
    }
}

/// A uniqueness lock: at most one job with this key at a time within its scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unique {
    /// What must be unique; jobs with equal keys in one queue exclude each other.
    pub key: String,
    /// How long the key is held.
    pub scope: UniqueScope,
}

/// How long a uniqueness key is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum UniqueScope {
    /// Until the job starts.
    Queued,
    /// Until the job is done, dead or cancelled.
    Done,
    /// For this many milliseconds from the enqueue, even after the job has finished.
    WindowMs(u64),
}
