//! The tables of the bot.

mod audience;
mod bots;
mod brakes;
mod candidates;
mod counts;
mod decide;
mod decisions;
mod list;
mod policies;
mod reviews;
mod rewards;
mod settle;
mod slots;
mod states;
mod stats;

use perch_store::Store;

pub use audience::{FollowerDay, OwnAnalytics};
pub use bots::{BotChange, BotFilter, LearnerBot};
pub use brakes::{Reactions, Replies};
pub use candidates::{Admission, Candidate, CandidateState, Draft, StoredDraft};
pub use counts::{CandidateCounts, SpentDay};
pub use decide::{Decided, Slotted};
pub use decisions::{DecisionFilter, LoggedDecision, OutcomeState};
pub use list::CandidateFilter;
pub use policies::{PolicyState, StoredPolicy};
pub use reviews::CandidateDecision;
pub use rewards::{FrozenReward, Measured, RewardRow, Unrewarded};
pub use settle::Settled;
pub use slots::{LearnerSlot, SlotState};
pub use states::BotState;
pub use stats::{ArmStats, CurvePoint, DaySummary, MetricChange};

/// The tables of the learning poster.
#[derive(Debug, Clone, Copy)]
pub struct LearnerTables<'a>(pub(crate) &'a Store);

/// The tables of the learning poster, on the store of the platform.
pub trait LearnerStore {
    /// The tables.
    fn learner(&self) -> LearnerTables<'_>;
}

impl LearnerStore for Store {
    fn learner(&self) -> LearnerTables<'_> {
        LearnerTables(self)
    }
}
