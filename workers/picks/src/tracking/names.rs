//! Canonical names in results and picks: sports, sides, players, statistics. Decisions only; no I/O.

use std::collections::BTreeMap;

use perch_jobs::Pick;
use perch_odds::settle::plain;

use crate::{
    normal,
    store::{GameRow, Players},
};

/// Words that mark another team of the same club.
const OTHER_TEAMS: [&str; 14] = [
    "women", "womens", "ladies", "femenino", "feminine", "w", "ii", "b", "reserves", "youth", "u18", "u19", "u21",
    "u23",
];

/// The canonical word for a sport or a league; a word that no table knows is kept in lower case.
pub(super) fn sport(text: &str) -> String {
    normal::sport(text).map_or_else(|| text.trim().to_lowercase(), str::to_owned)
}

/// The full name of a side; a name that no table knows is kept.
pub(super) fn side(name: &str, sport: Option<&str>) -> String {
    let found = normal::team(name, sport);
    let words = |text: &str| -> Vec<String> { text.split_whitespace().map(plain).collect() };
    let kept = words(&found);
    let is_other = words(name).iter().any(|word| OTHER_TEAMS.contains(&word.as_str()) && !kept.contains(word));
    if is_other { name.trim().to_owned() } else { found }
}

fn stat(name: &str) -> String {
    normal::stat(name).map_or_else(|| name.trim().to_owned(), str::to_owned)
}

/// A result in canonical names.
pub(super) fn of_game(row: GameRow) -> GameRow {
    let sport = sport(&row.sport);
    let side = |name: &str| side(name, Some(&sport));
    let mut players = Players::new();
    for (name, stats) in row.players {
        let stats: Option<BTreeMap<String, f64>> =
            stats.map(|stats| stats.into_iter().map(|(name, value)| (stat(&name), value)).collect());
        players.insert(normal::player(&name, Some(&sport)), stats);
    }
    let (first, second, winner) = (side(&row.first), side(&row.second), row.winner.as_deref().map(side));
    GameRow { sport, first, second, winner, players, ..row }
}

/// A pick in the canonical names of this sport.
pub(super) fn of_pick(pick: &Pick, sport: &str) -> Pick {
    let side = |name: &str| side(name, Some(sport));
    let event = |event: &str| match event.split_once(" vs ") {
        Some((first, second)) => format!("{} vs {}", side(first), side(second)),
        None => event.to_owned(),
    };
    Pick {
        sport: Some(sport.to_owned()),
        event: pick.event.as_deref().map(event),
        selection: pick.selection.as_deref().map(side),
        player: pick.player.as_deref().map(|name| normal::player(name, Some(sport))),
        stat: pick.stat.as_deref().map(stat),
        ..pick.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sports_and_sides_have_one_name_and_another_team_of_a_club_is_not_the_club() {
        assert_eq!(
            (sport("EPL").as_str(), sport(" NBA").as_str(), sport("Kabaddi").as_str()),
            ("soccer", "nba", "kabaddi")
        );
        for (written, sport, name) in [
            ("LA Clippers", "nba", "Los Angeles Clippers"),
            ("Lakers", "nba", "Los Angeles Lakers"),
            ("Atlético Madrid", "soccer", "Atletico Madrid"),
            ("Chelsea Women", "soccer", "Chelsea Women"),
            ("Gotham  Rogues", "nba", "Gotham Rogues"),
        ] {
            assert_eq!(side(written, Some(sport)), name, "{written}");
        }
        assert_eq!((stat("Pts").as_str(), stat("wing flaps").as_str()), ("points", "wing flaps"));
    }
}
