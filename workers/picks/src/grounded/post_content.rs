use std::collections::BTreeSet;

use perch_jobs::{Pick, PickKind, Post};
use perch_odds::{Odds, fold};

use super::addressed::to_people;
use crate::{
    normal::{self, is_of_stats, is_sport, meant, opponents, plain},
    rules::{
        lex::{normalise, tokens},
        names::{Entity, LONGEST, NAMES, Role, key},
        token::{Lexeme, Token},
    },
};

/// What a post says: its figures, its words, and the names in it.
pub(super) struct PostContent {
    pub has_pictures: bool,
    /// Figures without their sign.
    figures: Vec<f64>,
    /// Figures that are written with a sign.
    signed: Vec<f64>,
    stakes: Vec<f64>,
    words: BTreeSet<String>,
    /// The words in order, separated by single spaces.
    running: String,
    /// Full names that a name in the post may mean.
    names: BTreeSet<String>,
}

/// The longest name in characters and in words. A longer text is never accepted as a name.
const LONGEST_NAME: (usize, usize) = (40, 6);

/// A part of a pick that the post does not support, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// The text does not say it; a picture may.
    NotInText(String),
    /// It cannot be a name or a statistic at all, whatever says it.
    Implausible(String),
}

/// Words that many names share.
const COMMON: [&str; 26] = [
    "city", "united", "state", "real", "new", "los", "angeles", "san", "the", "fc", "saint", "st", "club", "college",
    "north", "south", "east", "west", "york", "van", "der", "de", "la", "bay", "jr", "vs",
];

fn texts(post: &Post) -> impl Iterator<Item = &str> {
    std::iter::once(post.text.as_str()).chain(post.media.iter().filter_map(|media| media.alt_text.as_deref()))
}

impl PostContent {
    /// The sentences of the post that address people. `has_pictures` says whether the model has seen its pictures.
    pub fn of(post: &Post, has_pictures: bool) -> Self {
        Self::in_text(&texts(post).flat_map(to_people).collect::<Vec<String>>().join("\n"), has_pictures)
    }

    /// All sentences of the post, including those that address a model.
    pub fn to_anybody(post: &Post) -> Self {
        Self::in_text(&texts(post).collect::<Vec<&str>>().join("\n"), false)
    }

    fn in_text(text: &str, has_pictures: bool) -> Self {
        let plain = normalise(text);
        let tokens = tokens(&plain);
        let stakes = tokens.iter().filter_map(|t| if let Lexeme::Units(units) = t.lexeme { Some(units) } else { None });
        let (figures, signed) = figures(&plain);
        let words = words_of(&plain);
        Self {
            has_pictures,
            figures,
            signed,
            stakes: stakes.collect(),
            running: format!(" {} ", words.join(" ")),
            words: words.into_iter().collect(),
            names: names(&tokens),
        }
    }

    /// The pick reduced to what the post says, and what it does not say, if that matters for the bet. A sport, an opponent or the statistic
    /// of a bet on a winner is dropped without a mismatch. A name that no table knows is cut to what the post says of it.
    pub fn read(&self, pick: &Pick) -> (Pick, Option<Mismatch>) {
        let mut read = plain(pick);
        let mismatch =
            self.figures_missing(&read).or_else(|| self.names_missing(&mut read)).or_else(|| self.stat(&mut read));
        read.sport = read.sport.filter(|sport| is_sport(sport) || (is_sane(sport) && self.says(sport)));
        (read, mismatch)
    }

    fn figures_missing(&self, pick: &Pick) -> Option<Mismatch> {
        let not_said = |what: String| Some(Mismatch::NotInText(format!("the post does not say {what}")));
        if let Some(line) = pick.line.filter(|line| !self.has_line(*line, pick)) {
            return not_said(format!("the line {line}"));
        }
        if let Some(odds) = pick.odds.as_deref().filter(|odds| !self.has_odds(odds)) {
            return not_said(format!("the odds {odds}"));
        }
        pick.units
            .filter(|units| !self.has_stake(*units))
            .and_then(|units| not_said(format!("a stake of {units} units")))
    }

    fn names_missing(&self, pick: &mut Pick) -> Option<Mismatch> {
        for name in [&mut pick.selection, &mut pick.player].into_iter().flatten() {
            match self.named(name) {
                Ok(said) => *name = said,
                Err(mismatch) => return Some(mismatch),
            }
        }
        let event = pick.event.take()?;
        let sides = opponents(&event).map_or_else(|| vec![event.clone()], |(a, b)| vec![a, b]);
        let read: Vec<Result<String, Mismatch>> = sides.iter().map(|side| self.named(side)).collect();
        // A bet on one side does not need its opponent, which the model may have guessed.
        let one_sided = pick.selection.is_some() || pick.player.is_some();
        if read.iter().all(Result::is_ok) {
            let said: Vec<String> = read.into_iter().flatten().collect();
            pick.event = Some(if said == sides { event } else { said.join(" vs ") });
            return None;
        }
        if one_sided && !self.has_pictures {
            return None;
        }
        let some = read.iter().any(Result::is_ok);
        let known = |(side, read): (&String, &Result<String, Mismatch>)| match read {
            Err(Mismatch::Implausible(_)) => false,
            Err(Mismatch::NotInText(_)) => !meant(side).is_empty(),
            Ok(_) => true,
        };
        if some && sides.iter().zip(&read).all(known) {
            pick.event = Some(event);
            return None;
        }
        pick.event = Some(event.clone());
        let refused =
            read.into_iter().filter_map(Result::err).find(|mismatch| matches!(mismatch, Mismatch::Implausible(_)));
        refused.or_else(|| Some(Mismatch::NotInText(format!("the post does not say {event}"))))
    }

    fn stat(&self, pick: &mut Pick) -> Option<Mismatch> {
        let stat = pick.stat.take()?;
        if normal::stat(&stat).is_some() || (is_sane(&stat) && (is_of_stats(&stat) || self.says(&stat))) {
            pick.stat = Some(stat);
            return None;
        }
        // A bet on a winner has no statistic.
        if matches!(pick.kind, PickKind::Moneyline | PickKind::Future) {
            return None;
        }
        let reason = format!("the post does not say {}", shortened(&stat));
        let mismatch = if is_sane(&stat) { Mismatch::NotInText(reason) } else { Mismatch::Implausible(reason) };
        pick.stat = Some(stat);
        Some(mismatch)
    }

    fn has_figure(&self, value: f64) -> bool {
        self.figures.iter().any(|figure| (figure - value.abs()).abs() < 1e-6)
    }

    fn has_word(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.words.contains(*word))
    }

    /// Whether the post says the line. A spread must also have the sign that the post writes, if it writes one.
    fn has_line(&self, line: f64, pick: &Pick) -> bool {
        if line == 0.0 {
            return self.has_figure(0.0) || self.has_word(&["pk", "pick", "pickem", "pick'em", "dnb", "draw"]);
        }
        // "25+" is over 24.5, and that something happens at all is over 0.5.
        let counted = pick.kind == PickKind::Prop && (self.has_figure(line + 0.5) || (line - 0.5).abs() < 1e-9);
        let signed: Vec<f64> =
            self.signed.iter().filter(|figure| (figure.abs() - line.abs()).abs() < 1e-6).copied().collect();
        // "Over 2.5, 3.0" is half a bet on each line, which is a bet on 2.75.
        let between = self.figures.windows(2).any(|pair| {
            let apart = (pair[0] - pair[1]).abs() - 0.5;
            apart.abs() < 1e-6 && (f64::midpoint(pair[0], pair[1]) - line.abs()).abs() < 1e-6
        });
        let sign =
            pick.kind != PickKind::Spread || signed.is_empty() || signed.iter().any(|figure| figure * line > 0.0);
        ((self.has_figure(line) || between) && sign) || counted
    }

    pub fn has_odds(&self, written: &str) -> bool {
        let Ok(odds) = Odds::parse(written) else { return false };
        let same = |other: Odds| (other.decimal() - odds.decimal()).abs() < 0.006;
        let signed = self.signed.iter().filter_map(|figure| Odds::from_american(*figure).ok());
        // A price without a sign may be decimal, or American with the sign left out.
        let plain = self.figures.iter().flat_map(|figure| {
            let american = [*figure, -figure].into_iter().filter_map(|figure| Odds::from_american(figure).ok());
            american.chain(Odds::from_decimal(*figure).ok()).chain(Odds::from_decimal(1.0 + figure).ok())
        });
        let fractions = self.figures.windows(2).filter_map(|pair| Odds::from_decimal(1.0 + pair[0] / pair[1]).ok());
        let even = self.has_word(&["ev", "even", "evens"]).then_some(Odds::EVEN);
        let american = written.starts_with(['+', '-']) && !self.signed.is_empty();
        let written_so = self.signed.iter().any(|figure| (figure.abs() - f64::from(odds.american()).abs()).abs() < 0.5);
        if american && written_so {
            // The post writes this price with a sign, so the sign is the post's.
            return signed.chain(even).any(same);
        }
        signed.chain(plain).chain(fractions).chain(even).any(same)
    }

    fn has_stake(&self, units: f64) -> bool {
        let told = self.stakes.iter().any(|stake| (stake - units).abs() < 1e-6);
        let one = (units - 1.0).abs() < 1e-9 && self.has_word(&["one", "unit"]);
        let half = (units - 0.5).abs() < 1e-9 && self.has_word(&["half"]);
        told || self.has_figure(units) || one || half
    }

    /// Whether the post has these words side by side.
    fn says(&self, text: &str) -> bool {
        let words = words_of(&normalise(text));
        !words.is_empty() && self.running.contains(&format!(" {} ", words.join(" ")))
    }

    /// A name, reduced to what the post says of it.
    fn named(&self, name: &str) -> Result<String, Mismatch> {
        let reason = || format!("the post does not say {}", shortened(name));
        if !is_sane(name) {
            return Err(Mismatch::Implausible(reason()));
        }
        let draw = matches!(fold(name).as_str(), "draw" | "tie") && self.has_word(&["draw", "tie", "x"]);
        let meant = meant(name);
        if draw || meant.iter().any(|entity| self.means(entity)) {
            return Ok(name.to_owned());
        }
        if !meant.is_empty() {
            return Err(Mismatch::NotInText(reason()));
        }
        if self.says(name) {
            return Ok(name.to_owned());
        }
        self.cut(name).ok_or_else(|| Mismatch::NotInText(reason()))
    }

    /// Whether the post names an entity of the tables: by one of its names, or by a distinctive word of its full name. For a side, that
    /// word must not be a name in the tables itself.
    fn means(&self, entity: &Entity) -> bool {
        let own = |word: &String| {
            let nobody_else = || entity.role == Role::Player || NAMES.find(word).is_empty();
            is_distinctive(word) && self.words.contains(word) && nobody_else()
        };
        self.names.contains(&entity.name) || words_of(&entity.name).iter().any(own)
    }

    /// The longest part of a name that the post says, such as "Struff" of "Jan-Lennard Struff". A part that means an entity of the tables
    /// does not count.
    fn cut(&self, name: &str) -> Option<String> {
        let pieces: Vec<&str> = name.split_whitespace().collect();
        let parts = (1..pieces.len()).rev().flat_map(|len| pieces.windows(len).map(|part| part.join(" ")));
        let said = |part: &String| self.says(part) && words_of(part).iter().any(|word| is_distinctive(word));
        let part = parts.into_iter().find(said)?;
        let part = part.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
        meant(&part).is_empty().then_some(part)
    }
}

fn is_distinctive(word: &str) -> bool {
    (word.chars().count() > 2 && !COMMON.contains(&word)) || word.chars().any(|c| c.is_ascii_digit())
}

/// Whether a text may be a name: short, of letters, digits and a few signs, and not an address.
fn is_sane(name: &str) -> bool {
    let (letters, words) = LONGEST_NAME;
    let allowed = |c: char| c.is_alphanumeric() || " '’.-&/+()".contains(c);
    let address = |word: &str| {
        word.split_once('.').is_some_and(|(host, rest)| host.chars().count() > 1 && rest.chars().count() > 1)
    };
    name.chars().count() <= letters
        && name.split_whitespace().count() <= words
        && name.chars().all(allowed)
        && !name.contains("//")
        && !name.split_whitespace().any(address)
}

/// The text, shortened for a message.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_NAME.0) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The folded words of a text. "State" and "Saint" become "st".
fn words_of(text: &str) -> Vec<String> {
    let folded = fold(text);
    let words = folded.split(|c: char| !(c.is_alphanumeric() || c == '\'')).map(|word| {
        let word = word.trim_matches('\'');
        word.strip_suffix("'s").unwrap_or(word)
    });
    let short = |word: &str| if matches!(word, "state" | "saint") { "st".to_owned() } else { word.to_owned() };
    words.filter(|word| !word.is_empty()).map(short).collect()
}

/// Every figure of a text without its sign, and those with one.
fn figures(text: &str) -> (Vec<f64>, Vec<f64>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut figures, mut signed) = (Vec::new(), Vec::new());
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let mut at = 0;
    while at < chars.len() {
        let begins = digit(at) || (chars[at] == '.' && digit(at + 1));
        if !begins {
            at += 1;
            continue;
        }
        let from = at;
        let mut point = false;
        while digit(at) || (!point && matches!(chars.get(at), Some('.' | ',')) && digit(at + 1)) {
            point |= !digit(at);
            at += 1;
        }
        let written: String = chars[from..at].iter().map(|c| if *c == ',' { '.' } else { *c }).collect();
        let Ok(value) = written.parse::<f64>() else { continue };
        figures.push(value);
        match from.checked_sub(1).map(|before| chars[before]) {
            Some('+') => signed.push(value),
            Some('-') => signed.push(-value),
            _ => {}
        }
    }
    (figures, signed)
}

/// The full names of all entities that the text may name. Words within a longer name do not count by themselves: "Florida St" does not
/// name Florida.
fn names(tokens: &[Token]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut longest = 0;
    for at in 0..tokens.len() {
        let found = (1..=LONGEST.min(tokens.len() - at)).rev().find_map(|len| {
            let entities = meant_by(&tokens[at..at + len]);
            (!entities.is_empty()).then_some((at + len, entities))
        });
        if let Some((end, entities)) = found.filter(|(end, _)| *end > longest) {
            longest = end;
            names.extend(entities.into_iter().map(|entity| entity.name.clone()));
        }
    }
    names
}

fn meant_by(tokens: &[Token]) -> Vec<&'static Entity> {
    let key = key(tokens);
    let key = key.strip_suffix("'s").unwrap_or(&key);
    let found: Vec<&Entity> = NAMES.find(key).iter().map(|candidate| &NAMES.entities[candidate.entity]).collect();
    match key.strip_suffix(" st") {
        Some(place) if found.is_empty() => {
            NAMES.find(&format!("{place} state")).iter().map(|candidate| &NAMES.entities[candidate.entity]).collect()
        }
        _ => found,
    }
}
