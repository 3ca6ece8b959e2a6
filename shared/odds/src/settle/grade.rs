use std::cmp::Ordering;

use perch_jobs::{Pick, PickKind, Side};

use super::{Competitor, GameResult, Grade, Outcome, PlayerResult, SettleError, kind_name};
use crate::fold;

/// How a pick ended.
///
/// A soccer moneyline is a bet on one of three results: only the scores decide it, whoever advanced by a shoot-out, and a draw loses
/// it. In other sports a draw returns the stake. A line at a quarter (-0.25, 2.75) is two bets of half the stake on the lines next to
/// it. A prop without a line asks whether it happened at all. A future is decided by what a person states.
pub fn grade(pick: &Pick, outcome: &Outcome) -> Result<Grade, SettleError> {
    match outcome {
        Outcome::Stated(grade) => Ok(*grade),
        Outcome::CalledOff => Ok(Grade::Void),
        Outcome::Game(game) => {
            game.check()?;
            of_game(pick, game)
        }
        Outcome::Player(result) => {
            result.check()?;
            of_player(pick, result)
        }
    }
}

fn of_game(pick: &Pick, game: &GameResult) -> Result<Grade, SettleError> {
    is_its_game(pick, game)?;
    match pick.kind {
        PickKind::Moneyline => moneyline(pick, game),
        PickKind::Spread => {
            let (own, other) = sides(selection(pick)?, game)?;
            let line = pick.line.ok_or(SettleError::Incomplete { field: "line" })?;
            Ok(halves(line, |line| (own.score + line).partial_cmp(&other.score)))
        }
        PickKind::Total => total(pick, game),
        PickKind::Prop | PickKind::Future => Err(SettleError::NotDecided {
            kind: kind_name(pick.kind),
            result: "a game",
            advice: match pick.kind {
                PickKind::Prop => "enter what its player did, or state how the bet ended",
                _ => "state how the bet ended",
            },
        }),
    }
}

fn selection(pick: &Pick) -> Result<&str, SettleError> {
    pick.selection.as_deref().ok_or(SettleError::Incomplete { field: "selection" })
}

/// A pick that names its game is not settled by another.
fn is_its_game(pick: &Pick, game: &GameResult) -> Result<(), SettleError> {
    let Some((a, b)) = pick.event.as_deref().and_then(|event| event.split_once(" vs ")) else { return Ok(()) };
    let (first, second) = (game.first.name.as_str(), game.second.name.as_str());
    let played = (same(a, first) && same(b, second)) || (same(a, second) && same(b, first));
    if played { Ok(()) } else { Err(other_game(&format!("{a} vs {b}"), game)) }
}

fn other_game(named: &str, game: &GameResult) -> SettleError {
    SettleError::OtherGame { named: named.to_owned(), first: game.first.name.clone(), second: game.second.name.clone() }
}

/// The side that a pick backs, and the other.
fn sides<'a>(name: &str, game: &'a GameResult) -> Result<(&'a Competitor, &'a Competitor), SettleError> {
    if same(name, &game.first.name) {
        Ok((&game.first, &game.second))
    } else if same(name, &game.second.name) {
        Ok((&game.second, &game.first))
    } else {
        Err(other_game(name, game))
    }
}

fn moneyline(pick: &Pick, game: &GameResult) -> Result<Grade, SettleError> {
    let backed = selection(pick)?;
    let of_three = same(backed, "draw") || pick.sport.as_deref().is_some_and(|sport| same(sport, "soccer"));
    let winner = match &game.winner {
        Some(name) if !of_three => Some(sides(name, game)?.0),
        _ => match game.first.score.partial_cmp(&game.second.score) {
            Some(Ordering::Greater) => Some(&game.first),
            Some(Ordering::Less) => Some(&game.second),
            _ => None,
        },
    };
    if same(backed, "draw") {
        return Ok(if winner.is_none() { Grade::Won } else { Grade::Lost });
    }
    let (own, _) = sides(backed, game)?;
    Ok(match winner {
        Some(winner) if winner == own => Grade::Won,
        Some(_) => Grade::Lost,
        None if of_three => Grade::Lost,
        None => Grade::Push,
    })
}

fn total(pick: &Pick, game: &GameResult) -> Result<Grade, SettleError> {
    if let Some(stat) = &pick.stat {
        return Err(SettleError::NotCounted { stat: stat.clone(), of: "the game".into() });
    }
    let scored = match &pick.selection {
        Some(name) => sides(name, game)?.0.score,
        None => game.first.score + game.second.score,
    };
    let line = pick.line.ok_or(SettleError::Incomplete { field: "line" })?;
    let side = pick.side.ok_or(SettleError::Incomplete { field: "side" })?;
    Ok(over_under(scored, line, side))
}

fn over_under(counted: f64, line: f64, side: Side) -> Grade {
    halves(line, |line| match side {
        Side::Over => counted.partial_cmp(&line),
        Side::Under => line.partial_cmp(&counted),
    })
}

fn of_player(pick: &Pick, result: &PlayerResult) -> Result<Grade, SettleError> {
    if pick.kind != PickKind::Prop {
        return Err(SettleError::NotDecided {
            kind: kind_name(pick.kind),
            result: "a player",
            advice: "enter the result of its game, or state how the bet ended",
        });
    }
    let named = pick.player.as_deref().ok_or(SettleError::Incomplete { field: "player" })?;
    if !same(named, &result.player) {
        return Err(SettleError::OtherPlayer { named: named.to_owned(), player: result.player.clone() });
    }
    if !result.played {
        return Ok(Grade::Void);
    }
    let stat = pick.stat.as_deref().ok_or(SettleError::Incomplete { field: "stat" })?;
    let counted = counted(stat, result)
        .ok_or_else(|| SettleError::NotCounted { stat: stat.to_owned(), of: result.player.clone() })?;
    Ok(match (pick.line, pick.side) {
        (Some(line), Some(side)) => over_under(counted, line, side),
        (Some(_), None) => return Err(SettleError::Incomplete { field: "side" }),
        // Whether it happened: yes, unless the pick says under.
        (None, side) => over_under(counted, 0.5, side.unwrap_or(Side::Over)),
    })
}

/// Statistics that say the same as another once they are counted at all.
const HAPPENED: [(&str, &str); 3] =
    [("anytime touchdown", "touchdowns"), ("anytime goal", "goals"), ("anytime goalscorer", "goals")];

/// What a player has of a statistic: as it stands, or the sum of its parts ("points+assists", "rushing+receiving yards").
fn counted(stat: &str, result: &PlayerResult) -> Option<f64> {
    let of = |name: &str| result.stats.iter().find(|(known, _)| same(known, name)).map(|(_, value)| *value);
    let happened = || of(HAPPENED.iter().find(|(asked, _)| same(asked, stat))?.1);
    let summed = || {
        let parts: Vec<&str> = stat.split('+').map(str::trim).collect();
        let (last, rest) = parts.split_last().filter(|(_, rest)| !rest.is_empty())?;
        let unit = last.split_once(' ').map(|(_, unit)| unit);
        let whole = |part: &str| match unit {
            Some(unit) if !part.contains(' ') => of(&format!("{part} {unit}")),
            _ => of(part),
        };
        rest.iter().chain([last]).map(|part| whole(part)).sum::<Option<f64>>()
    };
    of(stat).or_else(happened).or_else(summed)
}

/// The grade at a line, or of the two lines beside it when it is at a quarter; `beats` compares what was bet on with the
/// other side at one of them.
fn halves(line: f64, beats: impl Fn(f64) -> Option<Ordering>) -> Grade {
    let quarters = line * 4.0;
    let split = (quarters - quarters.round()).abs() < 1e-9 && (quarters.round() % 2.0).abs() > 0.5;
    let lines = if split { [line - 0.25, line + 0.25] } else { [line, line] };
    match lines.map(|line| beats(line).unwrap_or(Ordering::Equal)) {
        [Ordering::Greater, Ordering::Greater] => Grade::Won,
        [Ordering::Less, Ordering::Less] => Grade::Lost,
        [Ordering::Greater, _] | [_, Ordering::Greater] => Grade::HalfWon,
        [Ordering::Less, _] | [_, Ordering::Less] => Grade::HalfLost,
        [Ordering::Equal, Ordering::Equal] => Grade::Push,
    }
}

/// A name as it is compared with others: letters and digits in lower case, without accents.
pub fn plain(name: &str) -> String {
    fold(name).chars().filter(|c| c.is_alphanumeric()).collect()
}

fn same(a: &str, b: &str) -> bool {
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(kind: PickKind) -> Pick {
        Pick::of(kind)
    }

    fn backing(kind: PickKind, selection: &str, line: Option<f64>) -> Pick {
        Pick { selection: Some(selection.into()), line, ..pick(kind) }
    }

    fn over(line: f64) -> Pick {
        Pick { line: Some(line), side: Some(Side::Over), ..pick(PickKind::Total) }
    }

    fn prop(player: &str, stat: &str, line: Option<f64>, side: Option<Side>) -> Pick {
        Pick { player: Some(player.into()), stat: Some(stat.into()), line, side, ..pick(PickKind::Prop) }
    }

    fn game(first: f64, second: f64) -> Outcome {
        Outcome::Game(GameResult::new("Arsenal", first, "Chelsea", second))
    }

    #[test]
    fn a_moneyline_follows_the_winner_and_a_draw_decides_by_the_sport() {
        let arsenal = backing(PickKind::Moneyline, "arsenal", None);
        let soccer = Pick { sport: Some("soccer".into()), ..arsenal.clone() };
        let draw = Pick { selection: Some("Draw".into()), ..soccer.clone() };
        for (score, any, three_way, drawn) in [
            ((2.0, 1.0), Grade::Won, Grade::Won, Grade::Lost),
            ((0.0, 1.0), Grade::Lost, Grade::Lost, Grade::Lost),
            ((1.0, 1.0), Grade::Push, Grade::Lost, Grade::Won),
        ] {
            assert_eq!(grade(&arsenal, &game(score.0, score.1)), Ok(any), "{score:?}");
            assert_eq!(grade(&soccer, &game(score.0, score.1)), Ok(three_way), "{score:?}");
            assert_eq!(grade(&draw, &game(score.0, score.1)), Ok(drawn), "{score:?}");
        }
    }

    #[test]
    fn a_winner_that_the_scores_do_not_tell_is_named() {
        let fight =
            GameResult { winner: Some("Jon Jones".into()), ..GameResult::new("Jon Jones", 0.0, "Stipe Miocic", 0.0) };
        let outcome = Outcome::Game(fight);
        assert_eq!(grade(&backing(PickKind::Moneyline, "Jon Jones", None), &outcome), Ok(Grade::Won));
        assert_eq!(grade(&backing(PickKind::Moneyline, "Stipe Miocic", None), &outcome), Ok(Grade::Lost));
    }

    #[test]
    fn a_shoot_out_decides_no_bet_on_one_of_three_results() {
        let arsenal = backing(PickKind::Moneyline, "Arsenal", None);
        let soccer = Pick { sport: Some("soccer".into()), ..arsenal.clone() };
        let draw = Pick { selection: Some("Draw".into()), ..soccer.clone() };
        let won_by = |name: &str, first, second| {
            let level = GameResult::new("Arsenal", first, "Chelsea", second);
            Outcome::Game(GameResult { winner: Some(name.into()), ..level })
        };
        let shoot_out = won_by("Arsenal", 1.0, 1.0);
        assert_eq!(grade(&soccer, &shoot_out), Ok(Grade::Lost));
        assert_eq!(grade(&draw, &shoot_out), Ok(Grade::Won));
        assert_eq!(grade(&arsenal, &shoot_out), Ok(Grade::Won), "of a sport without draws the winner is who won");
        // Who goes on by both legs of a tie has lost this one.
        assert_eq!(grade(&soccer, &won_by("Arsenal", 0.0, 1.0)), Ok(Grade::Lost));
    }

    #[test]
    fn accents_make_no_other_name() {
        let outcome = Outcome::Game(GameResult::new("Atlético Madrid", 2.0, "Real Betis", 0.0));
        assert_eq!(grade(&backing(PickKind::Moneyline, "Atletico Madrid", None), &outcome), Ok(Grade::Won));
    }

    #[test]
    fn spreads_are_graded_at_whole_half_and_quarter_lines() {
        for (line, by_one, drawn, lost_by_one) in [
            (-0.5, Grade::Won, Grade::Lost, Grade::Lost),
            (0.0, Grade::Won, Grade::Push, Grade::Lost),
            (-1.0, Grade::Push, Grade::Lost, Grade::Lost),
            (1.0, Grade::Won, Grade::Won, Grade::Push),
            (-0.25, Grade::Won, Grade::HalfLost, Grade::Lost),
            (0.25, Grade::Won, Grade::HalfWon, Grade::Lost),
            (-0.75, Grade::HalfWon, Grade::Lost, Grade::Lost),
            (0.75, Grade::Won, Grade::Won, Grade::HalfLost),
            (-1.25, Grade::HalfLost, Grade::Lost, Grade::Lost),
        ] {
            let spread = backing(PickKind::Spread, "Arsenal", Some(line));
            assert_eq!(grade(&spread, &game(2.0, 1.0)), Ok(by_one), "{line}");
            assert_eq!(grade(&spread, &game(1.0, 1.0)), Ok(drawn), "{line}");
            assert_eq!(grade(&spread, &game(0.0, 1.0)), Ok(lost_by_one), "{line}");
        }
    }

    #[test]
    fn totals_are_graded_of_the_game_or_of_one_team() {
        for (line, expected) in
            [(2.5, Grade::Won), (3.0, Grade::Push), (3.5, Grade::Lost), (2.75, Grade::HalfWon), (3.25, Grade::HalfLost)]
        {
            assert_eq!(grade(&over(line), &game(2.0, 1.0)), Ok(expected), "{line}");
        }
        let under = Pick { side: Some(Side::Under), ..over(2.75) };
        assert_eq!(grade(&under, &game(2.0, 1.0)), Ok(Grade::HalfLost));
        let team = Pick { selection: Some("Chelsea".into()), ..over(1.5) };
        assert_eq!(grade(&team, &game(2.0, 1.0)), Ok(Grade::Lost));
    }

    #[test]
    fn a_prop_is_graded_by_what_its_player_did() {
        let scored = |value| Outcome::Player(PlayerResult::new("LeBron James", "points", value));
        let points = prop("LeBron James", "points", Some(25.5), Some(Side::Over));
        assert_eq!(grade(&points, &scored(26.0)), Ok(Grade::Won));
        assert_eq!(grade(&points, &scored(25.0)), Ok(Grade::Lost));
        assert_eq!(grade(&points, &Outcome::Player(PlayerResult::absent("LeBron James"))), Ok(Grade::Void));
    }

    #[test]
    fn a_prop_without_a_line_asks_whether_it_happened() {
        let scored = |value| Outcome::Player(PlayerResult::new("Derrick Henry", "touchdowns", value));
        let anytime = prop("Derrick Henry", "anytime touchdown", None, None);
        assert_eq!(grade(&anytime, &scored(2.0)), Ok(Grade::Won));
        assert_eq!(grade(&anytime, &scored(0.0)), Ok(Grade::Lost));
        let not = Pick { side: Some(Side::Under), ..anytime };
        assert_eq!(grade(&not, &scored(0.0)), Ok(Grade::Won));
    }

    #[test]
    fn a_statistic_of_several_parts_is_their_sum() {
        let stats =
            [("points", 20.0), ("rebounds", 8.0), ("assists", 9.0), ("rushing yards", 40.0), ("receiving yards", 31.0)];
        let stats = stats.map(|(stat, value)| (stat.to_owned(), value)).into_iter().collect();
        let outcome = Outcome::Player(PlayerResult { player: "A B".into(), played: true, stats });
        for (stat, line, expected) in [
            ("points+rebounds+assists", 36.5, Grade::Won),
            ("points+assists", 29.0, Grade::Push),
            ("rushing+receiving yards", 71.5, Grade::Lost),
        ] {
            assert_eq!(grade(&prop("A B", stat, Some(line), Some(Side::Over)), &outcome), Ok(expected), "{stat}");
        }
        let error = grade(&prop("A B", "points+steals", Some(1.5), Some(Side::Over)), &outcome);
        assert!(matches!(error, Err(SettleError::NotCounted { stat, .. }) if stat == "points+steals"));
    }

    #[test]
    fn a_result_of_something_else_settles_nothing_and_says_so() {
        let lakers = backing(PickKind::Spread, "Los Angeles Lakers", Some(-3.5));
        let error = grade(&lakers, &game(1.0, 0.0)).expect_err("another game");
        assert!(error.to_string().contains("Arsenal against Chelsea"), "{error}");
        let elsewhere = Pick { event: Some("Arsenal vs Everton".into()), ..over(2.5) };
        assert!(matches!(grade(&elsewhere, &game(1.0, 0.0)), Err(SettleError::OtherGame { .. })));
        let turned = Pick { event: Some("Chelsea vs Arsenal".into()), ..over(0.5) };
        assert_eq!(grade(&turned, &game(1.0, 0.0)), Ok(Grade::Won));
        let future = backing(PickKind::Future, "Arsenal", None);
        let error = grade(&future, &game(1.0, 0.0)).expect_err("a season is not over");
        assert!(error.to_string().contains("state how the bet ended"), "{error}");
        assert_eq!(grade(&future, &Outcome::Stated(Grade::Won)), Ok(Grade::Won));
        assert!(matches!(grade(&over(2.5), &game(f64::NAN, 0.0)), Err(SettleError::BadNumber { .. })));
        assert_eq!(grade(&lakers, &Outcome::CalledOff), Ok(Grade::Void));
    }

    #[test]
    fn a_word_is_a_grade_in_any_spelling_and_others_are_refused() {
        assert_eq!("Half-Won".parse(), Ok(Grade::HalfWon));
        assert_eq!(" push ".parse(), Ok(Grade::Push));
        let error = "winner".parse::<Grade>().expect_err("no grade");
        assert!(error.to_string().contains("half_lost"), "{error}");
    }
}
