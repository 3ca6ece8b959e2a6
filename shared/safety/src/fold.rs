//! A text as it is read: what cannot be seen is left out, what looks like a letter is one.

use std::{cell::Cell, ops::Range};

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// What a character is to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// A letter, in lower case; one of a-z where it looks like one of them.
    Letter(char),
    Digit(char),
    /// Anything else that can be seen.
    Sign(char),
    Space,
    Apostrophe,
}

/// A character of the reading, and the bytes of the text that it stands for.
#[derive(Debug, Clone)]
pub(crate) struct Glyph {
    pub face: Face,
    pub at: Range<usize>,
}

impl Glyph {
    pub fn is_word(&self) -> bool {
        matches!(self.face, Face::Letter(_) | Face::Digit(_))
    }
}

/// A character as it is written, in compatible form.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub c: char,
    pub at: Range<usize>,
}

/// Steps of the search in one text. A post takes some ten thousand; only one that is made to be slow takes them all.
const STEPS: u32 = 20_000_000;

/// The two readings of a text.
#[derive(Debug)]
pub(crate) struct Folded {
    steps: Cell<u32>,
    pub glyphs: Vec<Glyph>,
    pub seen: Vec<Seen>,
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
            // A flag beside a word is no part of it.
            let is_flag = matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
            if is_flag != in_flags {
                glyphs.push(Glyph { face: Face::Space, at: start..start });
            }
            in_flags = is_flag;
            let c = enclosed(c).unwrap_or(c);
            for c in c.nfkd().filter(|c| !is_combining_mark(*c)) {
                seen.push(Seen { c, at: at.clone() });
                read(c, |face| glyphs.push(Glyph { face, at: at.clone() }));
            }
        }
        Self { steps: Cell::new(STEPS), glyphs, seen }
    }

    /// Takes a step; none when there are none left.
    pub fn step(&self) -> Option<()> {
        self.steps.set(self.steps.get().checked_sub(1)?);
        Some(())
    }

    /// Whether it was read to its end.
    pub fn was_read(&self) -> bool {
        self.steps.get() > 0
    }
}

fn read(c: char, mut push: impl FnMut(Face)) {
    if let Some(letters) = looks_like(c) {
        letters.chars().for_each(|c| push(Face::Letter(c)));
        return;
    }
    for c in c.to_lowercase() {
        match looks_like(c) {
            Some(letters) => letters.chars().for_each(|c| push(Face::Letter(c))),
            None => push(face(c)),
        }
    }
}

fn face(c: char) -> Face {
    match c {
        '\'' | '’' | '‘' | '`' | '´' | 'ʼ' | '′' => Face::Apostrophe,
        c if c.is_whitespace() => Face::Space,
        c if c.is_numeric() => Face::Digit(c),
        c if c.is_alphabetic() => Face::Letter(c),
        c => Face::Sign(c),
    }
}

/// Characters that take no room: joiners, directions, variations, fillers, tags, soft hyphens, marks on other letters.
fn is_invisible(c: char) -> bool {
    is_combining_mark(c)
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
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

/// The Latin letters that a letter of another script, or a rare Latin one, is taken for.
fn looks_like(c: char) -> Option<&'static str> {
    Some(match c {
        'а' | 'α' | 'ɑ' | 'ᴀ' | 'ⲁ' | 'Ꭺ' | 'ꭺ' | 'Λ' | 'ɐ' | 'Α' | 'А' => "a",
        'в' | 'В' | 'Β' | 'β' | 'ь' | 'Ь' | 'б' | 'ʙ' | 'ƅ' | 'ɓ' | 'Ᏼ' | 'ꮟ' => "b",
        'с' | 'С' | 'ϲ' | 'Ϲ' | 'ᴄ' | 'ς' | 'ⲥ' | 'ƈ' | 'ꮯ' | 'Ꮯ' => "c",
        'ԁ' | 'ɗ' | 'ᴅ' | 'đ' | 'ð' | 'ɖ' | 'Ꭰ' | 'ꭰ' => "d",
        'е' | 'Е' | 'є' | 'ε' | 'Ε' | 'ɛ' | 'ᴇ' | 'ə' | 'ɘ' | 'ǝ' | 'э' | '℮' | 'ҽ' | 'Ꭼ' | 'ꭼ' => {
            "e"
        }
        'ƒ' | 'ғ' | 'ꜰ' | 'ϝ' | 'ք' | 'ẝ' | 'Ϝ' => "f",
        'ɡ' | 'ɢ' | 'ց' | 'ԍ' | 'ǥ' | 'ɠ' | 'Ꮐ' => "g",
        'н' | 'Н' | 'Η' | 'һ' | 'ʜ' | 'ħ' | 'ɦ' | 'հ' | 'Ꮋ' | 'ꮋ' => "h",
        'і' | 'І' | 'ı' | 'ι' | 'Ι' | 'ɪ' | 'ɩ' | 'ӏ' | 'Ӏ' | 'ɨ' | 'Ꭵ' | 'ꭵ' => "i",
        'ј' | 'Ј' | 'ʝ' | 'ᴊ' | 'ϳ' | 'ɉ' | 'Ꭻ' => "j",
        'к' | 'К' | 'κ' | 'Κ' | 'ᴋ' | 'қ' | 'ƙ' | 'ҝ' | 'Ꮶ' | 'ꮶ' => "k",
        'ł' | 'ʟ' | 'ɭ' | 'ƚ' | 'ǀ' | 'ɫ' | 'Ꮮ' | 'ꮮ' => "l",
        'м' | 'М' | 'Μ' | 'ᴍ' | 'ɱ' | 'Ꮇ' => "m",
        'п' | 'η' | 'Ν' | 'ո' | 'ɴ' | 'ŋ' | 'ɲ' | 'и' | 'ƞ' => "n",
        'о' | 'О' | 'ο' | 'Ο' | 'ᴏ' | 'ø' | 'σ' | 'օ' | 'ө' | 'ɵ' | 'ⲟ' | 'Ꮎ' => "o",
        'р' | 'Р' | 'ρ' | 'Ρ' | 'ᴘ' | 'þ' | 'ƥ' | 'ⲣ' | 'Ꮲ' => "p",
        'ԛ' | 'գ' | 'ʠ' | 'զ' => "q",
        'г' | 'ʀ' | 'я' | 'ɾ' | 'ɼ' | 'ꭇ' | 'Ꭱ' | 'ɹ' => "r",
        'ѕ' | 'Ѕ' | 'ꜱ' | 'ʂ' | 'ƨ' | 'ʃ' | 'Ꮪ' | 'ꮪ' => "s",
        'т' | 'Т' | 'τ' | 'Τ' | 'ᴛ' | 'ŧ' | 'ƭ' | 'Ꭲ' => "t",
        'υ' | 'ս' | 'ᴜ' | 'μ' | 'ц' | 'ʋ' | 'ʊ' | 'ʉ' => "u",
        'ν' | 'ѵ' | 'ᴠ' | 'Ꮩ' | 'ꮩ' => "v",
        'ԝ' | 'ω' | 'ш' | 'щ' | 'ᴡ' | 'ա' | 'ʍ' | 'Ꮃ' | 'ꮃ' => "w",
        'х' | 'Х' | 'χ' | 'Χ' | 'ҳ' => "x",
        'у' | 'У' | 'ү' | 'Ү' | 'γ' | 'Υ' | 'ʏ' | 'ყ' | 'ɏ' => "y",
        'ᴢ' | 'ʐ' | 'ƶ' | 'ζ' | 'Ζ' | 'ȥ' | 'Ꮓ' => "z",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ß' | 'ẞ' => "ss",
        _ => return None,
    })
}

/// Whether a character may stand for this letter.
pub(crate) fn spells(face: Face, letter: char) -> bool {
    match face {
        Face::Letter(c) => c == letter,
        Face::Digit(d) => d == letter || digit_letters(d).contains(letter),
        Face::Sign(s) => sign_letters(s).contains(letter),
        Face::Space | Face::Apostrophe => false,
    }
}

fn digit_letters(digit: char) -> &'static str {
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

fn sign_letters(sign: char) -> &'static str {
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

/// Whether a sign is written in place of any letter.
pub(crate) fn is_star(face: Face) -> bool {
    matches!(face, Face::Sign('*' | '∗' | '✱' | '⁎' | '•' | '●' | '☆' | '★'))
}
