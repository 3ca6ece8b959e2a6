//! Splitting a text into the words that are compared.

use unicode_normalization::UnicodeNormalization as _;

use crate::{
    fold::{CharClass, Folded, Glyph, digit_letters, sign_letters},
    hidden::is_invisible,
    outward,
};

/// The most bytes of a text that are read: the longest post of X, 25,000 characters, at four bytes each.
pub(super) const READ_BYTES: usize = 100_000;

/// The most characters that are read of their compatibility form. A character may have eighteen in it.
const READ_CHARS: usize = 100_000;

/// The longest run of digits within a word that is read as letters.
const LONGEST_DIGITS: usize = 2;

/// What a text is compared by: a word, or a character of a script that puts no spaces between words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unit {
    /// In lower case and without accents, its look-alikes replaced.
    Word(String),
    Char(char),
}

impl Unit {
    /// Whether both are words or both are characters.
    pub fn is_like(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Word(_), Self::Word(_)) | (Self::Char(_), Self::Char(_)))
    }

    /// Appends the form in which units are compared: `l` as `i`, because a capital `I` looks like it, and no letter twice in a row.
    pub fn push_key(&self, key: &mut String) {
        match self {
            Self::Char(c) => key.push(*c),
            Self::Word(word) => {
                let mut before = None;
                for c in word.chars().map(|c| if c == 'l' { 'i' } else { c }) {
                    if before.replace(c) != Some(c) {
                        key.push(c);
                    }
                }
            }
        }
    }

    pub fn key(&self) -> String {
        let mut key = String::new();
        self.push_key(&mut key);
        key
    }
}

/// The units of a text in order, without numbers, links, handles at the beginning and hashtags at the end. If there are only
/// hashtags, these are the units.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let plain = plain(text);
    let folded = Folded::of(&plain);
    let mut links = Vec::new();
    outward::links(&folded, &[], |at| links.push(at));
    let is_linked = |glyph: &Glyph| {
        let nth = links.partition_point(|link| link.end <= glyph.at.start);
        links.get(nth).is_some_and(|link| link.start <= glyph.at.start)
    };
    let mut reader = Reader { glyphs: &folded.glyphs, text: &plain, units: Vec::new(), word: String::new(), tag: None };
    for (nth, glyph) in folded.glyphs.iter().enumerate() {
        if is_linked(glyph) {
            reader.end_word();
            reader.tag = None;
        } else {
            reader.read(nth, glyph);
        }
    }
    reader.end_word();
    without_addresses_and_tags(reader.units)
}

/// The beginning of a text in compatibility form, without emoji that have letters in it.
fn plain(text: &str) -> String {
    beginning(text).chars().map(|c| if is_lettered_emoji(c) { ' ' } else { c }).nfkc().take(READ_CHARS).collect()
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(READ_BYTES)]
}

/// What a text without words is compared by: its visible characters, none twice in a row.
pub(super) fn signs(text: &str) -> String {
    let visible = beginning(text).nfkc().filter(|c| !c.is_whitespace() && !is_invisible(*c));
    let mut signs: Vec<char> = visible.flat_map(char::to_lowercase).collect();
    signs.dedup();
    signs.into_iter().collect()
}

fn without_addresses_and_tags(mut units: Vec<(Unit, Option<Tag>)>) -> Vec<Unit> {
    let addresses = units.iter().take_while(|(_, tag)| *tag == Some(Tag::Handle)).count();
    let said = units.iter().rposition(|(_, tag)| *tag != Some(Tag::Hashtag)).map_or(0, |last| last + 1);
    if addresses < said {
        units.truncate(said);
    }
    units.drain(..addresses);
    units.into_iter().map(|(unit, _)| unit).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Handle,
    Hashtag,
}

struct Reader<'t> {
    glyphs: &'t [Glyph],
    text: &'t str,
    units: Vec<(Unit, Option<Tag>)>,
    /// The word that is being read.
    word: String,
    /// The tag that is being read.
    tag: Option<Tag>,
}

impl Reader<'_> {
    fn read(&mut self, nth: usize, glyph: &Glyph) {
        match glyph.class {
            CharClass::Letter(c) if is_unspaced(c) => {
                self.end_word();
                self.read_unspaced(glyph, c);
            }
            CharClass::Letter(c) => self.word.push(c),
            CharClass::Apostrophe => {}
            CharClass::Digit(_) | CharClass::Sign(_) if self.letter_within_word(nth).is_some() => {
                self.word.extend(self.letter_within_word(nth));
            }
            // The letters after a number are its unit.
            CharClass::Digit(_) | CharClass::Sign('_') => self.end_word(),
            CharClass::Sign(sign) => {
                self.end_word();
                let is_after_word = nth > 0 && self.glyphs[nth - 1].is_word();
                self.tag = match sign {
                    '@' if !is_after_word => Some(Tag::Handle),
                    '#' if !is_after_word => Some(Tag::Hashtag),
                    _ => None,
                };
            }
            CharClass::Space => {
                self.end_word();
                self.tag = None;
            }
        }
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.units.push((Unit::Word(std::mem::take(&mut self.word)), self.tag));
        }
    }

    /// Voicing marks, as in `が`, are kept. A character that is stretched or marks stretching is left out.
    fn read_unspaced(&mut self, glyph: &Glyph, folded: char) {
        const LONG_VOWEL: char = 'ー';
        let c = self.text[glyph.at.clone()].chars().next().filter(|c| is_unspaced(*c)).unwrap_or(folded);
        let unit = Unit::Char(c);
        if c != LONG_VOWEL && self.units.last().is_none_or(|(before, _)| *before != unit) {
            self.units.push((unit, self.tag));
        }
    }

    /// The letter that a digit or a sign between two letters stands for, as in `t0night` or `c@t`.
    fn letter_within_word(&self, nth: usize) -> Option<char> {
        let is_letter = |glyph: &Glyph| matches!(glyph.class, CharClass::Letter(c) if !is_unspaced(c));
        let is_digit = |glyph: &&Glyph| matches!(glyph.class, CharClass::Digit(_));
        let (before, after) = (&self.glyphs[..nth], &self.glyphs[nth + 1..]);
        match self.glyphs[nth].class {
            CharClass::Digit(digit) => {
                let digits_before = before.iter().rev().take(LONGEST_DIGITS).take_while(is_digit).count();
                let digits_after = after.iter().take(LONGEST_DIGITS).take_while(is_digit).count();
                let is_within = digits_before + digits_after < LONGEST_DIGITS
                    && before.iter().rev().nth(digits_before).is_some_and(is_letter)
                    && after.get(digits_after).is_some_and(is_letter);
                is_within.then(|| digit_letters(digit).chars().next()).flatten()
            }
            CharClass::Sign(sign @ ('@' | '$' | '€')) => {
                let is_within = before.last().is_some_and(is_letter) && after.first().is_some_and(is_letter);
                is_within.then(|| sign_letters(sign).chars().next()).flatten()
            }
            _ => None,
        }
    }
}

/// Flags, which are pairs of letters, and Japanese and Latin signs that are drawn as emoji.
fn is_lettered_emoji(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f200}'..='\u{1f2ff}' | '㊗' | '㊙' | 'ℹ' | '™')
}

/// Letters of scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana and Chinese characters.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{3007}'
        | '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{a9e0}'..='\u{a9ff}' | '\u{aa60}'..='\u{aa7f}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
