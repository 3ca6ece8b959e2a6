//! The games that the accounts of the sandbox write about, for all actors.

use std::sync::LazyLock;

/// A game with its usual bets.
#[derive(Debug, Clone)]
pub struct Game {
    /// The league: `nba`, `nfl`, `mlb`, `nhl` or another.
    pub league: &'static str,
    /// The team that is named first.
    pub first: Team,
    /// The other team.
    pub second: Team,
    /// The usual line for the points of both teams.
    pub total: f64,
    /// An athlete of one of the teams.
    pub athlete: &'static str,
    /// The statistic of the athlete.
    pub stat: &'static str,
    /// The usual line for that statistic.
    pub stat_line: f64,
}

/// A team of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Team {
    /// The full name.
    pub name: &'static str,
    /// The common name.
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
