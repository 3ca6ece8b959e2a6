//! The games that the accounts of the sandbox speak of, whichever actor lets them.

use std::sync::LazyLock;

/// A game, with what is usually bet on it.
#[derive(Debug, Clone)]
pub struct Game {
    /// The league: `nba`, `nfl`, `mlb`, `nhl` or another.
    pub league: &'static str,
    /// The team that is named first.
    pub first: Team,
    /// The other one.
    pub second: Team,
    /// The usual line for the points of both.
    pub total: f64,
    /// An athlete of one of them.
    pub athlete: &'static str,
    /// What is counted of the athlete.
    pub stat: &'static str,
    /// The usual line for that.
    pub stat_line: f64,
}

/// A team of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Team {
    /// In full.
    pub name: &'static str,
    /// As people call it.
    pub nickname: &'static str,
}

/// Every game of `data/games.txt`.
pub static GAMES: LazyLock<Vec<Game>> = LazyLock::new(|| {
    let rows = include_str!("../data/games.txt").lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| game(row).expect("the games are part of the crate and each line has its nine parts")).collect()
});

fn game(row: &'static str) -> Option<Game> {
    let mut parts = row.split(" | ").map(str::trim);
    let mut next = || parts.next();
    Some(Game {
        league: next()?,
        first: Team { name: next()?, nickname: next()? },
        second: Team { name: next()?, nickname: next()? },
        total: next()?.parse().ok()?,
        athlete: next()?,
        stat: next()?,
        stat_line: next()?.parse().ok()?,
    })
}
