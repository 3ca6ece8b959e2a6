//! What a bet at given odds comes to: how it ended, what it earned, and how good its author is. Pure functions over the types
//! of `perch-jobs`; nothing here reads a clock, a file or a network.
//!
//! - [`Odds`]: American, decimal and fractional odds, each in terms of the others.
//! - [`settle`]: how a bet ended, and the units it won or lost.
//! - [`record`]: the record of an account, a sport, a market or a month.
//! - [`fold()`]: names as they are compared, whoever spells them.

mod fold;
pub mod record;
pub mod settle;

pub use perch_jobs::odds::{Odds, OddsError};

pub use self::fold::fold;
