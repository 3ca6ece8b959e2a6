//! The games that accounts of the sandbox speak of.

use std::sync::LazyLock;

/// A game, with what is usually bet on it.
#[derive(Debug, Clone)]
pub(crate) struct Game {
    pub league: &'static str,
    pub first: Team,
    pub second: Team,
    /// Points of both.
    pub total: f64,
    pub athlete: &'static str,
    pub stat: &'static str,
    pub stat_line: f64,
}

/// A team of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Team {
    pub name: &'static str,
    pub nickname: &'static str,
}

/// Every game of `data/games.txt`.
pub(crate) static GAMES: LazyLock<Vec<Game>> = LazyLock::new(|| {
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
