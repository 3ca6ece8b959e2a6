//! Matches results with picks and decides the picks. Decisions only; no I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use perch_jobs::{Pick, PickKind};
use perch_odds::settle::{AssumedTerms, Grade, grade, plain};

use super::{
    by_score::{on_the_score, outcome, settles_by_score},
    names,
    stakes::whole,
};
use crate::store::{GameRow, PickBody, TrackedPick};

/// How far the day in America is behind UTC: a post in the first hours of a UTC day is about the evening of the day before.
const NIGHT: TimeDelta = TimeDelta::hours(6);
/// The longest time from the start of a game to its end.
pub(super) const LONGEST: TimeDelta = TimeDelta::hours(8);

/// How many days after its post a game may be. A short time prevents that the next game is taken for one whose result is missing: sides
/// that play every day have one day, and more if the pick names both sides.
fn days_ahead(sport: &str, names_both: bool) -> TimeDelta {
    TimeDelta::days(match (sport, names_both) {
        ("mma" | "boxing" | "golf", _) => 8,
        ("mlb", _) | ("nba" | "wnba" | "nhl" | "ncaab" | "tennis", false) => 1,
        ("nba" | "wnba" | "nhl" | "ncaab", true) => 2,
        ("nfl" | "ncaaf", _) | (_, true) => 6,
        (_, false) => 3,
    })
}

/// The known results, indexed by the names in them.
#[derive(Debug, Default)]
pub(super) struct Games {
    rows: Vec<GameRow>,
    given: BTreeSet<usize>,
    by_name: HashMap<String, Vec<usize>>,
}

/// When a pick was posted, and what its post says about its game.
#[derive(Debug, Clone, Copy)]
struct PickContext<'a> {
    posted_at: DateTime<Utc>,
    starts_at: Option<DateTime<Utc>>,
    part: Option<&'a str>,
}

/// What the results decide about one bet.
#[derive(Debug, Clone, PartialEq)]
enum BetDecision {
    /// No result is about it.
    Nothing,
    /// There are results of its game, but they do not decide it.
    Undecided { why: String, of_several: bool },
    /// Its grade, and when its game ended.
    Ended(Grade, DateTime<Utc>),
}

/// What the results decide about a pick.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PickDecision {
    /// The grades of the pick and of its legs; `None` if nothing is decided.
    pub grades: Option<(Option<Grade>, Vec<Option<Grade>>)>,
    /// When its game was over; for a parlay, the first of its legs that was decided.
    pub over_at: Option<DateTime<Utc>>,
    /// Why it, or one of its legs, is not decided although there is a result.
    pub why: Option<String>,
    /// The results that are about it, by index.
    pub by: BTreeSet<usize>,
}

impl Games {
    /// Indexes the known results and the new ones, which override them. Both have canonical names.
    pub fn new(known: impl IntoIterator<Item = GameRow>, given: impl IntoIterator<Item = GameRow>) -> Self {
        let key = |row: &GameRow| (row.date, row.game.unwrap_or(1), row.sport.clone(), row.event());
        let mut latest: BTreeMap<_, (GameRow, bool)> = BTreeMap::new();
        let known = known.into_iter().map(|row| (row, false));
        for (row, is_given) in known.chain(given.into_iter().map(|row| (row, true))) {
            let row = match latest.remove(&key(&row)) {
                Some((before, _)) => merged(before, row),
                None => row,
            };
            latest.insert(key(&row), (row, is_given));
        }
        let mut games = Self::default();
        for (at, (row, is_given)) in latest.into_values().enumerate() {
            let names: BTreeSet<String> =
                [&row.first, &row.second].into_iter().chain(row.players.keys()).map(|n| plain(n)).collect();
            for name in names {
                games.by_name.entry(name).or_default().push(at);
            }
            games.given.extend(is_given.then_some(at));
            games.rows.push(row);
        }
        games
    }

    /// Whether one of these results is new.
    pub fn are_given(&self, by: &BTreeSet<usize>) -> bool {
        !self.given.is_disjoint(by)
    }

    /// The new results that are not among these.
    pub fn given_besides(&self, used: &BTreeSet<usize>) -> Vec<&GameRow> {
        self.given.difference(used).map(|at| &self.rows[*at]).collect()
    }

    /// What the results decide about a pick. Graded legs keep their grade, unless the pick is judged `anew`: then results override the
    /// known grades.
    pub fn decide(&self, tracked: &TrackedPick, anew: bool, assumed: &AssumedTerms) -> PickDecision {
        let mut decision = PickDecision::default();
        let part = tracked.part.as_deref();
        let mut starts_at = tracked.terms.as_ref().and_then(|terms| terms.starts_at);
        // A post names one start, but the legs of a parlay have several.
        starts_at = starts_at.filter(|_| matches!(tracked.pick, PickBody::Single(_)));
        let named = PickContext { posted_at: tracked.posted_at, starts_at, part };
        match &tracked.pick {
            PickBody::Single(pick) => {
                let was_graded = anew && tracked.grade.is_some();
                match self.decide_bet(pick, &named, &mut decision.by) {
                    BetDecision::Ended(grade, over_at) => {
                        decision.grades = Some((Some(grade), Vec::new()));
                        decision.over_at = Some(over_at);
                    }
                    BetDecision::Undecided { why, of_several } => {
                        decision.grades = (was_graded && of_several).then(|| (None, Vec::new()));
                        decision.why = Some(why);
                    }
                    BetDecision::Nothing => {}
                }
            }
            PickBody::Parlay(parlay) => {
                let known = |leg: usize| tracked.legs.get(leg).copied().flatten();
                let mut legs = Vec::with_capacity(parlay.picks.len());
                for (leg, pick) in parlay.picks.iter().enumerate() {
                    let kept = known(leg).filter(|_| !anew);
                    let by_results =
                        kept.map_or_else(|| self.decide_bet(pick, &named, &mut decision.by), |_| BetDecision::Nothing);
                    legs.push(match by_results {
                        BetDecision::Ended(grade, over_at) => {
                            decision.over_at = Some(decision.over_at.map_or(over_at, |earlier| earlier.min(over_at)));
                            Some(grade)
                        }
                        BetDecision::Undecided { why, of_several } => {
                            decision.why.get_or_insert(format!("leg {}: {why}", leg + 1));
                            known(leg).filter(|_| !of_several)
                        }
                        BetDecision::Nothing => known(leg),
                    });
                }
                let is_new = (0..legs.len()).any(|leg| legs[leg] != known(leg));
                decision.grades = is_new.then(|| (whole(parlay, &legs, assumed), legs));
            }
        }
        decision
    }

    /// Decides a bet by the first game after the post, or the one at the start that the post names. If that game does not decide it, no
    /// later game is used instead.
    fn decide_bet(&self, pick: &Pick, named: &PickContext<'_>, by: &mut BTreeSet<usize>) -> BetDecision {
        let candidates = self.candidates(pick, named);
        let Some(first) = candidates.first().map(|(at, _)| self.rows[*at].date) else { return BetDecision::Nothing };
        let mut of_day: Vec<_> = candidates.into_iter().take_while(|(at, _)| self.rows[*at].date == first).collect();
        // Of several games on one day, use the one that ended first after the start.
        if named.starts_at.is_some() && of_day.iter().all(|(at, _)| self.rows[*at].finished_at.is_some()) {
            of_day.sort_by_key(|(at, _)| self.rows[*at].finished_at);
            of_day.truncate(1);
        }
        by.extend(of_day.iter().map(|(at, _)| *at));
        let decided: Result<Vec<(Grade, DateTime<Utc>)>, String> = (of_day.iter())
            .map(|(at, pick)| Ok((graded(pick, &self.rows[*at], named.part)?, over_at(&self.rows[*at]))))
            .collect();
        match decided.as_deref() {
            Ok([(first, over), rest @ ..]) if rest.iter().all(|(grade, _)| grade == first) => {
                BetDecision::Ended(*first, rest.iter().map(|(_, at)| *at).fold(*over, DateTime::min))
            }
            Err(why) if of_day.len() == 1 => BetDecision::Undecided { why: why.clone(), of_several: false },
            _ => {
                let why = format!("{} of its games are known on {first}; say how it ended", of_day.len());
                BetDecision::Undecided { why, of_several: true }
            }
        }
    }

    /// The games that a bet may be about, in order, each with the bet in the canonical names of its sport.
    fn candidates(&self, pick: &Pick, named: &PickContext<'_>) -> Vec<(usize, Pick)> {
        let names_both = event(pick).is_some();
        let name = match (pick.kind, event(pick)) {
            (PickKind::Future, _) => return Vec::new(),
            (_, Some((first, _))) => Some(first),
            (PickKind::Prop, None) => pick.player.as_deref(),
            (_, None) => pick.selection.as_deref(),
        };
        let Some(name) = name else { return Vec::new() };
        let sport = pick.sport.as_deref().map(names::sport);
        let of = |name: &str| self.by_name.get(&plain(name)).into_iter().flatten().copied();
        let full = [names::side(name, sport.as_deref()), crate::normal::player(name, sport.as_deref())];
        let places: BTreeSet<usize> = of(name).chain(full.iter().flat_map(|name| of(name))).collect();
        let first_day = (named.posted_at - NIGHT).date_naive();
        let last_day = |sport: &str| named.posted_at.date_naive() + days_ahead(sport, names_both);
        // Indexes are ordered by day, and by number of the game.
        let mut found = Vec::new();
        for at in places {
            let game = &self.rows[at];
            let in_time = match named.starts_at {
                Some(starts_at) => is_at(game, starts_at),
                None => (first_day..=last_day(&game.sport)).contains(&game.date),
            };
            let is_open = game.finished_at.is_none_or(|finished| finished > named.posted_at);
            if in_time && is_open && sport.as_ref().is_none_or(|sport| *sport == game.sport) {
                let pick = names::of_pick(pick, &game.sport);
                if is_about(&pick, game) {
                    found.push((at, pick));
                }
            }
        }
        found
    }
}

/// Merges two results of a game; the later one overrides the earlier.
fn merged(before: GameRow, row: GameRow) -> GameRow {
    let mut players = before.players;
    players.extend(row.players);
    GameRow { players, finished_at: row.finished_at.or(before.finished_at), ..row }
}

/// Whether a game began at that time.
fn is_at(game: &GameRow, starts_at: DateTime<Utc>) -> bool {
    match game.finished_at {
        Some(finished) => finished > starts_at && finished <= starts_at + LONGEST,
        None => game.date == (starts_at - NIGHT).date_naive(),
    }
}

/// When a game was over: at its end, or if that is unknown, after the night following its day.
fn over_at(game: &GameRow) -> DateTime<Utc> {
    let next_day: NaiveDate = game.date.succ_opt().unwrap_or(game.date);
    game.finished_at.unwrap_or_else(|| next_day.and_time(chrono::NaiveTime::MIN).and_utc() + NIGHT)
}

/// The grade of a bet by the result of its game, or why there is none.
fn graded(pick: &Pick, game: &GameRow, part: Option<&str>) -> Result<Grade, String> {
    settles_by_score(pick, part)?;
    grade(&on_the_score(pick.clone()), &outcome(pick, game)?).map_err(|error| error.to_string())
}

/// Whether a pick is about this game. A pick that names neither an event nor a side, except a prop, matches no game.
fn is_about(pick: &Pick, game: &GameRow) -> bool {
    let sides = BTreeSet::from([plain(&game.first), plain(&game.second)]);
    match (event(pick), &pick.selection) {
        (Some((first, second)), _) => sides == BTreeSet::from([plain(first), plain(second)]),
        (None, Some(selection)) if pick.kind != PickKind::Prop => sides.contains(&plain(selection)),
        (None, _) => pick.kind == PickKind::Prop,
    }
}

fn event(pick: &Pick) -> Option<(&str, &str)> {
    pick.event.as_deref()?.split_once(" vs ")
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
        Pick { sport: Some("nba".into()), ..Pick::of(kind) }
    }

    fn moneyline(selection: &str) -> Pick {
        Pick { selection: Some(selection.into()), ..pick(PickKind::Moneyline) }
    }

    fn game(date: &str, first: &str, second: &str, scores: Option<(f64, f64)>) -> GameRow {
        GameRow {
            sport: "nba".into(),
            date: date.parse().expect("a day"),
            game: None,
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

    fn games<const N: usize>(rows: [GameRow; N]) -> Games {
        Games::new([], rows.map(names::of_game))
    }

    /// What the results decide about a bet that was posted then.
    fn says(games: &Games, pick: &Pick, posted_at: &str) -> BetDecision {
        let named = PickContext { posted_at: at(posted_at), starts_at: None, part: None };
        games.decide_bet(pick, &named, &mut BTreeSet::new())
    }

    fn ended(games: &Games, pick: &Pick, posted_at: &str) -> Option<Grade> {
        if let BetDecision::Ended(grade, _) = says(games, pick, posted_at) { Some(grade) } else { None }
    }

    fn lakers(date: &str, scores: (f64, f64)) -> GameRow {
        game(date, "Los Angeles Lakers", "Utah Jazz", Some(scores))
    }

    #[test]
    fn a_pick_is_decided_by_the_first_game_after_its_post_and_by_none_that_is_later_than_its_sport_plays() {
        let games = games([
            lakers("2026-11-20", (90.0, 99.0)),
            lakers("2026-11-22", (99.0, 90.0)),
            lakers("2026-11-25", (90.0, 99.0)),
        ]);
        let own = moneyline("los angeles lakers");
        assert_eq!(ended(&games, &own, "2026-11-21T15:00:00Z"), Some(Grade::Won));
        assert_eq!(ended(&games, &own, "2026-11-24T15:00:00Z"), Some(Grade::Lost));
        assert_eq!(ended(&games, &own, "2026-11-26T15:00:00Z"), None);
        assert_eq!(ended(&games, &own, "2026-11-23T15:00:00Z"), None, "the result of its game is missing");
        // At two in the morning in UTC it is still the evening of the game day in America.
        assert_eq!(ended(&games, &own, "2026-11-26T02:00:00Z"), Some(Grade::Lost));
        let both = Pick { event: Some("Utah Jazz vs Los Angeles Lakers".into()), ..own };
        assert_eq!(ended(&games, &both, "2026-11-23T15:00:00Z"), Some(Grade::Lost), "it names both sides");
    }

    #[test]
    fn a_game_that_does_not_decide_a_pick_is_not_passed_over_for_the_next_one() {
        let mut first = lakers("2026-11-23", (99.0, 90.0));
        first.players.insert("LeBron James".into(), Some(BTreeMap::from([("assists".to_owned(), 9.0)])));
        let mut next = lakers("2026-11-24", (90.0, 99.0));
        next.players.insert("LeBron James".into(), Some(BTreeMap::from([("points".to_owned(), 40.0)])));
        let unscored = GameRow { winner: Some("Somebody else".into()), ..first.clone() };
        let points =
            Pick { line: Some(25.5), side: Some(Side::Over), stat: Some("points".into()), ..pick(PickKind::Prop) };
        let points = Pick { player: Some("LeBron James".into()), ..points };
        let BetDecision::Undecided { why, of_several: false } =
            says(&games([first, next.clone()]), &points, "2026-11-23T15:00:00Z")
        else {
            panic!("the first game says nothing of points")
        };
        assert!(why.contains("points of LeBron James"), "{why}");
        let own = moneyline("Los Angeles Lakers");
        assert!(matches!(says(&games([unscored, next]), &own, "2026-11-23T15:00:00Z"), BetDecision::Undecided { .. }));
    }

    #[test]
    fn a_pick_that_says_when_its_game_begins_is_about_that_game() {
        let games = games([lakers("2026-11-23", (90.0, 99.0)), lakers("2026-11-24", (99.0, 90.0))]);
        let own = moneyline("Los Angeles Lakers");
        let at_time = |starts_at: &str| {
            let posted_at = at("2026-11-23T15:00:00Z");
            let named = PickContext { posted_at, starts_at: Some(at(starts_at)), part: None };
            games.decide_bet(&own, &named, &mut BTreeSet::new())
        };
        assert!(matches!(at_time("2026-11-25T01:00:00Z"), BetDecision::Ended(Grade::Won, _)));
        assert!(matches!(at_time("2026-11-24T01:00:00Z"), BetDecision::Ended(Grade::Lost, _)));
        assert_eq!(at_time("2026-11-26T01:00:00Z"), BetDecision::Nothing);
    }

    #[test]
    fn two_games_of_one_day_decide_a_pick_that_names_neither_only_where_they_agree() {
        let noon = GameRow { finished_at: Some(at("2026-07-04T20:00:00Z")), ..lakers("2026-07-04", (5.0, 3.0)) };
        let night = GameRow {
            game: Some(2),
            finished_at: Some(at("2026-07-05T02:00:00Z")),
            ..lakers("2026-07-04", (2.0, 6.0))
        };
        let games = games([noon, night]);
        let own = moneyline("Los Angeles Lakers");
        let BetDecision::Undecided { why, of_several: true } = says(&games, &own, "2026-07-04T15:00:00Z") else {
            panic!("it may be about either")
        };
        assert!(why.contains("2 of its games are known on 2026-07-04"), "{why}");
        assert_eq!(ended(&games, &own, "2026-07-04T21:00:00Z"), Some(Grade::Lost), "the first was over");
        let total = Pick {
            line: Some(7.5),
            side: Some(Side::Over),
            event: Some("Utah Jazz vs Lakers".into()),
            ..pick(PickKind::Total)
        };
        assert_eq!(ended(&games, &total, "2026-07-04T15:00:00Z"), Some(Grade::Won), "both have eight");
        let (posted_at, starts_at) = (at("2026-07-04T15:00:00Z"), Some(at("2026-07-04T17:00:00Z")));
        let named = PickContext { posted_at, starts_at, part: None };
        assert!(matches!(games.decide_bet(&own, &named, &mut BTreeSet::new()), BetDecision::Ended(Grade::Won, _)));
    }

    #[test]
    fn a_post_after_the_end_of_a_game_is_about_the_next_one() {
        let over = GameRow { finished_at: Some(at("2026-11-23T20:00:00Z")), ..lakers("2026-11-23", (99.0, 90.0)) };
        let games = games([over]);
        let own = moneyline("Los Angeles Lakers");
        let decided = BetDecision::Ended(Grade::Won, at("2026-11-23T20:00:00Z"));
        assert_eq!(says(&games, &own, "2026-11-23T19:00:00Z"), decided);
        assert_eq!(says(&games, &own, "2026-11-23T21:00:00Z"), BetDecision::Nothing);
    }

    #[test]
    fn names_are_known_in_any_spelling() {
        let game = |sport: &str, first: &str, second: &str| GameRow {
            sport: sport.into(),
            winner: None,
            ..game("2026-11-23", first, second, Some((2.0, 1.0)))
        };
        let games = games([
            game("EPL", "Atlético Madrid", "Real Betis"),
            game("nba", "LA Clippers", "Utah Jazz"),
            game("nhl", "Örebro Ünited", "Färjestad"),
        ]);
        let of = |sport: &str, name: &str| Pick { sport: Some(sport.into()), ..moneyline(name) };
        for own in [of("soccer", "Atletico Madrid"), of("nba", "Los Angeles Clippers"), of("hockey", "Orebro United")] {
            assert_eq!(ended(&games, &own, "2026-11-23T15:00:00Z"), Some(Grade::Won), "{own:?}");
        }
        let winner = GameRow { winner: Some("Lakers".into()), score_first: None, ..lakers("2026-11-23", (0.0, 0.0)) };
        let by_winner = self::games([winner]);
        assert_eq!(ended(&by_winner, &moneyline("Los Angeles Lakers"), "2026-11-23T15:00:00Z"), Some(Grade::Won));
    }

    #[test]
    fn a_pick_of_another_sport_another_game_or_no_game_at_all_is_left_open() {
        let games = games([lakers("2026-11-23", (99.0, 90.0))]);
        let of = |pick: Pick| ended(&games, &pick, "2026-11-23T15:00:00Z");
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
        played.players.insert("LeBron James".into(), Some(BTreeMap::from([("pts".to_owned(), 27.0)])));
        played.players.insert("Anthony Davis".into(), None);
        let games = games([played]);
        let of = |name: &str, stat: &str| {
            let line = Pick { line: Some(25.5), side: Some(Side::Over), ..pick(PickKind::Prop) };
            let prop = Pick { player: Some(name.into()), stat: Some(stat.into()), ..line };
            ended(&games, &prop, "2026-11-23T15:00:00Z")
        };
        assert_eq!(of("lebron james", "points"), Some(Grade::Won));
        assert_eq!(of("LeBron James", "rebounds"), None);
        assert_eq!(of("Anthony Davis", "points"), Some(Grade::Void));
        assert_eq!(of("Nobody Else", "points"), None);
    }

    #[test]
    fn a_game_that_was_called_off_voids_and_one_without_scores_is_decided_by_its_winner_alone() {
        let posted = "2026-11-23T15:00:00Z";
        let off = GameRow { called_off: true, ..game("2026-11-23", "A", "B", None) };
        assert_eq!(ended(&games([off]), &moneyline("A"), posted), Some(Grade::Void));
        let won = GameRow { winner: Some("B".into()), ..game("2026-11-23", "A", "B", None) };
        let games = games([won]);
        assert_eq!(ended(&games, &moneyline("A"), posted), Some(Grade::Lost));
        let spread = Pick { line: Some(1.5), selection: Some("A".into()), ..pick(PickKind::Spread) };
        assert_eq!(ended(&games, &spread, posted), None);
    }
}
