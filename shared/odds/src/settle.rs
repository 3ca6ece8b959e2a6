//! How a bet ended, and the units it won or lost.
//!
//! [`grade`] compares a pick with its result; [`single`] and [`parlay`] turn grades, odds and stakes into units. Missing odds and
//! stakes are only assumed if the caller gives them as [`AssumedTerms`].

mod grade;
mod outcome;
mod parlay;
mod units;

use perch_jobs::PickKind;

pub use self::{
    grade::{grade, plain},
    outcome::{Competitor, GameResult, Grade, Outcome, PlayerResult},
    parlay::{Leg, parlay},
    units::{AssumedTerms, Settlement, in_units, profit, single},
};
use crate::OddsError;

/// Why a bet cannot be settled. The message says what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettleError {
    /// The result is of another game.
    #[error("the result is of {first} against {second}, and the pick is about {named}; enter the result of its game")]
    OtherGame {
        /// Whom the pick names.
        named: String,
        /// Who played.
        first: String,
        /// Against whom.
        second: String,
    },
    /// The result is of another player.
    #[error("the result is of {player}, and the pick is about {named}; enter the result of that player")]
    OtherPlayer {
        /// Whom the pick names.
        named: String,
        /// Whose result it is.
        player: String,
    },
    /// The result lacks the statistic that the bet is about.
    #[error("the result says nothing of the {stat} of {of}; add it to the result, or state how the bet ended")]
    NotCounted {
        /// What is counted.
        stat: String,
        /// Of whom.
        of: String,
    },
    /// Results of this kind do not decide such a bet.
    #[error("a {kind} is not decided by the result of {result}; {advice}")]
    NotDecided {
        /// The kind of bet.
        kind: &'static str,
        /// The kind of result.
        result: &'static str,
        /// What to enter instead.
        advice: &'static str,
    },
    /// The pick lacks what its kind needs.
    #[error("the pick has no {field}, so it cannot be graded; state how it ended")]
    Incomplete {
        /// The field of the pick.
        field: &'static str,
    },
    /// A score or a statistic that is not a valid number.
    #[error("{what} is {value}; a result is a number from 0 to 100000")]
    BadNumber {
        /// Of what.
        what: String,
        /// What it was.
        value: f64,
    },
    /// The pick names no odds and none are assumed.
    #[error("{of} names no odds; give the odds, or choose what to assume")]
    NoOdds {
        /// Of which bet.
        of: String,
    },
    /// The pick names no stake and none is assumed.
    #[error("the pick names no stake; give the units, or choose what to assume")]
    NoStake,
    /// A stake that is not valid.
    #[error("a stake of {units} units is none; it is over 0 and at most 1000")]
    BadStake {
        /// What it was.
        units: f64,
    },
    /// Odds that cannot be read.
    #[error(transparent)]
    Odds(#[from] OddsError),
    /// The number of grades differs from the number of legs.
    #[error("the parlay has {legs} legs and {grades} grades; each leg needs one")]
    Legs {
        /// Legs of the parlay.
        legs: usize,
        /// Grades that were given.
        grades: usize,
    },
}

/// The name of a kind of bet within a sentence.
fn kind_name(kind: PickKind) -> &'static str {
    match kind {
        PickKind::Moneyline => "moneyline",
        PickKind::Spread => "spread",
        PickKind::Total => "total",
        PickKind::Prop => "prop",
        PickKind::Future => "future",
    }
}
