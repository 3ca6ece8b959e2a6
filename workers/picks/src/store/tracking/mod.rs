//! The outcomes of picks, and the bets of the accounts that named them.

mod bets;
mod picks;
mod results;
mod settle;

pub use bets::{BetFilter, BetRow};
pub use picks::{PickFilter, PickLookup, TrackedPick, state_word};
pub use results::{GameRow, Players};
pub use settle::{PickSettlement, SettleSource, SettledBet, SettledBy, SettlementRow};

use perch_store::Store;

/// The tables of results, settlements and settled bets.
#[derive(Debug, Clone, Copy)]
pub struct Tracking<'a>(pub(crate) &'a Store);
