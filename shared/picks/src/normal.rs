//! One way to write what posts and models write in many: sports, teams, players, markets, statistics, stakes, times.
//!
//! [`normalised`] brings a pick into that form, so that [`Pick::identity`] of what comes out is the same for the same bet,
//! whoever words it. [`terms`] says what a pick has no field for: the odds in figures, the stake, the start, the league.

mod when;
mod who;
mod words;

use chrono::{DateTime, Utc};
use perch_jobs::{Answer, Parlay, Pick, PickKind, Post, Side};
use serde::{Deserialize, Serialize};

pub use self::{
    when::starts_at,
    who::{event, player, team},
    words::{league, market, sport, stat, units},
};
use crate::{
    odds::Odds,
    rules::{self, names::Entity},
};

/// What a pick says beyond its fields, in figures. What neither the pick nor its post says is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// The odds as Americans write them, with their sign: -110.
    pub american: Option<i32>,
    /// The odds as decimals, to the thousandth: 1.909.
    pub decimal: Option<f64>,
    /// The probability at which the bet breaks even, 0 to 1.
    pub implied: Option<f64>,
    /// The stake in units.
    pub units: Option<f64>,
    /// When the game begins.
    pub starts_at: Option<DateTime<Utc>>,
    /// The league, where the post or the sport of the pick names one: `nba`, `premier league`.
    pub league: Option<String>,
}

/// An answer with all its picks in canonical form.
pub fn normalised_answer(answer: Answer, post: &Post) -> Answer {
    let all = |picks: Vec<Pick>| picks.iter().map(|pick| normalised(pick, post)).collect();
    match answer {
        Answer::Nothing(()) => Answer::Nothing(()),
        Answer::One(pick) => Answer::One(normalised(&pick, post)),
        Answer::Several(picks) => Answer::Several(all(picks)),
        Answer::Parlay(parlay) => Answer::Parlay(Parlay { picks: all(parlay.picks), ..parlay }),
    }
}

/// The same pick in canonical words: sport, full names, statistic. Names that no table knows stay as they are.
///
/// Odds, stake and the order of the opponents stay those of the post.
pub fn normalised(pick: &Pick, post: &Post) -> Pick {
    let named = pick.sport.as_deref().and_then(words::sport);
    let hinted = named.or_else(|| rules::leagues_of(&post.text));
    let league_of = |entity: Option<&Entity>| entity.map(|entity| entity.league);
    let found = pick.selection.as_deref().and_then(|name| who::side(name, hinted));
    let whose = pick.player.as_deref().and_then(|name| who::athlete(name, hinted));
    let pair = pick.event.as_deref().and_then(who::opponents);
    let sides = pair.as_ref().map(|(a, b)| who::both(a, b, hinted));
    let of_event = sides.and_then(|(a, b)| league_of(a).or(league_of(b)));
    let sport = named.or_else(|| league_of(found)).or_else(|| league_of(whose)).or(of_event).or(hinted);
    let plain = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = |field: &Option<String>| field.as_ref().map(plain).filter(|text| !text.is_empty());
    let stat = pick.stat.as_deref().and_then(words::stat).map(ToOwned::to_owned).or_else(|| text(&pick.stat));
    let happens = stat.as_deref().is_some_and(words::happens);
    // "Anytime touchdown over 0.5" asks what "anytime touchdown" asks.
    let asks_whether = happens && pick.side != Some(Side::Under) && pick.line.is_some_and(|line| line <= 0.5);
    Pick {
        kind: pick.kind,
        sport: sport.map(ToOwned::to_owned).or_else(|| text(&pick.sport).map(|sport| sport.to_lowercase())),
        event: match &pair {
            Some((a, b)) => Some(who::event_of(a, b, sport.or(hinted))),
            None => text(&pick.event),
        },
        selection: match pick.selection.as_deref() {
            Some(name) if who::is_draw(name) && pick.kind == PickKind::Moneyline => Some("Draw".to_owned()),
            Some(name) => Some(who::team(name, sport)),
            None => None,
        },
        line: pick.line.filter(|_| !asks_whether),
        side: pick.side.filter(|_| !asks_whether),
        player: pick.player.as_deref().map(|name| who::player(name, sport)),
        stat,
        odds: text(&pick.odds),
        units: pick.units,
    }
}

/// What makes a pick the same bet as another, whoever words it: account, spelling, order of the teams, odds and stake make
/// no difference.
pub fn identity(pick: &Pick, post: &Post) -> String {
    normalised(pick, post).identity()
}

/// The terms of a pick.
pub fn terms(pick: &Pick, post: &Post) -> Terms {
    of(pick.odds.as_deref(), pick.units, pick.sport.as_deref(), post)
}

/// The terms of a parlay.
pub fn parlay_terms(parlay: &Parlay, post: &Post) -> Terms {
    let own = parlay.odds.as_deref().and_then(|odds| Odds::parse(odds).ok());
    let legs = || {
        let legs: Option<Vec<Odds>> = parlay.picks.iter().map(|leg| Odds::parse(leg.odds.as_deref()?).ok()).collect();
        Odds::parlay(&legs?)
    };
    let odds = own.or_else(legs).map(Odds::decimal).map(|decimal| decimal.to_string());
    let mut sports = parlay.picks.iter().map(|leg| leg.sport.as_deref());
    let first = sports.next().flatten();
    let sport = first.filter(|first| sports.all(|sport| sport == Some(*first)));
    of(odds.as_deref(), None, sport, post)
}

fn of(odds: Option<&str>, stake: Option<f64>, sport: Option<&str>, post: &Post) -> Terms {
    let odds = odds.and_then(|odds| Odds::parse(odds).ok());
    let thousandth = |value: f64| (value * 1_000.0).round() / 1_000.0;
    Terms {
        american: odds.map(Odds::american),
        decimal: odds.map(|odds| thousandth(odds.decimal())),
        implied: odds.map(Odds::implied),
        units: stake.or_else(|| words::units(&post.text)),
        starts_at: when::starts_at(&post.text, post.created_at),
        league: words::league_in(&post.text).or_else(|| sport.and_then(words::league)).map(ToOwned::to_owned),
    }
}
