//! The record of settled bets: wins and losses, units, return on investment, streaks, and whether the odds taken beat the market.
//!
//! [`record`] sums up settled bets, [`grouped`] does so by account, sport, market or period. Units are rounded to the hundredth
//! throughout, so that the records of two months add up exactly.

mod group;
mod tally;

use chrono::{DateTime, Utc};
use perch_jobs::PickKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    group::{GroupBy, Period, UnknownGrouping, grouped},
    tally::record,
};
use crate::{Odds, settle::Grade};

/// The market of a bet: the kind of a pick, or a parlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Market {
    /// Who wins.
    Moneyline,
    /// Who wins with points given or taken.
    Spread,
    /// How many points are scored.
    Total,
    /// What one player does.
    Prop,
    /// What is decided later in the season.
    Future,
    /// Several bets that win or lose as one.
    Parlay,
}

impl Market {
    /// Its name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Moneyline => "moneyline",
            Self::Spread => "spread",
            Self::Total => "total",
            Self::Prop => "prop",
            Self::Future => "future",
            Self::Parlay => "parlay",
        }
    }
}

impl From<PickKind> for Market {
    fn from(kind: PickKind) -> Self {
        match kind {
            PickKind::Moneyline => Self::Moneyline,
            PickKind::Spread => Self::Spread,
            PickKind::Total => Self::Total,
            PickKind::Prop => Self::Prop,
            PickKind::Future => Self::Future,
        }
    }
}

/// A settled bet.
#[derive(Debug, Clone, PartialEq)]
pub struct GradedBet {
    /// The number of its pick. Of bets of one post the one with the smaller number comes first.
    pub number: u64,
    /// Who posted it.
    pub account: String,
    /// The sport; nothing for a parlay over several.
    pub sport: Option<String>,
    /// The market.
    pub market: Market,
    /// When it was posted. Streaks and periods go by this time.
    pub posted_at: DateTime<Utc>,
    /// How it ended.
    pub grade: Grade,
    /// The stake in units.
    pub stake: f64,
    /// The units won, or lost when negative.
    pub units: f64,
    /// The odds taken.
    pub odds: Option<Odds>,
    /// The odds of the same bet when its game began, if the odds taken were stated by the account and are of the same bet.
    pub closing: Option<Odds>,
}

/// The record of settled bets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Settled bets, of any grade.
    pub bets: u64,
    /// Bets won in full.
    pub won: u64,
    /// Bets lost in full.
    pub lost: u64,
    /// Bets whose result fell on the line.
    pub pushed: u64,
    /// Void bets.
    pub void: u64,
    /// Bets of which half won.
    pub half_won: u64,
    /// Bets of which half was lost.
    pub half_lost: u64,
    /// Units staked on all but the void bets.
    pub staked: f64,
    /// Units won, less those lost.
    pub units: f64,
    /// Units won for each unit staked: 0.05 is five per cent. Null while nothing is staked.
    pub roi: Option<f64>,
    /// The share of decided bets that won, 0 to 1; half wins and losses count half, returned stakes do not count. Null while none is
    /// decided.
    pub hit_rate: Option<f64>,
    /// Wins in a row at the end, or losses when negative. Bets whose stake came back neither end nor lengthen a streak.
    pub streak: i64,
    /// The most wins in a row.
    pub longest_won: u64,
    /// The most losses in a row.
    pub longest_lost: u64,
    /// The mean of [`closing_line_value`] over the bets that have closing odds. Null while none has.
    pub clv: Option<f64>,
    /// The share of those bets that were taken at better odds than the closing ones.
    pub beat_closing: Option<f64>,
    /// Bets that have closing odds.
    pub with_closing: u64,
}

impl Record {
    /// Wins, losses and returned stakes, with half wins and losses counted as such: `12-8-1`.
    pub fn tally(&self) -> String {
        let (won, lost) = (self.won + self.half_won, self.lost + self.half_lost);
        match self.pushed {
            0 => format!("{won}-{lost}"),
            pushed => format!("{won}-{lost}-{pushed}"),
        }
    }
}

/// By how much the odds taken beat the closing odds: 0.05 means a price five per cent better than the last one of the market.
///
/// `implied(closing) / implied(taken) - 1`, which is `decimal taken / decimal closing - 1`. The bookmaker's margin stays in
/// both prices. Source: Joseph Buchdahl, "Closing Line Value (CLV) Demystified", where the ratio of the two prices is the
/// measure of a bettor's edge.
pub fn closing_line_value(taken: Odds, closing: Odds) -> f64 {
    closing.implied() / taken.implied() - 1.0
}
