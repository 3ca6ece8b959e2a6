//! How picks end, and what they come to for the accounts that named them.

mod bets;
mod picks;
mod results;
mod settle;

pub use bets::{BetFilter, BetRow};
pub use picks::{PickFilter, PickLookup, TrackedPick, state_word};
pub use results::{GameRow, Players};
pub use settle::{PickSettlement, SettleSource, SettledBet, SettledBy, SettlementRow};

use perch_store::Store;

/// How picks end: what was entered, what it came to.
#[derive(Debug, Clone, Copy)]
pub struct Tracking<'a>(pub(crate) &'a Store);
