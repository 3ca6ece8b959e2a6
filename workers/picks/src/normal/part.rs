//! Bets on a part of a game: halves, quarters, periods, the first innings; and bets counted in sets, rounds or maps.

use perch_jobs::{Pick, PickKind};

use super::location::PostText;
use crate::rules::token::{Lexeme, Token};

/// Every part that a bet may be on, in canonical words. The last four are about the whole game: `sets`, `rounds` and `maps` say what
/// the line counts, `regulation` says that overtime does not count.
pub const PARTS: [&str; 24] = [
    "first half",
    "second half",
    "first quarter",
    "second quarter",
    "third quarter",
    "fourth quarter",
    "first period",
    "second period",
    "third period",
    "first inning",
    "first three innings",
    "first five innings",
    "first seven innings",
    "first set",
    "second set",
    "third set",
    "first round",
    "first map",
    "second map",
    "third map",
    "sets",
    "rounds",
    "maps",
    "regulation",
];

/// The short forms of parts in posts. The first entry that matches counts.
const WORDS: [(&str, &[&str]); 20] = [
    ("first half", &["1h", "h1", "fh"]),
    ("second half", &["2h", "h2"]),
    ("first quarter", &["1q", "q1"]),
    ("second quarter", &["2q", "q2"]),
    ("third quarter", &["3q", "q3"]),
    ("fourth quarter", &["4q", "q4"]),
    ("first period", &["1p", "p1"]),
    ("second period", &["2p", "p2"]),
    ("third period", &["3p", "p3"]),
    ("first inning", &["nrfi", "yrfi", "1st inn", "first inn"]),
    ("first three innings", &["f3", "first 3 innings", "1st 3 innings", "first three"]),
    ("first five innings", &["f5", "first 5", "1st 5", "first five", "1st five", "5 inning", "5 innings", "first5"]),
    ("first seven innings", &["f7", "first 7 innings", "1st 7 innings"]),
    ("first map", &["map 1"]),
    ("second map", &["map 2"]),
    ("third map", &["map 3"]),
    ("first set", &["set 1"]),
    ("second set", &["set 2"]),
    ("third set", &["set 3"]),
    ("regulation", &["regulation", "reg time", "60 min", "60 minutes", "60 minute", "60-min", "60-minute", "3-way"]),
];

const ORDINALS: [(&str, &[&str]); 4] = [
    ("first", &["first", "1st"]),
    ("second", &["second", "2nd"]),
    ("third", &["third", "3rd"]),
    ("fourth", &["fourth", "4th"]),
];
const UNITS: [(&str, &[&str]); 7] = [
    ("half", &["half"]),
    ("quarter", &["quarter", "qtr"]),
    ("period", &["period", "per"]),
    ("inning", &["inning"]),
    ("set", &["set"]),
    ("map", &["map"]),
    ("round", &["round"]),
];
/// Phrases for a bet on the whole game.
const WHOLE: [&str; 6] = ["full game", "full match", "whole game", "fullgame", "full time", "fg"];

/// Which part of a game some words name.
#[derive(Clone, Copy)]
enum PartMention {
    Whole,
    Part(&'static str),
}

/// The part of its game that a pick is on: named by the words about it in the post, by the label of its line, or by a heading above.
/// `None` for the whole game.
pub(super) fn part_of(pick: &Pick, text: &PostText) -> Option<&'static str> {
    let sport = pick.sport.as_deref();
    let said = text.locate(pick).and_then(|place| {
        let own = says(place.words(), sport).or_else(|| says(place.label()?, sport));
        own.or_else(|| place.headings().find_map(|heading| says(heading, sport)))
            .or_else(|| counts(place.words(), pick))
    });
    match said {
        Some(PartMention::Part(part)) => Some(part),
        // A total of a fight can only count rounds.
        None if pick.kind == PickKind::Total && is_fight(sport) => Some("rounds"),
        Some(PartMention::Whole) | None => None,
    }
}

fn is_fight(sport: Option<&str>) -> bool {
    matches!(sport, Some("mma" | "boxing"))
}

fn says(tokens: &[Token], sport: Option<&str>) -> Option<PartMention> {
    let words: Vec<&str> = tokens
        .iter()
        .filter(|t| matches!(t.lexeme, Lexeme::Word | Lexeme::Number { signed: false, .. }))
        .map(|t| t.folded.as_str())
        .collect();
    let spaced = format!(" {} ", words.join(" "));
    let has = |phrase: &str| spaced.contains(&format!(" {phrase} "));
    if WHOLE.iter().any(|phrase| has(phrase)) {
        return Some(PartMention::Whole);
    }
    let minutes = has("minutes") || has("min");
    let listed = WORDS.iter().find(|(part, phrases)| {
        // "First five minutes" does not mean innings.
        let innings = part.ends_with("innings") && minutes;
        !innings && phrases.iter().any(|phrase| has(phrase))
    });
    let listed = listed.map(|(part, _)| *part);
    listed.or_else(|| PARTS.into_iter().find(|part| is_spelled(part, &has, sport))).map(PartMention::Part)
}

/// Whether the words spell out a part: "1st half", "second quarter". "Round 1" counts in fights and golf only; in other sports a round is
/// a stage of a tournament.
fn is_spelled(part: &str, has: &impl Fn(&str) -> bool, sport: Option<&str>) -> bool {
    let Some((ordinal, unit)) = part.split_once(' ') else { return false };
    let known = |table: &[(&str, &'static [&'static str])], word: &str| {
        table.iter().find(|(name, _)| *name == word).map_or(&[][..], |(_, words)| *words)
    };
    if unit == "round" && !is_fight(sport) && sport != Some("golf") {
        return false;
    }
    let (ordinals, units) = (known(&ORDINALS, ordinal), known(&UNITS, unit));
    let pairs = || ordinals.iter().flat_map(|ordinal| units.iter().map(move |unit| format!("{ordinal} {unit}")));
    pairs().any(|phrase| has(&phrase)) || (part == "first round" && has("round 1"))
}

/// What the line of a spread or a total counts, if it counts sets, rounds or maps.
fn counts(tokens: &[Token], pick: &Pick) -> Option<PartMention> {
    let lined = matches!(pick.kind, PickKind::Spread | PickKind::Total);
    let word = |word: &str| tokens.iter().any(|t| t.folded == word) || pick.stat.as_deref() == Some(word);
    ["sets", "rounds", "maps"].into_iter().find(|counted| lined && word(counted)).map(PartMention::Part)
}
