use crate::rules::names::{BOOK, Candidate, Entity, Role, key_of};

/// Words around the name of a club that say nothing more.
const AFFIXES: [&str; 9] = ["fc", "cf", "afc", "sc", "ac", "ssc", "club", "the", "cfc"];
/// What stands between two opponents.
const LINKS: [&str; 12] =
    [" vs. ", " vs ", " v. ", " v ", " versus ", " @ ", " at ", " against ", " / ", " - ", " – ", " x "];

/// The team or competitor that a name means, in a sport if one is known. Nothing where several are meant by it.
pub(super) fn side(name: &str, sport: Option<&str>) -> Option<&'static Entity> {
    let key = key_of(name);
    let words: Vec<&str> = key.split(' ').collect();
    let bare: Vec<&str> = words.iter().filter(|word| !AFFIXES.contains(word)).copied().collect();
    let wanted = |candidate: &Candidate| BOOK.entities[candidate.entity].role == Role::Side;
    find(&key, sport, wanted)
        .or_else(|| find(&bare.join(" "), sport, wanted))
        .or_else(|| longer(&words, sport?, wanted))
}

/// "Duke Blue Devils", "Brighton & Hove Albion": the name goes on after what the book has, in sports whose teams go by
/// their first words.
fn longer(words: &[&str], sport: &str, wanted: impl Fn(&Candidate) -> bool + Copy) -> Option<&'static Entity> {
    let first = |n: usize| find(&words[..n].join(" "), Some(sport), wanted);
    matches!(sport, "ncaab" | "ncaaf" | "soccer").then(|| (1..words.len()).rev().find_map(first)).flatten()
}

/// The player that a name means.
pub(super) fn athlete(name: &str, sport: Option<&str>) -> Option<&'static Entity> {
    let person = |candidate: &Candidate| {
        let entity = &BOOK.entities[candidate.entity];
        entity.role == Role::Player || matches!(entity.league, "tennis" | "mma" | "boxing" | "golf")
    };
    find(&key_of(name), sport, person)
}

/// The entity of a key: of the sport, if one is known, and the only one left.
fn find(key: &str, sport: Option<&str>, wanted: impl Fn(&Candidate) -> bool) -> Option<&'static Entity> {
    let all: Vec<&Candidate> = BOOK.find(key).iter().filter(|c| wanted(c)).collect();
    let of_sport: Vec<&Candidate> = match sport {
        Some(sport) => all.into_iter().filter(|c| BOOK.entities[c.entity].league == sport).collect(),
        None => all,
    };
    let strong: Vec<&Candidate> = of_sport.iter().filter(|c| !c.weak).copied().collect();
    match (strong.as_slice(), of_sport.as_slice()) {
        ([only], _) | ([], [only]) => Some(&BOOK.entities[only.entity]),
        _ => None,
    }
}

/// Two opponents: where one of the names means several teams, the other tells which.
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

/// The full canonical name of a team or competitor; a name that the book does not know stays, without doubled spaces.
pub fn team(name: &str, sport: Option<&str>) -> String {
    side(name, sport).map_or_else(|| plain(name), |entity| entity.name.clone())
}

/// The full name of a player.
pub fn player(name: &str, sport: Option<&str>) -> String {
    athlete(name, sport).map_or_else(|| plain(name), |entity| entity.name.clone())
}

fn plain(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn is_draw(name: &str) -> bool {
    matches!(key_of(name).as_str(), "draw" | "tie" | "x" | "the draw" | "the tie")
}

/// "Knicks @ Heat" as its two names.
pub(super) fn opponents(text: &str) -> Option<(String, String)> {
    let text = plain(text);
    let lower = text.to_lowercase();
    // Lower case may change the length of exotic letters; then the text is split as it stands.
    let haystack = if lower.len() == text.len() { &lower } else { &text };
    let linked = LINKS.iter().find_map(|link| haystack.find(link).map(|at| (at, at + link.len())));
    let slash = || haystack.find('/').map(|at| (at, at + 1));
    let (end, start) = linked.or_else(slash)?;
    let (a, b) = (text.get(..end)?.trim(), text.get(start..)?.trim());
    (!a.is_empty() && !b.is_empty()).then(|| (a.to_owned(), b.to_owned()))
}

pub(super) fn event_of(a: &str, b: &str, sport: Option<&str>) -> String {
    let (first, second) = both(a, b, sport);
    let name = |entity: Option<&Entity>, written: &str| entity.map_or_else(|| plain(written), |e| e.name.clone());
    format!("{} vs {}", name(first, a), name(second, b))
}

/// "A vs B" with full names in the order given; nothing for a text that names no two opponents.
pub fn event(text: &str, sport: Option<&str>) -> Option<String> {
    opponents(text).map(|(a, b)| event_of(&a, &b, sport))
}
