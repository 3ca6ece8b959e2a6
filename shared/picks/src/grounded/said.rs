use std::collections::BTreeSet;

use perch_jobs::{Pick, PickKind, Post};

use crate::{
    odds::Odds,
    rules::{
        lex::{Lexeme, Token, fold, normalise, tokens},
        names::{BOOK, LONGEST, key, key_of},
    },
};

/// What a post says to people: its figures, its words, and whom it names.
pub(super) struct Said {
    pub has_pictures: bool,
    /// Figures without their sign.
    figures: Vec<f64>,
    /// Figures with the sign that stands before them.
    signed: Vec<f64>,
    stakes: Vec<f64>,
    words: BTreeSet<String>,
    /// Full names that a name in the post may mean.
    names: BTreeSet<String>,
}

/// Words that speak to a model, not to people.
const ADDRESSED: [&str; 9] = [
    "system prompt",
    "language model",
    "new instructions",
    "answer with",
    "respond with",
    "your instructions",
    "previous instructions",
    "as an ai",
    "output json",
];
/// Words that tell a model to leave its task, beside one of [`TASK`].
const LEAVE: [&str; 5] = ["ignore", "disregard", "forget", "override", "bypass"];
const TASK: [&str; 7] = ["instruction", "instructions", "prompt", "rules", "previous", "above", "guidelines"];

/// Words of names that many names share.
const COMMON: [&str; 26] = [
    "city", "united", "state", "real", "new", "los", "angeles", "san", "the", "fc", "saint", "st", "club", "college",
    "north", "south", "east", "west", "york", "van", "der", "de", "la", "bay", "jr", "vs",
];

impl Said {
    pub fn of(post: &Post) -> Self {
        let alts = post.media.iter().filter_map(|media| media.alt_text.as_deref());
        let text: Vec<String> = std::iter::once(post.text.as_str()).chain(alts).flat_map(sentences).collect();
        let text = text.join("\n");
        let plain = normalise(&text);
        let tokens = tokens(&plain);
        let stakes = tokens.iter().filter_map(|t| if let Lexeme::Units(units) = t.lexeme { Some(units) } else { None });
        let (figures, signed) = figures(&plain);
        let folded = fold(&plain);
        let words = folded.split(|c: char| !(c.is_alphanumeric() || c == '\'')).map(|word| word.trim_end_matches("'s"));
        Self {
            has_pictures: !post.media.is_empty(),
            figures,
            signed,
            stakes: stakes.collect(),
            words: words.filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect(),
            names: names(&tokens),
        }
    }

    /// What of a pick the post does not say; nothing when it says all.
    pub fn missing(&self, pick: &Pick) -> Option<String> {
        let not_said = |what: &str| Some(format!("the post does not say {what}"));
        if let Some(line) = pick.line.filter(|line| !self.has_line(*line, pick)) {
            return not_said(&format!("the line {line}"));
        }
        if let Some(odds) = pick.odds.as_deref().filter(|odds| !self.has_odds(odds)) {
            return not_said(&format!("the odds {odds}"));
        }
        if let Some(units) = pick.units.filter(|units| !self.has_stake(*units)) {
            return not_said(&format!("a stake of {units} units"));
        }
        for name in [&pick.selection, &pick.player].into_iter().flatten() {
            if !self.has_name(name) {
                return not_said(name);
            }
        }
        let sides = pick.event.as_deref().map(|event| event.split(" vs ").collect::<Vec<_>>()).unwrap_or_default();
        if !sides.is_empty() && !sides.iter().any(|side| self.has_name(side)) {
            return not_said(pick.event.as_deref().unwrap_or_default());
        }
        None
    }

    fn has_figure(&self, value: f64) -> bool {
        self.figures.iter().any(|figure| (figure - value.abs()).abs() < 1e-6)
    }

    fn has_word(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.words.contains(*word))
    }

    /// A spread counts with its sign, where the post writes one.
    fn has_line(&self, line: f64, pick: &Pick) -> bool {
        if line == 0.0 {
            return self.has_figure(0.0) || self.has_word(&["pk", "pick", "pickem", "pick'em", "dnb", "draw"]);
        }
        // "25+" is over 24.5, and what happens at all is over a half.
        let counted = pick.kind == PickKind::Prop && (self.has_figure(line + 0.5) || (line - 0.5).abs() < 1e-9);
        let signed: Vec<f64> =
            self.signed.iter().filter(|figure| (figure.abs() - line.abs()).abs() < 1e-6).copied().collect();
        let sign =
            pick.kind != PickKind::Spread || signed.is_empty() || signed.iter().any(|figure| figure * line > 0.0);
        (self.has_figure(line) && sign) || counted
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

    fn has_name(&self, name: &str) -> bool {
        let folded = fold(name);
        if matches!(folded.as_str(), "draw" | "tie") {
            return self.has_word(&["draw", "tie", "x"]);
        }
        let distinctive = |word: &str| {
            (word.chars().count() > 2 && !COMMON.contains(&word)) || word.chars().any(|c| c.is_ascii_digit())
        };
        let mut words = folded.split(|c: char| !(c.is_alphanumeric() || c == '\''));
        let canonical = BOOK.find(&key_of(name)).iter().map(|c| &BOOK.entities[c.entity].name);
        words.any(|word| distinctive(word) && self.words.contains(word))
            || self.names.contains(name)
            || canonical.into_iter().any(|full| self.names.contains(full))
    }
}

/// The sentences that speak to people.
fn sentences(text: &str) -> Vec<String> {
    let ends = |c: char| matches!(c, '\n' | '!' | '?');
    let parts = text.split(ends).flat_map(|line| line.split(". "));
    parts.filter(|sentence| !speaks_to_a_model(sentence)).map(ToOwned::to_owned).collect()
}

fn speaks_to_a_model(sentence: &str) -> bool {
    let plain = fold(sentence);
    let words: Vec<&str> = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let spaced = words.join(" ");
    let says = |list: &[&str]| words.iter().any(|word| list.contains(word));
    let schema = sentence.contains('{') && sentence.contains("\"type\"");
    schema || ADDRESSED.iter().any(|phrase| spaced.contains(phrase)) || (says(&LEAVE) && says(&TASK))
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

/// The full name of everybody whom some words of the text may mean.
fn names(tokens: &[Token]) -> BTreeSet<String> {
    let windows = (0..tokens.len()).flat_map(|at| (1..=LONGEST.min(tokens.len() - at)).map(move |len| (at, len)));
    windows
        .flat_map(|(at, len)| {
            let key = key(&tokens[at..at + len]);
            BOOK.find(key.strip_suffix("'s").unwrap_or(&key))
        })
        .map(|candidate| BOOK.entities[candidate.entity].name.clone())
        .collect()
}
