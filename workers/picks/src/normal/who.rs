use std::{collections::HashMap, sync::LazyLock};

use super::words;
use crate::rules::names::{Candidate, Entity, NAMES, Role, key_of};

/// Words around the name of a club that add no meaning.
const AFFIXES: [&str; 9] = ["fc", "cf", "afc", "sc", "ac", "ssc", "club", "the", "cfc"];
/// Separators between two opponents.
const LINKS: [&str; 12] =
    [" vs. ", " vs ", " v. ", " v ", " versus ", " @ ", " at ", " against ", " / ", " - ", " – ", " x "];
/// Leagues whose teams are colleges.
const COLLEGE: [&str; 2] = ["ncaab", "ncaaf"];
/// Words that may follow the name of a team and still mean the same team, by group and key of the team.
static FOLLOWERS: LazyLock<HashMap<(&str, String), Vec<String>>> = LazyLock::new(|| {
    let rows = include_str!("../../data/mascots.txt").lines().filter(|line| !line.starts_with('#'));
    let read = |row: &'static str| {
        let mut columns = row.split('|').map(str::trim);
        let (group, name, more) = (columns.next()?, columns.next()?, columns.next()?);
        Some(((group, key_of(name)), more.split(',').map(key_of).collect()))
    };
    rows.filter_map(read).collect()
});

/// The team or competitor that a name means, within a sport if one is known. `None` if the name is ambiguous.
pub(super) fn side(name: &str, sport: Option<&str>) -> Option<&'static Entity> {
    only(&sides(name, sport))
}

/// The player that a name means. `None` if the name is ambiguous.
pub(super) fn athlete(name: &str, sport: Option<&str>) -> Option<&'static Entity> {
    only(&athletes(name, sport))
}

/// All entities that a name may mean, in any sport.
pub(crate) fn meant(name: &str) -> Vec<&'static Entity> {
    [sides(name, None), athletes(name, None)].concat()
}

fn only(entities: &[&'static Entity]) -> Option<&'static Entity> {
    match entities {
        [only] => Some(only),
        _ => None,
    }
}

fn sides(name: &str, sport: Option<&str>) -> Vec<&'static Entity> {
    let (sport, key) = (league_word(sport), key_of(name));
    let wanted = |candidate: &Candidate| NAMES.entities[candidate.entity].role == Role::Side;
    let words: Vec<&str> = key.split(' ').collect();
    let bare: Vec<&str> = words.iter().filter(|word| !AFFIXES.contains(word)).copied().collect();
    let whole = [words.join(" "), bare.join(" ")].into_iter().map(|key| readings(&key, sport, wanted));
    let longer = (1..=words.len()).rev().map(|n| followed(&words[..n], &words[n..].join(" "), sport, wanted));
    whole.chain(longer).find(|found| !found.is_empty()).unwrap_or_default()
}

/// The teams named by the first words and followed only by one of their own mascots: "Duke Blue Devils", "Michigan St. Spartans".
/// "Michigan State" does not mean Michigan, and "Arsenal Women" does not mean Arsenal.
fn followed(
    words: &[&str],
    rest: &str,
    sport: Option<&str>,
    wanted: impl Fn(&Candidate) -> bool + Copy,
) -> Vec<&'static Entity> {
    let mut found = readings(&words.join(" "), sport, wanted);
    if let Some(state) = with_state(words) {
        found.extend(readings(&state, sport, wanted).into_iter().filter(|team| is_college(team)));
    }
    let own = |team: &Entity| {
        let group = if is_college(team) { "college" } else { team.league };
        FOLLOWERS.get(&(group, key_of(&team.name))).is_some_and(|mascots| mascots.iter().any(|own| own == rest))
    };
    found.retain(|team| rest.is_empty() || own(team));
    found
}

/// "michigan st" as "michigan state"; `None` for "st john's".
fn with_state(words: &[&str]) -> Option<String> {
    match words {
        [place @ .., "st"] if !place.is_empty() => Some(format!("{} state", place.join(" "))),
        _ => None,
    }
}

fn is_college(entity: &Entity) -> bool {
    COLLEGE.contains(&entity.league)
}

fn athletes(name: &str, sport: Option<&str>) -> Vec<&'static Entity> {
    let person = |candidate: &Candidate| {
        let entity = &NAMES.entities[candidate.entity];
        entity.role == Role::Player || matches!(entity.league, "tennis" | "mma" | "boxing" | "golf")
    };
    readings(&key_of(name), league_word(sport), person)
}

/// The league in the tables that a word for a sport means; `None` if the word fits several leagues.
fn league_word(sport: Option<&str>) -> Option<&str> {
    sport.and_then(words::one_league)
}

/// The entities of a key, within a league if one is known. Entities with that exact name are preferred to those whose place or last name
/// it is, unless the former are all colleges and no league is known: then all of them are returned.
fn readings(key: &str, league: Option<&str>, wanted: impl Fn(&Candidate) -> bool) -> Vec<&'static Entity> {
    let entity = |candidate: &Candidate| &NAMES.entities[candidate.entity];
    let of_league = |candidate: &&Candidate| league.is_none_or(|league| entity(candidate).league == league);
    let all: Vec<&Candidate> = NAMES.find(key).iter().filter(|c| wanted(c)).filter(of_league).collect();
    let strong: Vec<&Candidate> = all.iter().filter(|c| !c.weak).copied().collect();
    let contested = strong.len() < all.len() && strong.iter().all(|c| is_college(entity(c)));
    let chosen = if contested && league.is_none() || strong.is_empty() { all } else { strong };
    chosen.into_iter().map(entity).collect()
}

/// The two opponents. If one name is ambiguous, the league of the other decides.
pub(super) fn both(a: &str, b: &str, sport: Option<&str>) -> (Option<&'static Entity>, Option<&'static Entity>) {
    let (first, second) = (side(a, sport), side(b, sport));
    let league = |entity: Option<&'static Entity>| entity.map(|entity| entity.league);
    match (first, second) {
        (None, Some(known)) => (side(a, Some(known.league)), second),
        (Some(known), None) => (first, side(b, Some(known.league))),
        (Some(_), Some(_)) if league(first) != league(second) => {
            let agreeing = side(b, league(first)).map(|b| (first, Some(b)));
            agreeing.or_else(|| side(a, league(second)).map(|a| (Some(a), second))).unwrap_or((first, second))
        }
        _ => (first, second),
    }
}

/// The full canonical name of a team or competitor: "LA Clippers" is `Los Angeles Clippers`, "Atlético Madrid" is `Atletico Madrid`. A
/// name that the tables do not know is kept, with single spaces. `sport` may be any word for a sport.
pub fn team(name: &str, sport: Option<&str>) -> String {
    agreed(&sides(name, sport)).unwrap_or_else(|| as_written(name, sport))
}

/// The full canonical name of a player. A name that the tables do not know is kept, with single spaces.
pub fn player(name: &str, sport: Option<&str>) -> String {
    agreed(&athletes(name, sport)).unwrap_or_else(|| plain(name))
}

/// The name that all entities share: "Michigan State" is the same in every sport of the college.
fn agreed(entities: &[&'static Entity]) -> Option<String> {
    let (first, rest) = entities.split_first()?;
    rest.iter().all(|other| other.name == first.name).then(|| first.name.clone())
}

/// A name that no table knows, with single spaces. For a college, "St" at the end becomes "State".
fn as_written(name: &str, sport: Option<&str>) -> String {
    let name = plain(name);
    let college = league_word(sport).is_some_and(|league| COLLEGE.contains(&league));
    let place = [" St.", " St", " st.", " st"].iter().find_map(|state| name.strip_suffix(state));
    match place.filter(|_| college) {
        Some(place) => format!("{place} State"),
        None => name,
    }
}

fn plain(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn is_draw(name: &str) -> bool {
    matches!(key_of(name).as_str(), "draw" | "tie" | "x" | "the draw" | "the tie")
}

/// The two names of a text such as "Knicks @ Heat".
pub(crate) fn opponents(text: &str) -> Option<(String, String)> {
    let text = plain(text);
    let lower = text.to_lowercase();
    // Lower case may change the length of rare letters, so that positions differ; then the text is searched as written.
    let haystack = if lower.len() == text.len() { &lower } else { &text };
    let linked = LINKS.iter().find_map(|link| haystack.find(link).map(|at| (at, at + link.len())));
    let slash = || haystack.find('/').map(|at| (at, at + 1));
    let (end, start) = linked.or_else(slash)?;
    let (a, b) = (text.get(..end)?.trim(), text.get(start..)?.trim());
    (!a.is_empty() && !b.is_empty()).then(|| (a.to_owned(), b.to_owned()))
}

pub(super) fn event_of(a: &str, b: &str, sport: Option<&str>) -> String {
    let (first, second) = both(a, b, sport);
    let name = |entity: Option<&Entity>, written: &str| {
        entity.map_or_else(|| team(written, sport), |entity| entity.name.clone())
    };
    format!("{} vs {}", name(first, a), name(second, b))
}

/// "A vs B" with full names in the order given; `None` if the text does not name two opponents.
pub fn event(text: &str, sport: Option<&str>) -> Option<String> {
    opponents(text).map(|(a, b)| event_of(&a, &b, sport))
}
