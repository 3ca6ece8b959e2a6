//! Decides which of the games of one day a result belongs to. Decisions only; no I/O.

use std::collections::{BTreeSet, HashMap};

use chrono::{NaiveDate, TimeDelta};

use crate::store::GameRow;

/// Two end times within this distance belong to one game: sources differ, and correct themselves.
const ONE_END: TimeDelta = TimeDelta::hours(2);

type Day = (String, String, NaiveDate);

fn day(row: &GameRow) -> Day {
    (row.sport.clone(), row.event(), row.date)
}

/// Gives each new result the number of its game among the games of both sides on that day.
///
/// A result has its number or the end of the game. If it has neither, the results of one batch are numbered in order. The second list has
/// the results that could belong to several known games.
pub(super) fn numbered(known: &[GameRow], given: &[GameRow]) -> (Vec<GameRow>, Vec<GameRow>) {
    let mut days: HashMap<Day, Vec<GameRow>> = HashMap::new();
    for row in known {
        days.entry(day(row)).or_default().push(row.clone());
    }
    let mut silent: HashMap<Day, usize> = HashMap::new();
    for row in given.iter().filter(|row| says_nothing(row)) {
        *silent.entry(day(row)).or_default() += 1;
    }
    // A game that is given again keeps its number, whatever its position in the batch.
    let mut taken: HashMap<Day, BTreeSet<u32>> = HashMap::new();
    for row in given {
        let same = days.get(&day(row)).and_then(|games| games.iter().find(|game| is_same(game, row))?.game);
        taken.entry(day(row)).or_default().extend(same);
    }
    let (mut numbered, mut unclear) = (Vec::with_capacity(given.len()), Vec::new());
    for row in given {
        let day = day(row);
        let (games, taken) = (days.entry(day.clone()).or_default(), taken.entry(day.clone()).or_default());
        let numbers: BTreeSet<u32> = games.iter().filter_map(|game| game.game).collect();
        let number = if row.game.is_some() {
            row.game
        } else if let Some(same) = games.iter().find(|game| is_same(game, row)) {
            same.game
        } else if row.finished_at.is_some() {
            let open =
                games.iter().find(|game| game.finished_at.is_none() && game.game.is_some_and(|n| !taken.contains(&n)));
            open.and_then(|game| game.game).or_else(|| free(&numbers))
        } else if numbers.len() > silent[&day].max(1) {
            None
        } else {
            free(taken)
        };
        let Some(number) = number else {
            unclear.push(row.clone());
            continue;
        };
        taken.insert(number);
        let row = GameRow { game: Some(number), ..row.clone() };
        games.retain(|game| game.game != Some(number));
        games.push(row.clone());
        numbered.push(row);
    }
    (numbered, unclear)
}

/// The lowest number that is not in the set.
fn free(numbers: &BTreeSet<u32>) -> Option<u32> {
    (1..=u32::MAX).find(|number| !numbers.contains(number))
}

fn says_nothing(row: &GameRow) -> bool {
    row.game.is_none() && row.finished_at.is_none()
}

/// Whether both results are of one game: by their end times, or by their scores if one has no end time.
fn is_same(known: &GameRow, row: &GameRow) -> bool {
    match (known.finished_at, row.finished_at) {
        (Some(a), Some(b)) => (a - b).abs() <= ONE_END,
        _ => row.score_first.is_some() && by_side(known) == by_side(row),
    }
}

fn by_side(row: &GameRow) -> [(String, Option<u64>); 2] {
    let side = |name: &str, score: Option<f64>| (perch_odds::settle::plain(name), score.map(f64::to_bits));
    let mut sides = [side(&row.first, row.score_first), side(&row.second, row.score_second)];
    sides.sort();
    sides
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(scores: (f64, f64), finished_at: Option<&str>) -> GameRow {
        GameRow {
            sport: "mlb".into(),
            date: "2026-07-04".parse().expect("a day"),
            game: None,
            first: "A".into(),
            second: "B".into(),
            score_first: Some(scores.0),
            score_second: Some(scores.1),
            winner: None,
            called_off: false,
            finished_at: finished_at.map(|at| at.parse().expect("a time")),
            players: crate::store::Players::new(),
        }
    }

    fn numbers(known: &[GameRow], given: &[GameRow]) -> Vec<Option<u32>> {
        numbered(known, given).0.iter().map(|row| row.game).collect()
    }

    const NOON: Option<&str> = Some("2026-07-04T19:00:00Z");
    const NIGHT: Option<&str> = Some("2026-07-05T02:00:00Z");

    #[test]
    fn games_of_one_day_are_told_apart_by_their_ends() {
        let both = [game((5.0, 3.0), NOON), game((2.0, 6.0), NIGHT)];
        assert_eq!(numbers(&[], &both), [Some(1), Some(2)]);
        let known = numbered(&[], &both).0;
        let corrected = game((2.0, 7.0), Some("2026-07-05T02:20:00Z"));
        assert_eq!(numbers(&known, std::slice::from_ref(&corrected)), [Some(2)]);
        assert_eq!(numbers(&known[..1], &[corrected]), [Some(2)], "the second one came in later");
    }

    #[test]
    fn without_an_end_they_are_numbered_as_they_come_and_what_may_be_either_is_left_out() {
        let both = [game((5.0, 3.0), None), game((2.0, 6.0), None)];
        let known = numbered(&[], &both).0;
        assert_eq!(numbers(&[], &both), [Some(1), Some(2)]);
        assert_eq!(numbers(&known, &both), [Some(1), Some(2)], "the same again changes nothing");
        assert_eq!(numbers(&known, &both[1..]), [Some(2)]);
        assert_eq!(numbers(&known[..1], &[both[1].clone(), both[0].clone()]), [Some(2), Some(1)]);
        let (taken, unclear) = numbered(&known, &[game((9.0, 9.0), None)]);
        assert_eq!((taken.len(), unclear.len()), (0, 1));
        let stated = GameRow { game: Some(2), ..game((9.0, 9.0), None) };
        assert_eq!(numbers(&known, &[stated]), [Some(2)]);
        // A single result corrects the only known one.
        assert_eq!(numbers(&known[..1], &[game((4.0, 3.0), None)]), [Some(1)]);
        let turned = GameRow { first: "B".into(), second: "A".into(), ..game((3.0, 5.0), None) };
        assert_eq!(numbers(&known, &[turned]), [Some(1)]);
        assert_eq!(numbers(&known[..1], &[game((4.0, 3.0), NOON)]), [Some(1)], "an end that was not known before");
    }
}
