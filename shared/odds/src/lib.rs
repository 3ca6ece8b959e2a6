//! Settling bets: how a bet ended, what it won or lost, and the record of its author. Pure functions over the types of `perch-jobs`;
//! nothing here reads a clock, a file or a network.
//!
//! - [`Odds`]: American, decimal and fractional odds, and conversions between them.
//! - [`settle`]: how a bet ended, and the units it won or lost.
//! - [`record`]: the record of an account, a sport, a market or a month.
//! - [`fold()`]: names normalized for comparison.

mod fold;
pub mod record;
pub mod settle;

pub use perch_jobs::odds::{Odds, OddsError};

pub use self::fold::fold;
