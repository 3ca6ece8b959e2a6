use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use perch_odds::settle::plain;
use perch_store::{
    StoreError, query_as,
    row::{day, readable_rows, small_count, time_option, undecodable},
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::Tracking;

/// The statistics of players, by name and then by statistic. `None` for a player who did not play.
pub type Players = BTreeMap<String, Option<BTreeMap<String, f64>>>;

/// The result of a game.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GameRow {
    /// The sport or league in lower case.
    pub sport: String,
    /// The day of the game where it was played.
    pub date: NaiveDate,
    /// The number of the game if both sides play several times that day, from 1; `None` if not stated.
    pub game: Option<u32>,
    /// The home side, or the one that is named first.
    pub first: String,
    /// The other side.
    pub second: String,
    /// The score of the first side, if known.
    pub score_first: Option<f64>,
    /// The score of the second side, if known.
    pub score_second: Option<f64>,
    /// The winner, if the scores do not say.
    pub winner: Option<String>,
    /// Whether it was called off.
    pub called_off: bool,
    /// When it ended, if that is known.
    pub finished_at: Option<DateTime<Utc>>,
    /// The statistics of players.
    pub players: Players,
}

impl GameRow {
    /// The key of the game among those of its day: the names of both sides, only letters and digits, in lower case and alphabetical
    /// order.
    pub fn event(&self) -> String {
        let mut names = [plain(&self.first), plain(&self.second)];
        names.sort();
        names.join(" ")
    }
}

impl FromRow<'_, PgRow> for GameRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let players: serde_json::Value = row.try_get("players")?;
        Ok(Self {
            sport: row.try_get("sport")?,
            date: day(row, "date")?,
            game: Some(small_count(row, "game")?),
            first: row.try_get("first")?,
            second: row.try_get("second")?,
            score_first: row.try_get("score_first")?,
            score_second: row.try_get("score_second")?,
            winner: row.try_get("winner")?,
            called_off: row.try_get("called_off")?,
            finished_at: time_option(row, "finished_at")?,
            players: serde_json::from_value(players).map_err(|error| undecodable("players", error))?,
        })
    }
}

impl Tracking<'_> {
    /// The results of games since that day, by day, number of the game, and time of entry: at most 100,000.
    pub async fn games(&self, since: NaiveDate) -> Result<Vec<GameRow>, StoreError> {
        readable_rows(
            "read results of games",
            query_as!(
                "select * from picks.game_results
             where environment = $1 and date >= $2 order by date, game, entered_at limit 100000",
                self.0.env().as_str(),
                since
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }
}
