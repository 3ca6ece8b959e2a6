use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{PayloadError, RetryPolicy};

/// A job type: its payload is the implementing struct, its rules are the constants.
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
    /// How failed attempts are repeated.
    const RETRY: RetryPolicy = RetryPolicy::DEFAULT;
    /// How long one attempt may take.
    const TIMEOUT: Duration = Duration::from_secs(60);
    /// Which jobs of the queue go first.
    const PRIORITY: Priority = Priority::Normal;

    /// The JSON schema of the payload, which the HTTP API shows and SQL checks requests against: any JSON, unless the type says more.
    /// For a type that derives `JsonSchema` it is `schemars::schema_for!(Self)`.
    fn schema() -> Schema {
        schemars::json_schema!(true)
    }

    /// The lock that keeps a second equal job out, if the kind wants one.
    fn unique(&self) -> Option<Unique> {
        None
    }

    /// What the job's limits are counted by: an account, a bot, a provider.
    fn group(&self) -> Option<String> {
        None
    }

    /// What only Perch itself may say in a payload, refused when it comes from outside.
    fn check_from_outside(&self) -> Result<(), PayloadError> {
        Ok(())
    }
}

/// Which jobs of a queue go first. Low work is kept from starving by a floor (see the engine's `fetch`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before everything else.
    High,
    /// The default.
    #[default]
    Normal,
    /// After everything else, but never starved.
    Low,
}

impl Priority {
    /// As it is written in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// True for the default, which is left out of what is stored.
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
    /// For so many milliseconds from the enqueue, whatever becomes of the job.
    WindowMs(u64),
}
