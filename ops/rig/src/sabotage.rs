//! Parts of the protection switched off, to show that the books notice.

use clap::ValueEnum;

use crate::{error::RigError, incident::Incident};

/// What can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// Effects happen without a claim in the ledger
    Claim,
    /// A worker that was taken for dead acts all the same
    Fence,
    /// An effect of unknown outcome is repeated without asking whether it happened
    Reconciliation,
    /// Jobs of lost workers are not given to others
    Reaper,
    /// That another Redis took over, or that it was started again, goes unnoticed
    Failover,
    /// A job that was put back after a server had lost something is done without asking whether it was done before
    Asking,
    /// What another clock has set far ahead is waited for
    Clocks,
    /// Nothing, with the same publisher as the others: the run has to pass
    Nothing,
}

impl Sabotage {
    /// What the environment of a worker says.
    pub fn of_this_process() -> Option<Self> {
        std::env::var(VARIABLE).ok().and_then(|part| Self::from_str(&part, true).ok())
    }

    /// Switches off in this process what the code of Perch has a fail point for.
    pub fn switch_off(self) -> Result<(), RigError> {
        match self {
            Self::Clocks => fail::cfg("queue.clocks", "return").map_err(RigError::Setup),
            _ => Ok(()),
        }
    }

    /// The minutes after which its absence shows, and what has to befall the run for that; everything where the list is empty.
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

    /// As it is handed to the workers.
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

/// The variable that tells a worker of the rig.
pub const VARIABLE: &str = "PERCH_SABOTAGE";

/// What a sabotaged worker adds to a text that it sends again, because X refuses the same text twice in a row and
/// would hide the damage. The books take it away again.
pub const MARK: char = '\u{2060}';
