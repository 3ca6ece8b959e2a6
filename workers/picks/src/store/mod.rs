//! The storage of the bot: posts, picks and their outcomes, and watched accounts in the schema `picks` of Postgres; marks in Redis.

mod accounts;
mod extractions;
mod marks;
mod picks;
mod posts;
mod summaries;
mod tracking;

pub use accounts::{AccountChange, AccountRecord, Accounts, PollJob, PollNote, PollOutcome, PollTotals};
pub use extractions::{ExtractionRecord, Extractions, PrefilterQuality};
pub use marks::{Marks, PollProgress, PollTally, PostReading};
pub use picks::{PickBody, PickRecord, PickSighting, PickStanding, PickTable, pick_key};
pub use posts::{PostRecord, Posts};
pub use summaries::{DailySummary, Summaries};
pub use tracking::{
    BetFilter, BetRow, GameRow, PickFilter, PickLookup, PickSettlement, Players, SettleSource, SettledBet, SettledBy,
    SettlementRow, TrackedPick, Tracking, state_word,
};

use perch_store::Store;

/// Gives the store of the platform the tables of the bot.
pub trait PicksStore {
    /// The posts that were read.
    fn posts(&self) -> Posts<'_>;

    /// The accounts whose posts are read.
    fn accounts(&self) -> Accounts<'_>;

    /// The picks.
    fn picks(&self) -> PickTable<'_>;

    /// What was decided about posts that were read.
    fn extractions(&self) -> Extractions<'_>;

    /// The outcomes of picks, and the units they won or lost.
    fn tracking(&self) -> Tracking<'_>;

    /// The daily summaries.
    fn summaries(&self) -> Summaries<'_>;
}

impl PicksStore for Store {
    fn posts(&self) -> Posts<'_> {
        Posts(self)
    }

    fn accounts(&self) -> Accounts<'_> {
        Accounts(self)
    }

    fn picks(&self) -> PickTable<'_> {
        PickTable(self)
    }

    fn extractions(&self) -> Extractions<'_> {
        Extractions(self)
    }

    fn tracking(&self) -> Tracking<'_> {
        Tracking(self)
    }

    fn summaries(&self) -> Summaries<'_> {
        Summaries(self)
    }
}
