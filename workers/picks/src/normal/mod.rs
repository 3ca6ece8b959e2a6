//! Canonical spelling for what posts and models write in many ways: sports, teams, players, markets, statistics, stakes, times.
//!
//! [`normalised`] brings a pick into canonical form, so that its [`Pick::identity`] is the same for the same bet, however it is worded.
//! [`terms`] returns what a pick has no field for: the odds as numbers, the stake, the start, the league, the part of the game.

mod location;
mod part;
mod when;
mod who;
mod words;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use perch_jobs::{Bet, ExtractedBets, Parlay, Pick, PickKind, Post, Side};
use perch_odds::Odds;
use serde::{Deserialize, Serialize};

use self::location::PostText;
pub use self::{
    part::PARTS,
    when::starts_at,
    who::{event, player, team},
    words::{league, market, sport, stat, units},
};
pub(crate) use self::{
    who::{meant, opponents},
    words::{is_of_stats, is_sport},
};
use crate::rules::{
    self,
    names::Entity,
    token::{Lexeme, Token},
};

/// The terms of a bet as numbers: what a pick and its post say beyond the fields of the pick. Null where neither says it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BetTerms {
    /// The American odds with their sign: -110.
    pub american: Option<i32>,
    /// The decimal odds to the thousandth: 1.909.
    pub decimal: Option<f64>,
    /// The probability at which the bet breaks even, 0 to 1.
    pub implied: Option<f64>,
    /// The stake in units.
    pub units: Option<f64>,
    /// When the game begins.
    pub starts_at: Option<DateTime<Utc>>,
    /// The league, where the post or the sport of the pick names one: `nba`, `premier league`.
    pub league: Option<String>,
    /// The part of the game that the bet is on, one of [`PARTS`]: `first half`, `first five innings`; null for the whole game. For a
    /// parlay, the parts of its legs, each once, joined by ` + `.
    #[serde(default)]
    pub part: Option<String>,
}

/// An answer with all its picks in canonical form.
pub fn normalised_answer(answer: ExtractedBets, post: &Post) -> ExtractedBets {
    let all = |picks: &[Pick]| picks.iter().map(|pick| normalised(pick, post)).collect();
    let canonical = |bet| match bet {
        Bet::Single(pick) => Bet::Single(normalised(&pick, post)),
        Bet::Parlay(parlay) => Bet::Parlay(Parlay { picks: all(&parlay.picks), ..parlay }),
    };
    ExtractedBets::of(answer.into_bets().into_iter().map(canonical).collect())
}

/// The pick without meaningless values: blank text, a selection beside the player of a prop, "Over" as the selection of a total, the
/// sign of a line of 0.
pub(crate) fn plain(pick: &Pick) -> Pick {
    let text = |field: &Option<String>| {
        let plain = |text: &String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        field.as_ref().map(plain).filter(|text| !text.is_empty())
    };
    let selection = text(&pick.selection).filter(|name| match pick.kind {
        PickKind::Prop => pick.player.as_deref().is_none_or(|player| player.trim().is_empty()),
        PickKind::Total => !words::is_over_or_under(name),
        _ => true,
    });
    Pick {
        kind: pick.kind,
        sport: text(&pick.sport),
        event: text(&pick.event),
        selection,
        line: pick.line.map(|line| if line == 0.0 { 0.0 } else { line }),
        side: pick.side,
        player: text(&pick.player),
        stat: text(&pick.stat),
        odds: text(&pick.odds),
        units: pick.units,
    }
}

/// The same pick in canonical words: sport, full names, statistic. Names that no table knows stay as they are.
///
/// Odds, stake and the order of the opponents stay those of the post.
pub fn normalised(pick: &Pick, post: &Post) -> Pick {
    let pick = plain(pick);
    let named = pick.sport.as_deref().and_then(words::sport);
    let hinted = named.or_else(|| rules::leagues_of(&post.text));
    let league_of = |entity: Option<&Entity>| entity.map(|entity| entity.league);
    let found = pick.selection.as_deref().and_then(|name| who::side(name, hinted));
    let whose = pick.player.as_deref().and_then(|name| who::athlete(name, hinted));
    let pair = pick.event.as_deref().and_then(who::opponents);
    let sides = pair.as_ref().map(|(a, b)| who::both(a, b, hinted));
    let of_event = sides.and_then(|(a, b)| league_of(a).or(league_of(b)));
    let sport = named.or_else(|| league_of(found)).or_else(|| league_of(whose)).or(of_event).or(hinted);
    let stat = pick.stat.as_deref().map(|stat| words::stat(stat).map_or_else(|| stat.to_owned(), ToOwned::to_owned));
    let of_the_game = |stat: &String| pick.kind == PickKind::Total && words::counts_the_game(stat, sport);
    let happens = stat.as_deref().is_some_and(words::happens);
    // "Anytime touchdown over 0.5" is the same bet as "anytime touchdown".
    let asks_whether = happens && pick.side != Some(Side::Under) && pick.line.is_some_and(|line| line <= 0.5);
    let text = PostText::of(post);
    let or_more = says_or_more(&pick, &text);
    let event = match &pair {
        Some((a, b)) => Some(who::event_of(a, b, sport.or(hinted))),
        None => pick.event.clone(),
    };
    let is_draw = |name: &str| who::is_draw(name) && pick.kind == PickKind::Moneyline;
    let full = |name: &str| if is_draw(name) { "Draw".to_owned() } else { who::team(name, sport) };
    let selection = pick.selection.as_deref().map(full);
    // A total of the whole game has no selection. A side is kept as the selection only if the post says that its own points count.
    let one_side = |name: &String| event.as_deref().is_some_and(|event| event.split(" vs ").any(|side| side == name));
    let of_both = |name: &String| pick.kind == PickKind::Total && one_side(name) && !words::says_team_total(&post.text);
    Pick {
        kind: pick.kind,
        sport: sport.map(ToOwned::to_owned).or_else(|| pick.sport.as_ref().map(|sport| sport.to_lowercase())),
        selection: selection.filter(|name| !of_both(name)),
        event,
        line: pick.line.filter(|_| !asks_whether).map(|line| if or_more { line - 0.5 } else { line }),
        side: pick.side.or(or_more.then_some(Side::Over)).filter(|_| !asks_whether),
        player: pick.player.as_deref().map(|name| who::player(name, sport)),
        stat: stat.clone().filter(|stat| !of_the_game(stat)),
        odds: pick.odds,
        units: pick.units,
    }
}

/// Whether the post says that reaching the line wins: "4+ threes", "20 or more points". Such a bet is over 3.5, over 19.5.
fn says_or_more(pick: &Pick, text: &PostText) -> bool {
    let counted = matches!(pick.kind, PickKind::Prop | PickKind::Total) && pick.side != Some(Side::Under);
    let Some(line) = pick.line.filter(|line| counted && *line > 0.0 && line.fract() == 0.0) else { return false };
    let is_line = |token: &Token| matches!(token.lexeme, Lexeme::Number { value, .. } if (value - line).abs() < 1e-9);
    let or_more = |words: &[Token]| {
        let said = |at: usize, word: &str| words.get(at).is_some_and(|t| t.folded == word);
        (0..words.len()).filter(|at| is_line(&words[*at])).any(|at| {
            let plus = matches!(words[at].lexeme, Lexeme::Number { plus: true, .. });
            let least = at > 1 && said(at - 2, "at") && said(at - 1, "least");
            plus || least || (said(at + 1, "or") && said(at + 2, "more"))
        })
    };
    text.locate(pick).is_some_and(|place| or_more(place.words()))
}

/// The identity of a bet. It does not depend on account, spelling, order of the teams, odds or stake.
pub fn identity(pick: &Pick, post: &Post) -> String {
    normalised(pick, post).identity()
}

/// The terms of a pick.
pub fn terms(pick: &Pick, post: &Post) -> BetTerms {
    let (text, odds) = (PostText::of(post), pick.odds.as_deref().and_then(|odds| Odds::parse(odds).ok()));
    BetTerms {
        units: pick.units.or_else(|| units_of(pick, &text)),
        starts_at: when::start_of(pick, &text, post.created_at),
        part: part::part_of(pick, &text).map(ToOwned::to_owned),
        ..of(odds, pick.sport.as_deref(), post)
    }
}

/// The terms of a parlay. It begins with its first game.
pub fn parlay_terms(parlay: &Parlay, post: &Post) -> BetTerms {
    let text = PostText::of(post);
    let own = parlay.odds.as_deref().and_then(|odds| Odds::parse(odds).ok());
    let legs = || {
        let legs: Option<Vec<Odds>> = parlay.picks.iter().map(|leg| Odds::parse(leg.odds.as_deref()?).ok()).collect();
        Odds::parlay(&legs?)
    };
    let mut sports = parlay.picks.iter().map(|leg| leg.sport.as_deref());
    let first = sports.next().flatten();
    let sport = first.filter(|first| sports.all(|sport| sport == Some(*first)));
    let parts: BTreeSet<&str> = parlay.picks.iter().filter_map(|leg| part::part_of(leg, &text)).collect();
    let parts: Vec<&str> = parts.into_iter().collect();
    BetTerms {
        units: words::units(&post.text),
        starts_at: when::first_start(&text, post.created_at),
        part: Some(parts.join(" + ")).filter(|parts| !parts.is_empty()),
        ..of(own.or_else(legs), sport, post)
    }
}

/// The stake that a post names in the words of the pick, on its line if it is the only pick there, or in a heading above it.
fn units_of(pick: &Pick, text: &PostText) -> Option<f64> {
    let place = text.locate(pick)?;
    let line = || place.is_alone().then(|| words::units_in(place.line())).flatten();
    let heading = || place.headings().find_map(words::units_in);
    words::units_in(place.words()).or_else(line).or_else(heading)
}

/// The part of its game that a pick is on according to its post, one of [`PARTS`]; `None` for the whole game.
pub fn part(pick: &Pick, post: &Post) -> Option<&'static str> {
    part::part_of(pick, &PostText::of(post))
}

fn of(odds: Option<Odds>, sport: Option<&str>, post: &Post) -> BetTerms {
    let thousandth = |value: f64| (value * 1_000.0).round() / 1_000.0;
    BetTerms {
        american: odds.map(Odds::american),
        decimal: odds.map(|odds| thousandth(odds.decimal())),
        implied: odds.map(Odds::implied),
        league: words::league_in(&post.text).or_else(|| sport.and_then(words::league)).map(ToOwned::to_owned),
        ..BetTerms::default()
    }
}
