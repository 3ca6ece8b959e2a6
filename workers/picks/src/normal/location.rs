//! Locates a pick in its post: its line, and the words of that line that are about this pick only.

use std::ops::Range;

use perch_jobs::{Pick, PickKind, Post};
use perch_odds::Odds;

use super::who;
use crate::rules::{
    lex::{normalise, tokens},
    names::{LONGEST, NAMES, key, key_of},
    token::{Lexeme, Token},
};

/// The words of a post, line by line.
pub(super) struct PostText {
    lines: Vec<PostLine>,
}

/// A line with the names in it.
struct PostLine {
    tokens: Vec<Token>,
    names: Vec<Range<usize>>,
}

/// Where a pick is in its post.
pub(super) struct PickLocation<'a> {
    text: &'a PostText,
    line: usize,
    part: Range<usize>,
    /// The other lines that name the side or player of the pick.
    same: Vec<usize>,
}

/// The longest line that may be a heading, in words.
const LONGEST_HEADING: usize = 4;
/// Words between two opponents: the name after them does not begin another pick.
const LINKS: [&str; 9] = ["vs", "v", "versus", "@", "at", "against", "over", "/", "x"];

/// The words of a text, with "7p.m." as "7pm".
pub(super) fn words(text: &str) -> Vec<Token> {
    tokens(&normalise(&text.replace("p.m.", "pm").replace("a.m.", "am")))
}

impl PostText {
    pub fn of(post: &Post) -> Self {
        let alts = post.media.iter().filter_map(|media| media.alt_text.as_deref());
        let texts = std::iter::once(post.text.as_str()).chain(alts).flat_map(str::lines);
        let lines = texts.map(words).filter(|tokens| !tokens.is_empty());
        Self { lines: lines.map(|tokens| PostLine { names: names(&tokens), tokens }).collect() }
    }

    /// Every line of the post.
    pub fn lines(&self) -> impl Iterator<Item = &[Token]> {
        self.lines.iter().map(|line| line.tokens.as_slice())
    }

    /// Locates a pick: the words that match most of it. `None` if no words match.
    pub fn locate(&self, pick: &Pick) -> Option<PickLocation<'_>> {
        let wanted = PickMatcher::of(pick);
        let mut best: Option<(u32, PickLocation)> = None;
        for (line, of_line) in self.lines.iter().enumerate() {
            for part in pieces(of_line) {
                let score = wanted.score(of_line, &part);
                if score > best.as_ref().map_or(1, |(best, _)| *best) {
                    best = Some((score, PickLocation { text: self, line, part, same: Vec::new() }));
                }
            }
        }
        let (_, place) = best?;
        let names = |line: &PostLine| wanted.named(line, &(0..line.tokens.len())).next().is_some();
        let same = (0..self.lines.len()).filter(|at| *at != place.line && names(&self.lines[*at])).collect();
        Some(PickLocation { part: wanted.narrowed(&self.lines[place.line], place.part.clone()), same, ..place })
    }
}

impl<'a> PickLocation<'a> {
    /// The words about the pick.
    pub fn words(&self) -> &'a [Token] {
        &self.text.lines[self.line].tokens[self.part.clone()]
    }

    /// The line of the pick, which may hold other picks too.
    pub fn line(&self) -> &'a [Token] {
        &self.text.lines[self.line].tokens
    }

    /// Whether the pick is the only one on its line.
    pub fn is_alone(&self) -> bool {
        let line = &self.text.lines[self.line];
        let names_somebody = |piece: &Range<usize>| line.names.iter().any(|name| piece.contains(&name.start));
        pieces(line).into_iter().filter(names_somebody).count() <= 1
    }

    /// The label of the line, before a colon: "1H: Lakers -2.5, Celtics -1".
    pub fn label(&self) -> Option<&'a [Token]> {
        let tokens = self.line();
        let colon = tokens.iter().position(|t| t.lexeme == Lexeme::Sign(':'))?;
        (colon <= LONGEST_HEADING).then(|| &tokens[..colon])
    }

    /// The headings above the line, the nearest first.
    pub fn headings(&self) -> impl Iterator<Item = &'a [Token]> {
        self.text.lines[..self.line].iter().rev().filter(|line| line.is_heading()).map(|line| line.tokens.as_slice())
    }

    /// The other lines that name the side or player of the pick.
    pub fn of_the_same(&self) -> impl Iterator<Item = &'a [Token]> {
        self.same.iter().map(|line| self.text.lines[*line].tokens.as_slice())
    }

    /// The lines that name nobody.
    pub fn nameless(&self) -> impl Iterator<Item = &'a [Token]> {
        self.text.lines.iter().filter(|line| line.names.is_empty()).map(|line| line.tokens.as_slice())
    }
}

impl PostLine {
    /// Whether it has only a few words, no name and no betting line: "1H plays:", "Full game 🔒".
    fn is_heading(&self) -> bool {
        let words = self.tokens.iter().filter(|t| matches!(t.lexeme, Lexeme::Word | Lexeme::Number { .. })).count();
        let line = |t: &Token| matches!(t.lexeme, Lexeme::Number { signed, decimals, .. } if signed || decimals > 0);
        self.names.is_empty() && (1..=LONGEST_HEADING).contains(&words) && !self.tokens.iter().any(line)
    }
}

/// Matches parts of a post against a pick.
struct PickMatcher<'a> {
    pick: &'a Pick,
    /// The keys of the side or player of the pick, as written and in full.
    about: Vec<String>,
    odds: Option<f64>,
    american: Option<f64>,
}

impl<'a> PickMatcher<'a> {
    fn of(pick: &'a Pick) -> Self {
        let event = || {
            let (a, b) = pick.event.as_deref().and_then(who::opponents)?;
            Some(vec![a, b])
        };
        let one = pick.player.clone().or_else(|| pick.selection.clone()).map(|name| vec![name]);
        let about = one.or_else(event).unwrap_or_default();
        let odds = pick.odds.as_deref().and_then(|odds| Odds::parse(odds).ok());
        let keys = |name: &String| {
            let meant = who::meant(name).into_iter().map(|entity| key_of(&entity.name));
            std::iter::once(key_of(name)).chain(meant).collect::<Vec<_>>()
        };
        let american = odds.map(|odds| f64::from(odds.american()));
        Self { pick, about: about.iter().flat_map(keys).collect(), odds: odds.map(Odds::decimal), american }
    }

    /// How much of the pick a part of a line matches.
    fn score(&self, line: &PostLine, part: &Range<usize>) -> u32 {
        let tokens = &line.tokens[part.clone()];
        let words = format!(" {} ", key(tokens));
        let named = self.named(line, part).next().is_some()
            || self.about.iter().any(|about| words.contains(&format!(" {about} ")));
        let number = |wanted: f64| {
            tokens.iter().any(|t| matches!(t.lexeme, Lexeme::Number { value, .. } if (value - wanted).abs() < 1e-6))
        };
        let near = |line: f64| number(line) || number(line.abs()) || number(line + 0.5);
        let lined = self.pick.line.is_some_and(near);
        let priced = self.american.is_some_and(number) || self.odds.is_some_and(number);
        let worded = |words: &[&str]| tokens.iter().any(|t| words.contains(&t.folded.as_str()));
        let market = self.pick.kind == PickKind::Moneyline && worded(&["ml", "moneyline", "win", "wins", "beat"]);
        u32::from(named) * 3 + u32::from(lined) * 3 + u32::from(priced) + u32::from(market)
    }

    /// The names in a part of a line that belong to the pick.
    fn named(&self, line: &'a PostLine, part: &Range<usize>) -> impl Iterator<Item = &'a Range<usize>> {
        let within = part.clone();
        let names = line.names.iter().filter(move |name| within.contains(&name.start) && name.end <= within.end);
        names.filter(|name| {
            let key = key(&line.tokens[(*name).clone()]);
            let key = key.strip_suffix("'s").unwrap_or(&key);
            let known = NAMES.find(key).iter().any(|c| self.about.contains(&key_of(&NAMES.entities[c.entity].name)));
            known || self.about.iter().any(|about| about == key)
        })
    }

    /// The words after the previous bet and before the name of the next one.
    fn narrowed(&self, line: &PostLine, part: Range<usize>) -> Range<usize> {
        let Some(own) = self.named(line, &part).next() else { return part };
        let opponent = |name: &Range<usize>| {
            let before = name.start.checked_sub(1).map(|at| line.tokens[at].folded.as_str());
            before.is_some_and(|word| LINKS.contains(&word)) || self.named(line, name).next().is_some()
        };
        let within = |name: &&Range<usize>| name.start >= part.start && name.end <= part.end;
        let others = || line.names.iter().filter(within).filter(|name| !opponent(name));
        let from = others().filter(|name| name.end <= own.start).map(|name| name.end).next_back().map(|from| {
            let figure = |at: &usize| matches!(line.tokens[*at].lexeme, Lexeme::Number { .. } | Lexeme::Units(_));
            (from..own.start).rfind(figure).map_or(from, |figure| figure + 1)
        });
        let to = others().find(|name| name.start >= own.end).map(|name| name.start);
        from.unwrap_or(part.start)..to.unwrap_or(part.end)
    }
}

/// The sentences of a line, also split where a comma or an "and" is followed by another name.
fn pieces(line: &PostLine) -> Vec<Range<usize>> {
    let tokens = &line.tokens;
    let ends = |at: usize| match tokens[at].lexeme {
        Lexeme::Sign('!' | '?' | ';' | '|' | '•') => true,
        Lexeme::Sign('.') => tokens.get(at + 1).is_none_or(|next| !next.glued),
        Lexeme::Sign(',') => names_somebody_next(line, at + 1),
        Lexeme::Sign('/') => !tokens[at].glued && names_somebody_next(line, at + 1),
        Lexeme::Word => matches!(tokens[at].folded.as_str(), "and" | "but") && names_somebody_next(line, at + 1),
        _ => false,
    };
    let mut pieces = Vec::new();
    let mut from = 0;
    for at in 0..=tokens.len() {
        if at == tokens.len() || ends(at) {
            pieces.push(from..at);
            from = at + 1;
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Whether a name follows before the next comma, or a longer phrase without figures.
fn names_somebody_next(line: &PostLine, from: usize) -> bool {
    let rest = &line.tokens[from..];
    let to = from + rest.iter().position(|t| t.lexeme == Lexeme::Sign(',')).unwrap_or(rest.len());
    let words = line.tokens[from..to].iter().filter(|t| t.lexeme == Lexeme::Word).count();
    let figures = line.tokens[from..to].iter().any(|t| matches!(t.lexeme, Lexeme::Number { .. } | Lexeme::Units(_)));
    line.names.iter().any(|name| (from..to).contains(&name.start)) || (words > LONGEST_HEADING && !figures)
}

/// The names in a line that the tables know. At each position the longest name counts.
fn names(tokens: &[Token]) -> Vec<Range<usize>> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let longest = (1..=LONGEST.min(tokens.len() - at)).rev().find(|len| is_name(&tokens[at..at + len]));
        names.extend(longest.map(|len| at..at + len));
        at += longest.unwrap_or(1);
    }
    names
}

/// Whether these tokens are a name of the tables, written with the capitals that the name needs.
fn is_name(tokens: &[Token]) -> bool {
    let key = key(tokens);
    let capitals = tokens.iter().all(|t| !t.text.chars().any(char::is_lowercase));
    let begins = tokens[0].text.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit());
    let candidates = NAMES.find(key.strip_suffix("'s").unwrap_or(&key));
    candidates.iter().any(|c| if c.capitals { capitals } else { begins || !c.weak && tokens[0].lexeme == Lexeme::Word })
}
