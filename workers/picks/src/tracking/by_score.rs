//! Which bets the result of a whole game decides. Decisions only; no I/O.

use perch_jobs::{Pick, PickKind};
use perch_odds::settle::{GameResult, Outcome, PlayerResult, plain};

use crate::store::GameRow;

/// Words in a bet that name a part of a game.
const PARTS: [&str; 26] = [
    "half", "halftime", "quarter", "period", "inning", "innings", "set", "sets", "round", "rounds", "map", "maps",
    "frame", "frames", "1h", "2h", "1q", "2q", "3q", "4q", "1p", "2p", "3p", "f5", "h1", "h2",
];
/// The largest handicap and the largest total in tennis that may count sets.
const MOST_SETS: (f64, f64) = (2.5, 5.5);
/// The most sets that a side wins in tennis: a higher score counts games.
const MOST_SETS_WON: f64 = 3.0;

/// Whether the score of the whole game decides a bet, or why not. `part` is the part of the game that the bet is about, if the post
/// names one.
pub(super) fn settles_by_score(pick: &Pick, part: Option<&str>) -> Result<(), String> {
    if let Some(part) = part {
        return Err(format!("it is about a part of the game ({part})"));
    }
    let texts = [&pick.selection, &pick.event, &pick.stat].into_iter().flatten();
    let mut words = texts.flat_map(|text| text.split(|c: char| !c.is_alphanumeric())).map(str::to_lowercase);
    if let Some(word) = words.find(|word| PARTS.contains(&word.as_str())) {
        return Err(format!("it is about a part of the game ({word})"));
    }
    let sport = pick.sport.as_deref().unwrap_or_default();
    if !matches!(pick.kind, PickKind::Spread | PickKind::Total) {
        return Ok(());
    }
    match (&pick.stat, counted_in(sport)) {
        (Some(stat), unit) if unit != Some(stat.as_str()) => {
            return Err(format!("it counts {stat}, but the result only has a score"));
        }
        (None, _) if is_of_sets(pick, sport) => return Err("its line may count sets".into()),
        (_, None) if matches!(sport, "mma" | "boxing" | "golf") => {
            return Err(format!(
                "a score does not decide a {} in {sport}",
                if pick.kind == PickKind::Total { "total" } else { "spread" }
            ));
        }
        _ => {}
    }
    Ok(())
}

/// The unit in which a sport is scored.
fn counted_in(sport: &str) -> Option<&'static str> {
    match sport {
        "nba" | "wnba" | "ncaab" | "nfl" | "ncaaf" => Some("points"),
        "soccer" | "nhl" => Some("goals"),
        "mlb" | "cricket" => Some("runs"),
        "tennis" => Some("games"),
        _ => None,
    }
}

fn is_of_sets(pick: &Pick, sport: &str) -> bool {
    let most = if pick.kind == PickKind::Total { MOST_SETS.1 } else { MOST_SETS.0 };
    sport == "tennis" && pick.line.is_some_and(|line| line.abs() <= most)
}

/// The outcome of a pick in canonical names according to a game, or why there is none.
pub(super) fn outcome(pick: &Pick, game: &GameRow) -> Result<Outcome, String> {
    if game.called_off {
        return Ok(Outcome::CalledOff);
    }
    if pick.kind == PickKind::Prop {
        let named = pick.player.as_deref().unwrap_or_default();
        let found = game.players.iter().find(|(name, _)| plain(name) == plain(named));
        let (name, stats) = found.ok_or_else(|| format!("the result has no statistics of {named}"))?;
        return Ok(Outcome::Player(match stats {
            Some(stats) => PlayerResult { player: name.clone(), played: true, stats: stats.clone() },
            None => PlayerResult::absent(name.clone()),
        }));
    }
    let scores = game.score_first.zip(game.score_second);
    let is_moneyline = pick.kind == PickKind::Moneyline;
    let in_sets = scores.is_some_and(|(first, second)| first.max(second) <= MOST_SETS_WON);
    let scores = match (pick.sport.as_deref().unwrap_or_default(), scores) {
        // A bet in soccer is on one of three results, so a winner is not enough: it may have won in extra time.
        ("soccer", None) => return Err("the result has no scores".into()),
        // The player with more games need not have won the match.
        ("tennis", Some(_)) if is_moneyline && !in_sets && game.winner.is_none() => {
            return Err("the result names no winner, and games do not say who won".into());
        }
        ("tennis", Some(_)) if !is_moneyline && in_sets => {
            return Err("the result has sets, and the bet is on games".into());
        }
        ("mma" | "boxing" | "golf", _) if game.winner.is_none() => return Err("the result names no winner".into()),
        (_, Some(scores)) => scores,
        // Without scores the winner decides a moneyline.
        (_, None) if is_moneyline && game.winner.is_some() => (0.0, 0.0),
        (_, None) => return Err("the result has no scores".into()),
    };
    let result = GameResult::new(game.first.clone(), scores.0, game.second.clone(), scores.1);
    Ok(Outcome::Game(GameResult { winner: game.winner.clone(), ..result }))
}

/// Removes the statistic of a pick if it is the unit of the score: "over 2.5 goals" is over 2.5.
pub(super) fn on_the_score(pick: Pick) -> Pick {
    let unit = pick.sport.as_deref().and_then(counted_in);
    let is_unit =
        matches!(pick.kind, PickKind::Spread | PickKind::Total) && unit.is_some() && pick.stat.as_deref() == unit;
    if is_unit { Pick { stat: None, ..pick } } else { pick }
}

#[cfg(test)]
mod tests {
    use perch_odds::settle::{Grade, grade};

    use super::*;

    fn pick(kind: PickKind, sport: &str, selection: &str, line: Option<f64>, stat: Option<&str>) -> Pick {
        Pick {
            sport: Some(sport.into()),
            selection: Some(selection.into()),
            line,
            side: Some(perch_jobs::Side::Under),
            stat: stat.map(str::to_owned),
            ..Pick::of(kind)
        }
    }

    fn game(sport: &str, scores: Option<(f64, f64)>, winner: Option<&str>) -> GameRow {
        GameRow {
            sport: sport.into(),
            date: "2026-11-21".parse().expect("a day"),
            game: None,
            first: "A".into(),
            second: "B".into(),
            score_first: scores.map(|scores| scores.0),
            score_second: scores.map(|scores| scores.1),
            winner: winner.map(str::to_owned),
            called_off: false,
            finished_at: None,
            players: crate::store::Players::new(),
        }
    }

    #[test]
    fn bets_on_parts_sets_rounds_and_what_no_score_counts_are_left_to_a_person() {
        use PickKind::{Moneyline, Spread, Total};
        for (bet, part) in [
            (pick(Moneyline, "nba", "A", None, None), Some("1h")),
            (pick(Moneyline, "soccer", "A 1st half", None, None), None),
            (pick(Spread, "tennis", "A", Some(1.5), None), None),
            (pick(Spread, "tennis", "A", Some(-4.5), Some("sets")), None),
            (pick(Total, "tennis", "A", Some(2.5), None), None),
            (pick(Total, "mma", "A", Some(2.5), None), None),
            (pick(Total, "boxing", "A", Some(7.5), Some("rounds")), None),
            (pick(Spread, "soccer", "A", Some(-2.5), Some("corners")), None),
        ] {
            assert!(settles_by_score(&bet, part).is_err(), "{bet:?}");
        }
        for bet in [
            pick(Spread, "tennis", "A", Some(-4.5), None),
            pick(Spread, "tennis", "A", Some(-1.5), Some("games")),
            pick(Total, "soccer", "A", Some(2.5), Some("goals")),
            pick(Moneyline, "mma", "A", None, None),
            pick(Spread, "nba", "A", Some(1.5), None),
        ] {
            assert_eq!(settles_by_score(&bet, None), Ok(()), "{bet:?}");
        }
    }

    #[test]
    fn a_result_decides_no_more_than_it_says() {
        let ends =
            |bet: &Pick, game: &GameRow| outcome(bet, game).map(|outcome| grade(bet, &outcome).expect("a grade"));
        let fighter = pick(PickKind::Moneyline, "mma", "A", None, None);
        assert_eq!(ends(&fighter, &game("mma", None, Some("A"))), Ok(Grade::Won));
        assert!(ends(&fighter, &game("mma", Some((0.0, 0.0)), None)).is_err(), "nobody said who won");
        let player = pick(PickKind::Moneyline, "tennis", "A", None, None);
        assert_eq!(ends(&player, &game("tennis", Some((2.0, 1.0)), None)), Ok(Grade::Won));
        assert!(ends(&player, &game("tennis", Some((19.0, 18.0)), None)).is_err());
        assert_eq!(ends(&player, &game("tennis", Some((18.0, 19.0)), Some("A"))), Ok(Grade::Won));
        let games = pick(PickKind::Spread, "tennis", "A", Some(-3.5), None);
        assert!(ends(&games, &game("tennis", Some((2.0, 0.0)), None)).is_err());
        assert_eq!(ends(&games, &game("tennis", Some((12.0, 6.0)), None)), Ok(Grade::Won));
        let club = pick(PickKind::Moneyline, "soccer", "A", None, None);
        assert!(ends(&club, &game("soccer", None, Some("A"))).is_err(), "it may have been by a shoot-out");
        let goals = pick(PickKind::Total, "soccer", "A", Some(2.5), Some("goals"));
        assert_eq!(ends(&on_the_score(goals), &game("soccer", Some((1.0, 1.0)), None)), Ok(Grade::Won));
    }
}
