//! A listed word or phrase, and where it stands in a text, however it is disguised.

use std::ops::Range;

use crate::fold::{Face, Folded, Glyph, is_star, spells};

/// A word or phrase that cannot be looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} cannot be looked for: {reason}")]
pub struct BadPattern {
    given: String,
    reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// A letter, at least so many times in a row.
    Letter(char, u8),
    /// Written or left out.
    Apostrophe,
    /// Between two words.
    Gap,
}

/// A word or phrase.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    slots: Vec<Slot>,
    /// Whether a longer word may begin before it.
    open_start: bool,
    /// Whether a longer word may end after it.
    open_end: bool,
}

/// Characters between two letters of a word that is pulled apart.
const APART: usize = 3;
/// Steps of one search from one place. A word of 20 letters takes 40 of them, unless it is all doubt.
const PATIENCE: u32 = 4_000;
/// Characters of a text that one word or phrase may take. A search goes as deep as it reads, so this keeps it off the end of the
/// stack.
const SPAN: usize = 200;
/// Forms of one entry.
const MOST_FORMS: usize = 500;

impl Pattern {
    /// The patterns that an entry stands for: one for each choice between its braces.
    pub fn parse_all(entry: &str) -> Result<Vec<Self>, BadPattern> {
        let bad = |reason| BadPattern { given: entry.chars().take(60).collect(), reason };
        let forms = forms(entry).ok_or_else(|| bad("its braces do not match, or have too many choices"))?;
        forms.iter().map(|form| Self::parse(form).map_err(bad)).collect()
    }

    fn parse(form: &str) -> Result<Self, &'static str> {
        let form = form.trim();
        let (open_start, open_end) = (form.starts_with('*'), form.ends_with('*'));
        let mut slots = Vec::new();
        for glyph in Folded::of(form.trim_matches('*').trim()).glyphs {
            match glyph.face {
                Face::Letter(c) | Face::Digit(c) => match slots.last_mut() {
                    Some(Slot::Letter(last, times)) if *last == c => *times = times.saturating_add(1),
                    _ => slots.push(Slot::Letter(c, 1)),
                },
                Face::Apostrophe => slots.push(Slot::Apostrophe),
                Face::Space | Face::Sign(_) if slots.last() == Some(&Slot::Gap) => {}
                Face::Space | Face::Sign(_) => slots.push(Slot::Gap),
            }
        }
        let letters: usize =
            slots.iter().map(|slot| if let Slot::Letter(_, times) = slot { usize::from(*times) } else { 0 }).sum();
        if letters < 2 || !matches!(slots.first(), Some(Slot::Letter(..))) {
            return Err("it needs at least two letters, and one at its beginning");
        }
        while slots.last().is_some_and(|slot| !matches!(slot, Slot::Letter(..))) {
            slots.pop();
        }
        Ok(Self { slots, open_start, open_end })
    }

    /// The places in the text where it stands, as ranges of bytes.
    pub fn find_all(&self, folded: &Folded) -> Vec<Range<usize>> {
        let glyphs = &folded.glyphs;
        let mut found = Vec::new();
        let mut from = 0;
        while let Some((start, end)) = self.next(folded, from) {
            found.push(glyphs[start].at.start..glyphs[end - 1].at.end);
            from = end;
        }
        found
    }

    fn next(&self, folded: &Folded, from: usize) -> Option<(usize, usize)> {
        let glyphs = &folded.glyphs;
        let Some(Slot::Letter(first, _)) = self.slots.first() else { return None };
        (from..glyphs.len()).filter(|at| spells(glyphs[*at].face, *first)).find_map(|start| {
            let inside_a_word = start > 0 && glyphs[start - 1].is_word();
            if inside_a_word && !self.open_start {
                return None;
            }
            let mut search = Search { pattern: self, folded, glyphs, start, left: PATIENCE };
            search.go(0, 0, start, Tally::default()).map(|end| (start, end))
        })
    }
}

/// How a word was written, as far as it was read.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    letters: u16,
    digits: u16,
    signs: u16,
    stars: u16,
    /// Neighbours with something between them, of these with a space, and all neighbours.
    split: u16,
    spaced: u16,
    pairs: u16,
}

impl Tally {
    fn with(mut self, glyph: &Glyph, between: &[Glyph], star: bool) -> Self {
        match glyph.face {
            _ if star => self.stars += 1,
            Face::Letter(_) => self.letters += 1,
            Face::Digit(_) => self.digits += 1,
            _ => self.signs += 1,
        }
        if self.written() > 1 {
            self.pairs += 1;
            self.split += u16::from(!between.is_empty());
            self.spaced += u16::from(between.iter().any(|glyph| !matches!(glyph.face, Face::Sign(_))));
        }
        self
    }

    fn written(self) -> u16 {
        self.letters + self.digits + self.signs + self.stars
    }

    /// Whether it reads as a word. Numbers alone do not, nor what is mostly stars; with spaces every letter has to stand
    /// apart, or two words would read as one.
    fn reads_as_a_word(self) -> bool {
        let starred = self.stars == 0 || (self.letters > 0 && self.stars * 2 <= self.written());
        let numbers = self.digits == 0 || self.letters > 0;
        let apart = self.split == 0
            || ((self.split == self.pairs || self.spaced == 0) && (self.digits == 0 || self.digits < self.letters));
        starred && numbers && apart
    }
}

struct Search<'p> {
    pattern: &'p Pattern,
    folded: &'p Folded,
    glyphs: &'p [Glyph],
    start: usize,
    left: u32,
}

impl Search<'_> {
    /// Reads on from `at`, where `count` glyphs of the slot have been read; answers where the pattern ends.
    fn go(&mut self, slot: usize, count: u8, at: usize, tally: Tally) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        self.folded.step()?;
        match self.pattern.slots.get(slot) {
            None => (tally.reads_as_a_word() && self.ends_at(at, tally)).then_some(at),
            Some(Slot::Apostrophe) => {
                let is_there = self.glyphs.get(at).is_some_and(|glyph| glyph.face == Face::Apostrophe);
                self.go(slot + 1, 0, at + usize::from(is_there), tally)
            }
            Some(Slot::Gap) => {
                if !tally.reads_as_a_word() {
                    return None;
                }
                let width = self.glyphs[at..].iter().take(APART).take_while(|glyph| !glyph.is_word()).count();
                (1..=width).rev().find_map(|width| self.go(slot + 1, 0, at + width, Tally::default()))
            }
            Some(Slot::Letter(letter, times)) => {
                let (letter, times) = (*letter, *times);
                let more = self.more(slot, count, at, tally, letter, times);
                more.or_else(|| if count >= times { self.go(slot + 1, 0, at, tally) } else { None })
            }
        }
    }

    /// Reads one more glyph as the letter of the slot.
    fn more(&mut self, slot: usize, count: u8, at: usize, tally: Tally, letter: char, times: u8) -> Option<usize> {
        if at - self.start >= SPAN {
            return None;
        }
        let most = if tally.written() == 0 { 0 } else { APART };
        for width in 0..=most {
            let glyph = self.glyphs.get(at + width)?;
            let star = count < times && tally.written() > 0 && is_star(glyph.face);
            if (star || spells(glyph.face, letter))
                && let Some(end) = {
                    let tally = tally.with(glyph, &self.glyphs[at..at + width], star);
                    self.go(slot, count.saturating_add(1), at + width + 1, tally)
                }
            {
                return Some(end);
            }
            if glyph.is_word() {
                return None;
            }
        }
        None
    }

    /// Whether the word may end here.
    fn ends_at(&self, at: usize, tally: Tally) -> bool {
        let Pattern { open_start, open_end, .. } = self.pattern;
        let ends = at >= self.glyphs.len() || !self.glyphs[at].is_word();
        if !(*open_end || ends) {
            return false;
        }
        // A word that is spelled out may be a part of a longer one: c l a s s.
        let spelled = tally.split > 0 && !open_start && !open_end;
        !(spelled && (self.goes_on_before() || self.goes_on_after(at)))
    }

    fn goes_on_before(&self) -> bool {
        let between = |at: usize| self.glyphs.get(at).is_some_and(|glyph| !glyph.is_word());
        let Some(before) = self.start.checked_sub(2) else { return false };
        self.glyphs[before].is_word()
            && (before == 0 || between(before - 1))
            && same_kind(&self.glyphs[before + 1], self.glyphs.get(self.start + 1))
    }

    fn goes_on_after(&self, at: usize) -> bool {
        let (Some(gap), Some(next)) = (self.glyphs.get(at), self.glyphs.get(at + 1)) else { return false };
        let is_alone = self.glyphs.get(at + 2).is_none_or(|glyph| !glyph.is_word());
        next.is_word() && is_alone && same_kind(gap, self.glyphs.get(self.start + 1))
    }
}

fn same_kind(one: &Glyph, other: Option<&Glyph>) -> bool {
    other.is_some_and(|other| one.face == other.face)
}

/// The forms of an entry, one for each choice between `{a|b}`.
fn forms(entry: &str) -> Option<Vec<String>> {
    let mut forms = vec![String::new()];
    let mut rest = entry;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, tail) = rest.split_at(at);
        let inner = tail.strip_prefix('{')?;
        let (choices, after) = inner.split_once('}')?;
        if choices.contains('{') {
            return None;
        }
        let choices: Vec<&str> = choices.split('|').collect();
        if forms.len() * choices.len() > MOST_FORMS {
            return None;
        }
        forms =
            forms.iter().flat_map(|form| choices.iter().map(move |choice| format!("{form}{before}{choice}"))).collect();
        rest = after;
    }
    for form in &mut forms {
        form.push_str(rest);
    }
    Some(forms)
}
