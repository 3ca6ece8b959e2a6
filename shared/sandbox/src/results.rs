//! The results of games, as a results service returns them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The result of a game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GameResult {
    /// `A vs B`, with full names.
    pub event: String,
    /// The league, as bets name it: `nba`, `nfl`, `mlb`, `nhl`.
    pub sport: String,
    /// The full name of the first team.
    pub first: String,
    /// The full name of the second.
    pub second: String,
    /// Points of the first, then of the second.
    pub scores: [u32; 2],
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// The statistics of athletes, by name.
    #[serde(default)]
    pub players: BTreeMap<String, BTreeMap<String, u32>>,
}
