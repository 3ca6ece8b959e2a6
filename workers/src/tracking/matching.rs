//! Which results decide which picks. Decisions only; no I/O.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use perch_jobs::{Pick, PickKind};
use perch_picks::settle::{GameResult, Grade, Outcome, PlayerResult, grade};
use perch_store::{GameRow, PickBody, TrackedPick};

use super::stakes::whole;

/// A pick is about a game of the week after its post.
const WITHIN: TimeDelta = TimeDelta::days(8);
/// The day of a post where its game is played: posts of the small hours in UTC are about the evening of the day before.
const NIGHT: TimeDelta = TimeDelta::hours(6);

/// The results that are known, by the names in them.
#[derive(Debug, Default)]
pub(super) struct Games {
    rows: Vec<GameRow>,
    by_name: HashMap<String, Vec<usize>>,
}

impl Games {
    /// Of two results of one game the later in the list counts.
    pub fn new(rows: impl IntoIterator<Item = GameRow>) -> Self {
        let mut latest: HashMap<(String, String, NaiveDate), GameRow> = HashMap::new();
        for row in rows {
            latest.insert((row.sport.clone(), row.event(), row.date), row);
        }
        let mut rows: Vec<GameRow> = latest.into_values().collect();
        rows.sort_by_key(|row| (row.date, row.finished_at));
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            let names = [&row.first, &row.second].into_iter().chain(row.players.keys());
            for name in names {
                let places = by_name.entry(plain(name)).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            }
        }
        Self { rows, by_name }
    }

    /// What is known of how a pick ended that was not known before: its grade once it is decided, and those of its legs.
    pub fn decide(&self, tracked: &TrackedPick) -> Option<(Option<Grade>, Vec<Option<Grade>>)> {
        match &tracked.pick {
            PickBody::Single(pick) => {
                let grade = self.grade(pick, tracked.posted_at)?;
                Some((Some(grade), Vec::new()))
            }
            PickBody::Parlay(parlay) => {
                let known = |leg: usize| tracked.legs.get(leg).copied().flatten();
                let legs: Vec<Option<Grade>> = (parlay.picks.iter().enumerate())
                    .map(|(leg, pick)| known(leg).or_else(|| self.grade(pick, tracked.posted_at)))
                    .collect();
                let is_new = (0..legs.len()).any(|leg| legs[leg] != known(leg));
                is_new.then(|| (whole(&legs), legs))
            }
        }
    }

    /// The grade by the first game after the post that decides the pick.
    fn grade(&self, pick: &Pick, posted_at: DateTime<Utc>) -> Option<Grade> {
        let name = match pick.kind {
            PickKind::Prop => pick.player.as_deref()?,
            PickKind::Future => return None,
            _ => event(pick).map(|(first, _)| first).or(pick.selection.as_deref())?,
        };
        let first_day = (posted_at - NIGHT).date_naive();
        let candidates = self.by_name.get(&plain(name))?.iter().map(|at| &self.rows[*at]);
        candidates
            .filter(|game| game.date >= first_day && game.date <= first_day + WITHIN)
            .filter(|game| game.finished_at.is_none_or(|finished| finished > posted_at))
            .filter(|game| pick.sport.as_deref().is_none_or(|sport| sport.eq_ignore_ascii_case(&game.sport)))
            .filter(|game| is_about(pick, game))
            .find_map(|game| grade(pick, &outcome(pick, game)?).ok())
    }
}

/// Whether a pick is about this game. One that names neither its game nor a side of it is about none that is known.
fn is_about(pick: &Pick, game: &GameRow) -> bool {
    let sides = [plain(&game.first), plain(&game.second)];
    match (event(pick), &pick.selection) {
        (Some((first, second)), _) => {
            let mut named = [plain(first), plain(second)];
            named.sort();
            let mut sides = sides;
            sides.sort();
            named == sides
        }
        (None, Some(selection)) if pick.kind != PickKind::Prop => sides.contains(&plain(selection)),
        (None, _) => pick.kind == PickKind::Prop,
    }
}

fn event(pick: &Pick) -> Option<(&str, &str)> {
    pick.event.as_deref()?.split_once(" vs ")
}

fn outcome(pick: &Pick, game: &GameRow) -> Option<Outcome> {
    if game.called_off {
        return Some(Outcome::CalledOff);
    }
    if pick.kind == PickKind::Prop {
        let player = plain(pick.player.as_deref()?);
        let (name, stats) = game.players.iter().find(|(name, _)| plain(name) == player)?;
        return Some(Outcome::Player(match stats {
            Some(stats) => PlayerResult { player: name.clone(), played: true, stats: stats.clone() },
            None => PlayerResult::absent(name.clone()),
        }));
    }
    // Where nobody counted points the winner alone decides, which is enough for a moneyline.
    let (first, second) = match (game.score_first, game.score_second) {
        (Some(first), Some(second)) => (first, second),
        _ if pick.kind == PickKind::Moneyline && game.winner.is_some() => (0.0, 0.0),
        _ => return None,
    };
    let result = GameResult::new(game.first.clone(), first, game.second.clone(), second);
    Some(Outcome::Game(GameResult { winner: game.winner.clone(), ..result }))
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use perch_jobs::Side;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("tests write valid times")
    }

    fn pick(kind: PickKind) -> Pick {
        Pick {
            kind,
            sport: Some("nba".into()),
            event: None,
            selection: None,
            line: None,
            side: None,
            player: None,
            stat: None,
            odds: None,
            units: None,
        }
    }

    fn moneyline(selection: &str) -> Pick {
        Pick { selection: Some(selection.into()), ..pick(PickKind::Moneyline) }
    }

    fn game(date: &str, first: &str, second: &str, scores: Option<(f64, f64)>) -> GameRow {
        GameRow {
            sport: "nba".into(),
            date: date.parse().expect("a day"),
            first: first.into(),
            second: second.into(),
            score_first: scores.map(|scores| scores.0),
            score_second: scores.map(|scores| scores.1),
            winner: None,
            called_off: false,
            finished_at: None,
            players: BTreeMap::new(),
        }
    }

    fn lakers(date: &str, scores: (f64, f64)) -> GameRow {
        game(date, "Los Angeles Lakers", "Utah Jazz", Some(scores))
    }

    #[test]
    fn a_pick_is_decided_by_the_first_game_after_its_post_and_by_none_of_another_week() {
        let won_then_lost = [
            lakers("2026-11-20", (90.0, 99.0)),
            lakers("2026-11-23", (99.0, 90.0)),
            lakers("2026-11-25", (90.0, 99.0)),
        ];
        let games = Games::new(won_then_lost);
        let own = moneyline("los angeles lakers");
        assert_eq!(games.grade(&own, at("2026-11-21T15:00:00Z")), Some(Grade::Won));
        assert_eq!(games.grade(&own, at("2026-11-24T15:00:00Z")), Some(Grade::Lost));
        assert_eq!(games.grade(&own, at("2026-11-26T15:00:00Z")), None);
        assert_eq!(games.grade(&own, at("2026-11-01T15:00:00Z")), None);
        // At two in the morning in UTC it is still the evening of the game day in America.
        assert_eq!(games.grade(&own, at("2026-11-26T02:00:00Z")), Some(Grade::Lost));
    }

    #[test]
    fn a_post_after_the_end_of_a_game_is_about_the_next_one() {
        let over = GameRow { finished_at: Some(at("2026-11-23T20:00:00Z")), ..lakers("2026-11-23", (99.0, 90.0)) };
        let games = Games::new([over]);
        assert_eq!(games.grade(&moneyline("Los Angeles Lakers"), at("2026-11-23T19:00:00Z")), Some(Grade::Won));
        assert_eq!(games.grade(&moneyline("Los Angeles Lakers"), at("2026-11-23T21:00:00Z")), None);
    }

    #[test]
    fn a_pick_of_another_sport_another_game_or_no_game_at_all_is_left_open() {
        let games = Games::new([lakers("2026-11-23", (99.0, 90.0))]);
        let posted = at("2026-11-23T15:00:00Z");
        let of = |pick: Pick| games.grade(&pick, posted);
        assert_eq!(of(Pick { sport: Some("nfl".into()), ..moneyline("Los Angeles Lakers") }), None);
        assert_eq!(of(Pick { sport: None, ..moneyline("Los Angeles Lakers") }), Some(Grade::Won));
        let event = Some("Los Angeles Lakers vs Boston Celtics".to_owned());
        assert_eq!(of(Pick { event, ..moneyline("Los Angeles Lakers") }), None);
        let total = Pick { line: Some(180.5), side: Some(Side::Over), ..pick(PickKind::Total) };
        assert_eq!(of(total.clone()), None, "it names no game");
        assert_eq!(of(Pick { event: Some("Utah Jazz vs Los Angeles Lakers".into()), ..total }), Some(Grade::Won));
        assert_eq!(of(Pick { selection: Some("Los Angeles Lakers".into()), ..pick(PickKind::Future) }), None);
    }

    #[test]
    fn a_prop_is_decided_by_what_its_player_did_and_void_when_the_player_did_not_play() {
        let mut played = lakers("2026-11-23", (99.0, 90.0));
        played.players.insert("LeBron James".into(), Some(BTreeMap::from([("points".to_owned(), 27.0)])));
        played.players.insert("Anthony Davis".into(), None);
        let games = Games::new([played]);
        let of = |name: &str, stat: &str| {
            let line = Pick { line: Some(25.5), side: Some(Side::Over), ..pick(PickKind::Prop) };
            let prop = Pick { player: Some(name.into()), stat: Some(stat.into()), ..line };
            games.grade(&prop, at("2026-11-23T15:00:00Z"))
        };
        assert_eq!(of("lebron james", "points"), Some(Grade::Won));
        assert_eq!(of("LeBron James", "rebounds"), None);
        assert_eq!(of("Anthony Davis", "points"), Some(Grade::Void));
        assert_eq!(of("Nobody Else", "points"), None);
    }

    #[test]
    fn a_game_that_was_called_off_voids_and_one_without_scores_is_decided_by_its_winner_alone() {
        let posted = at("2026-11-23T15:00:00Z");
        let off = GameRow { called_off: true, ..game("2026-11-23", "A", "B", None) };
        assert_eq!(Games::new([off]).grade(&moneyline("A"), posted), Some(Grade::Void));
        let fight = GameRow { winner: Some("B".into()), ..game("2026-11-23", "A", "B", None) };
        let games = Games::new([fight]);
        assert_eq!(games.grade(&moneyline("A"), posted), Some(Grade::Lost));
        let spread = Pick { line: Some(1.5), selection: Some("A".into()), ..pick(PickKind::Spread) };
        assert_eq!(games.grade(&spread, posted), None);
    }
}
