//! Switches off one safeguard at a time, to show that the checks notice.

use clap::ValueEnum;

use crate::{error::RigError, incident::Incident};

/// What can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// Effects happen without a claim in the ledger
    Claim,
    /// A worker whose jobs were taken over goes on acting
    Fence,
    /// An effect of unknown outcome is repeated without asking whether it happened
    Reconciliation,
    /// Jobs of lost workers are not given to others
    Reaper,
    /// A failover or restart of Redis goes unnoticed
    Failover,
    /// A recovered job runs without asking whether its effect happened before
    Asking,
    /// Times that a wrong clock set far ahead are waited for
    Clocks,
    /// Nothing, with the same publisher as the others: the run must pass
    Nothing,
}

impl Sabotage {
    /// Reads it from the environment of this process.
    pub fn of_this_process() -> Option<Self> {
        std::env::var(VARIABLE).ok().and_then(|part| Self::from_str(&part, true).ok())
    }

    /// Enables the fail point of this safeguard in this process, where the code of Perch has one.
    pub fn switch_off(self) -> Result<(), RigError> {
        match self {
            Self::Clocks => fail::cfg("queue.clocks", "return").map_err(RigError::Setup),
            _ => Ok(()),
        }
    }

    /// How many minutes a run needs to fail without this safeguard, and which incidents it needs; an empty list means all.
    pub const fn shown_by(self) -> (f64, &'static [Incident]) {
        use Incident::{FailoverOfPostgres, FailoverOfRedis, RedisAhead, RedisBehind, RestoreOfPostgres};
        match self {
            Self::Claim | Self::Reconciliation | Self::Reaper => (1.5, &[]),
            Self::Fence => (3.0, &[]),
            Self::Failover => (0.5, &[FailoverOfRedis]),
            Self::Asking => (0.5, &[FailoverOfPostgres, RestoreOfPostgres]),
            Self::Clocks => (0.5, &[RedisAhead]),
            Self::Nothing => (0.5, &[RedisBehind, RedisAhead, FailoverOfRedis, FailoverOfPostgres, RestoreOfPostgres]),
        }
    }

    /// The value of [`VARIABLE`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Fence => "fence",
            Self::Reconciliation => "reconciliation",
            Self::Reaper => "reaper",
            Self::Failover => "failover",
            Self::Asking => "asking",
            Self::Clocks => "clocks",
            Self::Nothing => "nothing",
        }
    }
}

/// The environment variable that tells a worker of the rig which safeguard is off.
pub const VARIABLE: &str = "PERCH_SABOTAGE";

/// What a sabotaged worker adds to a text that it sends again, because X refuses the same text twice in a row, which
/// would hide the fault. The checks remove it again.
pub const MARK: char = '\u{2060}';
