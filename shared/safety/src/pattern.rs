//! Finding a listed word or phrase in a text, even if it is disguised.

use std::ops::Range;

use crate::fold::{CharClass, Folded, Glyph, is_blank, is_star, spells};

/// A word or phrase that is not a valid pattern.
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
    /// An apostrophe, which may be left out except in an exact pattern.
    Apostrophe,
    /// The gap between two words.
    Gap,
}

/// A word or phrase.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    slots: Vec<Slot>,
    /// Whether it may be the end of a longer word.
    open_start: bool,
    /// Whether it may be the beginning of a longer word.
    open_end: bool,
    /// Whether its apostrophes are required.
    exact: bool,
}

/// The most characters between two letters of a split word, and between two words.
const APART: usize = 12;
/// The most filler words between two words.
const FILLERS: u8 = 3;
/// The most steps of one search from one position. A word of 20 letters takes 40, unless it is very ambiguous.
const PATIENCE: u32 = 4_000;
/// The most characters of a text that one word or phrase may take. The search recurses for each character, so this bounds the stack.
const SPAN: usize = 200;
/// The most forms of one entry.
const MOST_FORMS: usize = 500;

impl Pattern {
    /// The patterns of an entry: one for each choice between its braces.
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
            match glyph.class {
                CharClass::Letter(c) | CharClass::Digit(c) => match slots.last_mut() {
                    Some(Slot::Letter(last, times)) if *last == c => *times = times.saturating_add(1),
                    _ => slots.push(Slot::Letter(c, 1)),
                },
                CharClass::Apostrophe => slots.push(Slot::Apostrophe),
                CharClass::Space | CharClass::Sign(_) if slots.last() == Some(&Slot::Gap) => {}
                CharClass::Space | CharClass::Sign(_) => slots.push(Slot::Gap),
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
        Ok(Self { slots, open_start, open_end, exact: false })
    }

    /// Requires the apostrophes, as in `who're`.
    pub fn exact(self) -> Self {
        Self { exact: true, ..self }
    }

    /// All matches in the text, as ranges of bytes. Some of the `fillers` may be between its words.
    pub fn find_all(&self, folded: &Folded, fillers: &[Self]) -> Vec<Range<usize>> {
        let glyphs = &folded.glyphs;
        let mut found = Vec::new();
        let mut from = 0;
        while let Some((start, end)) = self.next(folded, fillers, from) {
            found.push(glyphs[start].at.start..glyphs[end - 1].at.end);
            from = end;
        }
        found
    }

    fn next(&self, folded: &Folded, fillers: &[Self], from: usize) -> Option<(usize, usize)> {
        let Some(Slot::Letter(first, _)) = self.slots.first() else { return None };
        let places = folded.places(*first, from).iter().take_while(|_| folded.was_read());
        places.copied().find_map(|start| self.end(folded, fillers, start).map(|end| (start, end)))
    }

    /// Whether it may begin directly before this glyph. A quick check that rejects most words.
    fn may_stand_before(&self, next: Option<&Glyph>) -> bool {
        let Some(next) = next.filter(|next| next.is_word()) else { return true };
        let mut begins = self.slots.iter().filter(|slot| **slot != Slot::Apostrophe).take(2);
        begins.any(|slot| matches!(slot, Slot::Letter(letter, _) if spells(next.class, *letter)))
    }

    /// Where it ends, if it matches at `start`.
    fn end(&self, folded: &Folded, fillers: &[Self], start: usize) -> Option<usize> {
        let glyphs = &folded.glyphs;
        let inside_a_word = start > 0 && glyphs[start - 1].is_word();
        if (inside_a_word && !self.open_start) || !self.may_stand_before(glyphs.get(start + 1)) {
            return None;
        }
        Search { pattern: self, fillers, folded, glyphs, start, left: PATIENCE }.go(0, 0, start, MatchTally::default())
    }
}

/// How the part of a word that was read so far is written.
#[derive(Debug, Clone, Copy, Default)]
struct MatchTally {
    letters: u16,
    digits: u16,
    signs: u16,
    stars: u16,
    /// The stars that are other signs (`is_blank`).
    blanks: u16,
    /// Adjacent letters with something between them; of these, those with a space (`spaced`); and all adjacent letters (`pairs`).
    split: u16,
    spaced: u16,
    pairs: u16,
}

impl MatchTally {
    fn with(mut self, glyph: &Glyph, letter: char, between: &[Glyph], star: bool) -> Self {
        match glyph.class {
            _ if star => {
                self.stars += 1;
                self.blanks += u16::from(!is_star(glyph.class));
            }
            CharClass::Digit(digit) if digit == letter => self.letters += 1,
            CharClass::Letter(_) => self.letters += 1,
            CharClass::Digit(_) => self.digits += 1,
            _ => self.signs += 1,
        }
        if self.written() > 1 {
            self.pairs += 1;
            self.split += u16::from(!between.is_empty());
            self.spaced += u16::from(between.iter().any(|glyph| glyph.class == CharClass::Space));
        }
        self
    }

    fn written(self) -> u16 {
        self.letters + self.digits + self.signs + self.stars
    }

    /// Whether it reads as a word. Numbers alone do not, nor words that are mostly stars, nor short ones with another sign in place of a
    /// letter. If there are spaces, every letter must be separated, otherwise two words would read as one.
    fn reads_as_a_word(self) -> bool {
        let starred = self.stars == 0 || (self.letters > 0 && self.stars * 2 <= self.written());
        let starred = starred && (self.blanks == 0 || self.letters >= 3);
        let numbers = self.digits == 0 || self.letters > 0;
        let apart = self.split == 0
            || ((self.split == self.pairs || self.spaced == 0) && (self.digits == 0 || self.digits < self.letters));
        starred && numbers && apart
    }
}

struct Search<'p> {
    pattern: &'p Pattern,
    fillers: &'p [Pattern],
    folded: &'p Folded,
    glyphs: &'p [Glyph],
    start: usize,
    left: u32,
}

impl Search<'_> {
    /// Matches from `at`, where `count` glyphs of the slot have been read; returns where the pattern ends.
    fn go(&mut self, slot: usize, count: u8, at: usize, tally: MatchTally) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        self.folded.step()?;
        match self.pattern.slots.get(slot) {
            None => (tally.reads_as_a_word() && self.ends_at(at, tally)).then_some(at),
            Some(Slot::Apostrophe) => {
                let is_there = self.glyphs.get(at).is_some_and(|glyph| glyph.class == CharClass::Apostrophe);
                if self.pattern.exact && !is_there {
                    return None;
                }
                self.go(slot + 1, 0, at + usize::from(is_there), tally)
            }
            Some(Slot::Gap) => {
                if tally.reads_as_a_word() {
                    self.gap(slot, at, FILLERS)
                } else {
                    None
                }
            }
            Some(Slot::Letter(letter, times)) => {
                let (letter, times) = (*letter, *times);
                let more = self.more(slot, count, at, tally, letter, times);
                more.or_else(|| if count >= times { self.go(slot + 1, 0, at, tally) } else { None })
            }
        }
    }

    /// Matches after the gap at `at`, and after up to `most` fillers, each followed by a gap.
    fn gap(&mut self, slot: usize, at: usize, most: u8) -> Option<usize> {
        let width = self.glyphs[at..].iter().take(APART).take_while(|glyph| !glyph.is_word()).count();
        let next = (1..=width).rev().find_map(|width| self.go(slot + 1, 0, at + width, MatchTally::default()));
        if next.is_some() || width == 0 || most == 0 || at - self.start >= SPAN {
            return next;
        }
        let filled = self.fillers.iter().find_map(|filler| filler.end(self.folded, &[], at + width))?;
        self.gap(slot, filled, most - 1)
    }

    /// Reads one more glyph as the letter of the slot.
    fn more(&mut self, slot: usize, count: u8, at: usize, tally: MatchTally, letter: char, times: u8) -> Option<usize> {
        if at - self.start >= SPAN {
            return None;
        }
        let most = if tally.written() == 0 { 0 } else { APART };
        for width in 0..=most {
            let glyph = self.glyphs.get(at + width)?;
            let is_letter = spells(glyph.class, letter);
            let is_blank = !is_letter && is_blank(glyph.class) && width == 0 && self.is_within_a_word(at);
            let star = count < times && tally.written() > 0 && (is_star(glyph.class) || is_blank);
            if (star || is_letter)
                && let Some(end) = {
                    let tally = tally.with(glyph, letter, &self.glyphs[at..at + width], star);
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

    fn is_within_a_word(&self, at: usize) -> bool {
        let is_word = |at: Option<usize>| at.and_then(|at| self.glyphs.get(at)).is_some_and(Glyph::is_word);
        is_word(at.checked_sub(1)) && is_word(Some(at + 1))
    }

    /// Whether the word may end here.
    fn ends_at(&self, at: usize, tally: MatchTally) -> bool {
        let Pattern { open_start, open_end, .. } = self.pattern;
        let ends = at >= self.glyphs.len() || !self.glyphs[at].is_word();
        if !(*open_end || ends) {
            return false;
        }
        // A word in separated letters may be part of a longer one: c l a s s.
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
    other.is_some_and(|other| one.class == other.class)
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
