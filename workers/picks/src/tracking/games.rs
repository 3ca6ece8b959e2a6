//! Results of games from the API or a source, and their validation.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use perch_jobs::strict;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::names;
use crate::store::{GameRow, Players};

/// The result of a game.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GameResult)]
pub struct ResultEntry {
    /// `A vs B`; in place of `first` and `second`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Los Angeles Lakers vs Boston Celtics")]
    pub event: Option<String>,
    /// The sport or league as picks name it: `nba`, `nfl`, `soccer`, …
    #[schema(example = "nba")]
    pub sport: String,
    /// The day of the game where it was played; may be left out beside `finished_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, example = "2026-11-21")]
    pub date: Option<NaiveDate>,
    /// The number of the game if both sides play several times that day, from 1. `finished_at` identifies it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9)]
    pub game: Option<u32>,
    /// The home side, or the one that is named first, by its full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The other side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    /// The scores of the first and the second side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<f64>>, min_items = 2, max_items = 2, example = json!([112, 104]))]
    pub scores: Option<[f64; 2]>,
    /// The winner, if the scores do not say: a fight, a tennis match by games, a shoot-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
    /// Whether it was called off; bets on it are void.
    #[serde(default)]
    pub called_off: bool,
    /// When it ended. It does not settle picks posted later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    /// The statistics of players by name: `{"LeBron James": {"points": 27}}`; null for a player who did not play.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({ "LeBron James": { "points": 27 } }))]
    pub players: Players,
}

/// A result is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct InvalidResult {
    /// Which field.
    pub field: &'static str,
    /// What is wrong with it, and what is allowed.
    pub reason: String,
}

/// The longest name of a side, a player or a sport, in bytes. It is limited because both sides are part of an index entry.
const LONGEST_NAME: usize = 200;
/// The most games of the same sides on one day.
const MOST_GAMES: u32 = 9;
/// The highest score or statistic that bets are graded by.
const MOST_SCORED: f64 = 100_000.0;

impl ResultEntry {
    /// Reads an entry of a source, ignoring unknown fields.
    pub fn from_source(mut entry: serde_json::Value) -> Result<Self, InvalidResult> {
        const KNOWN: [&str; 11] = [
            "event",
            "sport",
            "date",
            "game",
            "first",
            "second",
            "scores",
            "winner",
            "called_off",
            "finished_at",
            "players",
        ];
        if let Some(fields) = entry.as_object_mut() {
            fields.retain(|name, _| KNOWN.contains(&name.as_str()));
        }
        strict::from_value(entry).map_err(|error| InvalidResult { field: "entry", reason: error.to_string() })
    }

    /// Validates the result and brings it into canonical names for storage.
    pub fn into_row(self) -> Result<GameRow, InvalidResult> {
        let refuse = |field, reason: &str| Err(InvalidResult { field, reason: reason.to_owned() });
        let (first, second) = match (self.first, self.second, self.event) {
            (Some(first), Some(second), _) => (first, second),
            (None, None, Some(event)) => match event.split_once(" vs ") {
                Some((first, second)) => (first.to_owned(), second.to_owned()),
                None => return refuse("event", "write it as \"A vs B\""),
            },
            (Some(_), None, _) => return refuse("second", "it is missing beside first"),
            (None, Some(_), _) => return refuse("first", "it is missing beside second"),
            (None, None, None) => return refuse("event", "name the game: event, or first and second"),
        };
        let (first, second) = (name("first", &first)?, name("second", &second)?);
        let sport = name("sport", &self.sport)?;
        // Games may end in the night after their day.
        let ended_on = self.finished_at.map(|at| (at - TimeDelta::hours(6)).date_naive());
        let Some(date) = self.date.or(ended_on) else {
            return refuse("date", "give the day of the game, or finished_at");
        };
        if self.scores.is_none() && self.winner.is_none() && !self.called_off && self.players.is_empty() {
            return refuse("scores", "give scores, a winner, players, or called_off");
        }
        let counted = self.players.values().flatten().flat_map(|stats| stats.values());
        let bad = |n: &f64| !(0.0..=MOST_SCORED).contains(n);
        if self.scores.iter().flatten().any(bad) {
            return refuse("scores", "a score is a number from 0 to 100000");
        }
        if counted.into_iter().any(bad) || self.players.keys().any(|player| player.len() > LONGEST_NAME) {
            return refuse("players", "what is counted is a number from 0 to 100000, a name has at most 200 bytes");
        }
        if self.game.is_some_and(|game| !(1..=MOST_GAMES).contains(&game)) {
            return refuse("game", "it is 1 for the first game of both sides on that day, and at most 9");
        }
        let winner = self.winner.map(|winner| name("winner", &winner)).transpose()?;
        Ok(names::of_game(GameRow {
            sport,
            date,
            game: self.game,
            first,
            second,
            score_first: self.scores.map(|scores| scores[0]),
            score_second: self.scores.map(|scores| scores[1]),
            winner,
            called_off: self.called_off,
            finished_at: self.finished_at,
            players: self.players,
        }))
    }
}

fn name(field: &'static str, text: &str) -> Result<String, InvalidResult> {
    let text = text.trim();
    if text.len() > LONGEST_NAME || !text.chars().any(char::is_alphanumeric) {
        return Err(InvalidResult { field, reason: "it is a name of 1 to 200 bytes".into() });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(entry: serde_json::Value) -> Result<GameRow, InvalidResult> {
        ResultEntry::from_source(entry)?.into_row()
    }

    #[test]
    fn a_game_is_named_in_either_way_and_known_by_both_sides_in_any_order() {
        let a = row(json!({ "event": "Los Angeles Lakers vs Boston Celtics", "sport": "NBA", "date": "2026-11-21",
            "scores": [112, 104], "provider_id": 7 }));
        let b = row(json!({ "first": "Boston Celtics", "second": "Los Angeles Lakers", "sport": "nba",
            "finished_at": "2026-11-22T05:10:00Z", "scores": [104, 112] }));
        let (a, b) = (a.expect("a result"), b.expect("a result"));
        assert_eq!((a.event(), &a.sport, a.date), (b.event(), &b.sport, b.date));
    }

    #[test]
    fn a_result_that_says_nothing_or_nonsense_is_refused_by_its_field() {
        for (entry, field) in [
            (json!({ "sport": "nba", "date": "2026-11-21", "scores": [1, 2] }), "event"),
            (json!({ "sport": "nba", "first": "A", "date": "2026-11-21", "scores": [1, 2] }), "second"),
            (json!({ "sport": "nba", "event": "A vs B", "scores": [1, 2] }), "date"),
            (json!({ "sport": "nba", "event": "A vs B", "date": "2026-11-21" }), "scores"),
            (json!({ "sport": "nba", "event": "A vs B", "date": "2026-11-21", "scores": [-1, 2] }), "scores"),
            (json!({ "sport": "nba", "event": "A vs B", "date": "2026-11-21", "game": 0, "scores": [1, 2] }), "game"),
            (json!({ "sport": "", "event": "A vs B", "date": "2026-11-21", "scores": [1, 2] }), "sport"),
            (json!({ "sport": "nba", "event": "A vs B", "date": "soon", "scores": [1, 2] }), "entry"),
        ] {
            assert_eq!(row(entry.clone()).expect_err("it cannot be used").field, field, "{entry}");
        }
    }
}
