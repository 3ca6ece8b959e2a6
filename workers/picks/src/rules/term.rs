//! Terms: the parts of a clause that have a meaning in a bet.

use perch_jobs::Side;

use super::names::Candidate;

/// A name in a post with its candidates; a name that the tables do not know has none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    pub written: String,
    pub candidates: Vec<Candidate>,
}

/// A part of a clause that has a meaning in a bet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Term {
    Name(Name),
    Number {
        value: f64,
        signed: bool,
        decimals: u8,
        plus: bool,
    },
    Units(f64),
    Side(Side),
    /// A win; `strong` if only bettors use these words.
    Win {
        strong: bool,
    },
    /// A win over the name that follows.
    Beats,
    PickEm,
    DrawNoBet,
    Draw,
    /// Even money.
    Even,
    /// A price such as 11/10.
    Fraction {
        won: u32,
        stake: u32,
    },
    /// Something that is decided later in the season.
    Season,
    Stat(usize),
    /// Joins two opponents: `vs`.
    Versus,
    /// Joins two names that may be opponents: `/`.
    Joint,
    At,
    TeamTotal,
    /// A stake or price applies to every pick.
    Each,
    Parlay,
    League(&'static str),
    /// Words that may stand between a name and its line.
    Filler,
    Comma,
    Other,
}

impl Term {
    /// Whether it only joins or introduces other terms, so that it cannot change or negate a bet.
    pub fn only_joins(&self) -> bool {
        matches!(self, Self::At | Self::TeamTotal | Self::Each | Self::Parlay | Self::League(_) | Self::Comma)
    }
}
