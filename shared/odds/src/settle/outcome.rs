use std::{collections::BTreeMap, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SettleError;

/// How a bet ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// It pays its odds.
    Won,
    /// The stake is gone.
    Lost,
    /// The result fell on the line; the stake comes back.
    Push,
    /// It does not count: the game was called off, or the player did not play. The stake comes back.
    Void,
    /// Half of the stake won, the other half comes back.
    HalfWon,
    /// Half of the stake is gone, the other half comes back.
    HalfLost,
}

impl Grade {
    /// Every grade.
    pub const ALL: [Self; 6] = [Self::Won, Self::Lost, Self::Push, Self::Void, Self::HalfWon, Self::HalfLost];

    /// Its name in JSON: `half_won`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Push => "push",
            Self::Void => "void",
            Self::HalfWon => "half_won",
            Self::HalfLost => "half_lost",
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the name of a grade.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no way for a bet to end; it is won, lost, push, void, half_won or half_lost")]
pub struct UnknownGrade(pub String);

impl FromStr for Grade {
    type Err = UnknownGrade;

    fn from_str(word: &str) -> Result<Self, UnknownGrade> {
        let plain = word.trim().to_lowercase().replace(['-', ' '], "_");
        Self::ALL.into_iter().find(|grade| grade.as_str() == plain).ok_or_else(|| UnknownGrade(word.to_owned()))
    }
}

/// A side of a game, with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Competitor {
    /// Its full name.
    pub name: String,
    /// What it scored: points, goals, runs; in tennis games; of a fight nothing that counts.
    pub score: f64,
}

/// The final result of a game.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GameResult {
    /// The home side, or the one that is named first.
    #[serde(alias = "home")]
    pub first: Competitor,
    /// The away side, or the one that is named second.
    #[serde(alias = "away")]
    pub second: Competitor,
    /// Who won, where the scores do not say: a fight, a tennis match by games, a shoot-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
}

impl GameResult {
    /// A result by its scores.
    pub fn new(first: impl Into<String>, score: f64, second: impl Into<String>, other: f64) -> Self {
        let side = |name: String, score| Competitor { name, score };
        Self { first: side(first.into(), score), second: side(second.into(), other), winner: None }
    }

    pub(super) fn check(&self) -> Result<(), SettleError> {
        for side in [&self.first, &self.second] {
            in_range(&side.name, side.score)?;
        }
        Ok(())
    }
}

/// What one player did in a game.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlayerResult {
    /// The full name.
    pub player: String,
    /// Whether the player took part; bets on one who did not are void.
    #[serde(default = "yes")]
    pub played: bool,
    /// What was counted, by its canonical name: `points`, `passing touchdowns`.
    #[serde(default)]
    pub stats: BTreeMap<String, f64>,
}

fn yes() -> bool {
    true
}

impl PlayerResult {
    /// The result of a player in one statistic.
    pub fn new(player: impl Into<String>, stat: impl Into<String>, value: f64) -> Self {
        Self { player: player.into(), played: true, stats: BTreeMap::from([(stat.into(), value)]) }
    }

    /// A player who did not take part.
    pub fn absent(player: impl Into<String>) -> Self {
        Self { player: player.into(), played: false, stats: BTreeMap::new() }
    }

    pub(super) fn check(&self) -> Result<(), SettleError> {
        self.stats.iter().try_for_each(|(stat, value)| in_range(stat, *value))
    }
}

fn in_range(what: &str, value: f64) -> Result<(), SettleError> {
    if (0.0..=100_000.0).contains(&value) {
        return Ok(());
    }
    Err(SettleError::BadNumber { what: what.to_owned(), value })
}

/// What is known about the end of a bet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The result of its game.
    Game(GameResult),
    /// The result of its player.
    Player(PlayerResult),
    /// A game that was called off; bets on it are void.
    CalledOff,
    /// The grade, as a person stated it.
    Stated(Grade),
}
