use serde::{Deserialize, Serialize};

/// The state of a job. Each has one word in JSON, on the command line and in the docs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// A worker holds its lease.
    Running,
    /// It may start as soon as a worker is free and its group is below its limit.
    Waiting,
    /// It may not start before a time: it is scheduled, snoozed, or awaits a retry.
    Delayed,
    /// It is a dead letter.
    Dead,
    /// It succeeded.
    Done,
    /// It was cancelled.
    Cancelled,
    /// It was removed from the dead letters.
    Discarded,
    /// Redis does not have it, and its end is not recorded: Redis lost it, or Postgres is far behind. No list has such jobs.
    #[cfg_attr(feature = "clap", value(skip))]
    Unknown,
}

impl JobState {
    /// The states of jobs in Redis, in the order of lists.
    pub const LIVE: [Self; 4] = [Self::Running, Self::Waiting, Self::Delayed, Self::Dead];

    /// The word in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Delayed => "delayed",
            Self::Dead => "dead",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Discarded => "discarded",
            Self::Unknown => "unknown",
        }
    }

    /// True when Redis has the job; false when only the history knows it.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Waiting | Self::Delayed | Self::Dead)
    }

    /// True when nothing more will happen to the job, unless an operator replays it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled | Self::Discarded)
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
