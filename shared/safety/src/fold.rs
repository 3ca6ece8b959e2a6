//! Normalizing a text to what a reader sees: invisible characters are left out, look-alikes become letters.

use std::{cell::Cell, collections::BTreeMap, ops::Range};

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use crate::hidden::is_invisible;

/// What a reader takes a character for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CharClass {
    /// A letter, in lower case; one of a-z if it looks like one.
    Letter(char),
    Digit(char),
    /// Any other visible character.
    Sign(char),
    Space,
    Apostrophe,
}

/// A normalized character, and the bytes of the text that it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Glyph {
    pub class: CharClass,
    pub at: Range<usize>,
}

impl Glyph {
    pub fn is_word(&self) -> bool {
        matches!(self.class, CharClass::Letter(_) | CharClass::Digit(_))
    }
}

/// A visible character in Unicode compatibility form, and the bytes of the text that it comes from.
#[derive(Debug, Clone)]
pub(crate) struct SourceChar {
    pub c: char,
    pub at: Range<usize>,
}

/// The most search steps in one text. A post takes some ten thousand, a post of 25,000 characters a million or two; only a text crafted
/// to be slow takes them all.
const STEPS: u32 = 4_000_000;

/// The two normalized forms of a text.
#[derive(Debug)]
pub(crate) struct Folded {
    steps: Cell<u32>,
    /// For each letter or digit, the glyphs that may be read as it.
    places: BTreeMap<char, Vec<usize>>,
    pub glyphs: Vec<Glyph>,
    pub seen: Vec<SourceChar>,
}

impl Folded {
    pub fn of(text: &str) -> Self {
        let (mut glyphs, mut seen) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len()));
        let mut in_flags = false;
        for (start, c) in text.char_indices() {
            let at = start..start + c.len_utf8();
            if is_invisible(c) {
                continue;
            }
            // A flag emoji next to a word is not part of the word.
            let is_flag = matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
            if is_flag != in_flags {
                glyphs.push(Glyph { class: CharClass::Space, at: start..start });
            }
            in_flags = is_flag;
            let c = enclosed(c).unwrap_or(c);
            for c in c.nfkd().filter(|c| !is_combining_mark(*c)) {
                seen.push(SourceChar { c: if is_dot(c) { '.' } else { c }, at: at.clone() });
                read(c, |class| glyphs.push(Glyph { class, at: at.clone() }));
            }
        }
        let mut places: BTreeMap<char, Vec<usize>> = BTreeMap::new();
        for (at, glyph) in glyphs.iter().enumerate() {
            let (itself, others) = readings(glyph.class);
            for letter in itself.into_iter().chain(others.chars()) {
                places.entry(letter).or_default().push(at);
            }
        }
        Self { steps: Cell::new(STEPS), places, glyphs, seen }
    }

    /// The glyphs from `from` on that may be read as this letter.
    pub fn places(&self, letter: char, from: usize) -> &[usize] {
        let all = self.places.get(&letter).map_or(&[][..], Vec::as_slice);
        &all[all.partition_point(|at| *at < from)..]
    }

    /// Uses up one step; `None` when there are none left.
    pub fn step(&self) -> Option<()> {
        self.steps.set(self.steps.get().checked_sub(1)?);
        Some(())
    }

    /// False if the search ran out of steps.
    pub fn was_read(&self) -> bool {
        self.steps.get() > 0
    }
}

/// Whether a character is read as the dot of an address.
pub(crate) fn is_dot(c: char) -> bool {
    matches!(
        c,
        '.' | '\u{b7}'
            | '\u{6d4}'
            | '\u{701}'
            | '\u{702}'
            | '\u{2022}'
            | '\u{2024}'
            | '\u{2027}'
            | '\u{2219}'
            | '\u{22c5}'
            | '\u{2e33}'
            | '\u{3002}'
            | '\u{30fb}'
            | '\u{a4f8}'
            | '\u{a60e}'
            | '\u{fe52}'
            | '\u{ff0e}'
            | '\u{ff61}'
            | '\u{ff65}'
            | '\u{1d16d}'
    )
}

fn read(c: char, mut push: impl FnMut(CharClass)) {
    if let Some(letters) = looks_like(c) {
        letters.chars().for_each(|c| push(CharClass::Letter(c)));
        return;
    }
    for c in c.to_lowercase() {
        match looks_like(c) {
            Some(letters) => letters.chars().for_each(|c| push(CharClass::Letter(c))),
            None => push(class(c)),
        }
    }
}

fn class(c: char) -> CharClass {
    match c {
        '\'' | '’' | '‘' | '`' | '´' | 'ʼ' | '′' => CharClass::Apostrophe,
        c if c.is_whitespace() => CharClass::Space,
        c if c.is_numeric() => CharClass::Digit(c),
        c if c.is_alphabetic() => CharClass::Letter(c),
        c => CharClass::Sign(c),
    }
}

/// Letters in circles, squares and flags that have no compatible form.
fn enclosed(c: char) -> Option<char> {
    let first = match c {
        '\u{1f150}'..='\u{1f169}' => 0x1f150,
        '\u{1f170}'..='\u{1f189}' => 0x1f170,
        '\u{1f1e6}'..='\u{1f1ff}' => 0x1f1e6,
        _ => return None,
    };
    let nth = u8::try_from(u32::from(c) - first).ok()?;
    Some(char::from(b'a' + nth))
}

/// The Latin letters that a letter of another script, or a rare Latin one, looks like.
fn looks_like(c: char) -> Option<&'static str> {
    Some(match c {
        'а' | 'α' | 'ɑ' | 'ᴀ' | 'ⲁ' | 'Ꭺ' | 'ꭺ' | 'Λ' | 'ɐ' | 'Α' | 'А' | 'ᗩ' | 'ᗅ' | 'ꓮ' | 'ꓯ' | 'ꓥ' => {
            "a"
        }
        'в' | 'В' | 'Β' | 'β' | 'ь' | 'Ь' | 'б' | 'ʙ' | 'ƅ' | 'ɓ' | 'Ᏼ' | 'ꮟ' | 'ᗷ' | 'ᖯ' | 'ᑲ' | 'ᙠ' | 'ꓐ' | 'ꓭ' => {
            "b"
        }
        'с' | 'С' | 'ϲ' | 'Ϲ' | 'ᴄ' | 'ς' | 'ⲥ' | 'ƈ' | 'ꮯ' | 'Ꮯ' | 'ᑕ' | 'ꓚ' | 'ꓛ' => "c",
        'ԁ' | 'ɗ' | 'ᴅ' | 'đ' | 'ð' | 'ɖ' | 'Ꭰ' | 'ꭰ' | 'ᗪ' | 'ᗞ' | 'ᑯ' | 'ꓓ' | 'ꓷ' => "d",
        'е' | 'Е' | 'є' | 'ε' | 'Ε' | 'ɛ' | 'ᴇ' | 'ə' | 'ɘ' | 'ǝ' | 'э' | '℮' | 'ҽ' | 'Ꭼ' | 'ꭼ' | 'ᗴ' | 'ᙓ' | 'ᕮ'
        | 'ᘿ' | 'ꓰ' | 'ꓱ' => "e",
        'ƒ' | 'ғ' | 'ꜰ' | 'ϝ' | 'ք' | 'ẝ' | 'Ϝ' | 'ᖴ' | 'ꓝ' | 'ꓞ' => "f",
        'ɡ' | 'ɢ' | 'ց' | 'ԍ' | 'ǥ' | 'ɠ' | 'Ꮐ' | 'ᘜ' | 'ꓖ' | 'ꓨ' => "g",
        'н' | 'Н' | 'Η' | 'һ' | 'ʜ' | 'ħ' | 'ɦ' | 'հ' | 'Ꮋ' | 'ꮋ' | 'ᕼ' | 'ꓧ' => "h",
        'і' | 'І' | 'ı' | 'ι' | 'Ι' | 'ɪ' | 'ɩ' | 'ӏ' | 'Ӏ' | 'ɨ' | 'Ꭵ' | 'ꭵ' | 'ᓰ' | 'ꓲ' => "i",
        'ј' | 'Ј' | 'ʝ' | 'ᴊ' | 'ϳ' | 'ɉ' | 'Ꭻ' | 'ᒍ' | 'ᒎ' | 'ꓙ' => "j",
        'к' | 'К' | 'κ' | 'Κ' | 'ᴋ' | 'қ' | 'ƙ' | 'ҝ' | 'Ꮶ' | 'ꮶ' | 'ᛕ' | 'ꓗ' | 'ꓘ' => "k",
        'ł' | 'ʟ' | 'ɭ' | 'ƚ' | 'ǀ' | 'ɫ' | 'Ꮮ' | 'ꮮ' | 'ᒪ' | 'ꓡ' | 'ꓶ' => "l",
        'м' | 'М' | 'Μ' | 'ᴍ' | 'ɱ' | 'Ꮇ' | 'ᗰ' | 'ᘻ' | 'ᙏ' | 'ꓟ' => "m",
        'п' | 'η' | 'Ν' | 'ո' | 'ɴ' | 'ŋ' | 'ɲ' | 'и' | 'ƞ' | 'ᑎ' | 'ᘉ' | 'ꓠ' | 'ꓵ' => "n",
        'о' | 'О' | 'ο' | 'Ο' | 'ᴏ' | 'ø' | 'σ' | 'օ' | 'ө' | 'ɵ' | 'ⲟ' | 'Ꮎ' | 'ᗝ' | 'ꓳ' => "o",
        'р' | 'Р' | 'ρ' | 'Ρ' | 'ᴘ' | 'þ' | 'ƥ' | 'ⲣ' | 'Ꮲ' | 'ᑭ' | 'ꓑ' | 'ꓒ' => "p",
        'ԛ' | 'գ' | 'ʠ' | 'զ' | 'ᑫ' | 'ᕴ' => "q",
        'г' | 'ʀ' | 'я' | 'ɾ' | 'ɼ' | 'ꭇ' | 'Ꭱ' | 'ɹ' | 'ᖇ' | 'ᖆ' | 'ꓣ' | 'ꓤ' => "r",
        'ѕ' | 'Ѕ' | 'ꜱ' | 'ʂ' | 'ƨ' | 'ʃ' | 'Ꮪ' | 'ꮪ' | 'ᔕ' | 'ᔖ' | 'ꓢ' => "s",
        'т' | 'Т' | 'τ' | 'Τ' | 'ᴛ' | 'ŧ' | 'ƭ' | 'Ꭲ' | 'ᖶ' | 'ᐪ' | 'ꓔ' | 'ꓕ' => "t",
        'υ' | 'ս' | 'ᴜ' | 'μ' | 'ц' | 'ʋ' | 'ʊ' | 'ʉ' | 'ᑌ' | 'ꓴ' => "u",
        'ν' | 'ѵ' | 'ᴠ' | 'Ꮩ' | 'ꮩ' | 'ᐯ' | 'ᕓ' | 'ꓦ' => "v",
        'ԝ' | 'ω' | 'ш' | 'щ' | 'ᴡ' | 'ա' | 'ʍ' | 'Ꮃ' | 'ꮃ' | 'ᗯ' | 'ᘺ' | 'ᙎ' | 'ꓪ' => "w",
        'х' | 'Х' | 'χ' | 'Χ' | 'ҳ' | '᙭' | 'ᕁ' | 'ᕽ' | 'ꓫ' => "x",
        'у' | 'У' | 'ү' | 'Ү' | 'γ' | 'Υ' | 'ʏ' | 'ყ' | 'ɏ' | 'ᖻ' | 'ꓬ' => "y",
        'ᴢ' | 'ʐ' | 'ƶ' | 'ζ' | 'Ζ' | 'ȥ' | 'Ꮓ' | 'ᘔ' | 'ᙆ' | 'ꓜ' => "z",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ß' | 'ẞ' => "ss",
        _ => return None,
    })
}

/// What a character may be read as: itself, and other letters.
fn readings(class: CharClass) -> (Option<char>, &'static str) {
    match class {
        CharClass::Letter(c) => (Some(c), ""),
        CharClass::Digit(d) => (Some(d), digit_letters(d)),
        CharClass::Sign(s) => (None, sign_letters(s)),
        CharClass::Space | CharClass::Apostrophe => (None, ""),
    }
}

/// Whether a character may be read as this letter.
pub(crate) fn spells(class: CharClass, letter: char) -> bool {
    let (itself, others) = readings(class);
    itself == Some(letter) || others.contains(letter)
}

pub(crate) fn digit_letters(digit: char) -> &'static str {
    match digit {
        '0' => "o",
        '1' => "il",
        '2' => "z",
        '3' => "e",
        '4' => "a",
        '5' => "s",
        '6' => "gb",
        '7' => "t",
        '8' => "b",
        '9' => "gq",
        _ => "",
    }
}

pub(crate) fn sign_letters(sign: char) -> &'static str {
    match sign {
        '@' => "a",
        '$' | '§' => "s",
        '!' | '|' | '¡' | '¦' => "il",
        '+' | '†' => "t",
        '€' => "e",
        '£' => "le",
        '¢' | '©' | '(' => "c",
        '¥' => "y",
        '®' => "r",
        '×' => "x",
        _ => "",
    }
}

/// Whether a sign may replace any letter.
pub(crate) fn is_star(class: CharClass) -> bool {
    matches!(class, CharClass::Sign('*' | '∗' | '✱' | '⁎' | '•' | '●' | '☆' | '★'))
}

/// Whether a sign within a word may replace any letter. Dots and slashes may not, because they occur in `J.P.` too.
pub(crate) fn is_blank(class: CharClass) -> bool {
    matches!(class, CharClass::Sign('_' | '-' | '#' | '%' | '&' | '^' | '~' | '?' | '@' | '$' | '!' | '+' | '='))
}

/// Characters that reverse the direction of the text after them, whatever its script; no language needs them.
pub(crate) fn turns_around(c: char) -> bool {
    matches!(c, '\u{202d}' | '\u{202e}')
}
