//! Splits a post into numbers, words and signs, the way people type picks.

use perch_odds::fold;
use unicode_normalization::UnicodeNormalization as _;

use super::{
    spoken::signs,
    stakes::{is_star, is_star_sign, is_unit, stakes},
    token::{Lexeme, Token},
};

/// The text with one form of each letter, digit, quote, dash, space and fraction, without links and invisible characters.
pub fn normalise(text: &str) -> String {
    let text = text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    let mut plain = String::with_capacity(text.len());
    for (n, line) in text.split(ends_line).enumerate() {
        if n > 0 {
            plain.push('\n');
        }
        for (m, word) in line.split(char::is_whitespace).enumerate() {
            if m > 0 {
                plain.push(' ');
            }
            if word.starts_with("http://") || word.starts_with("https://") {
                continue;
            }
            for c in word.chars() {
                normalise_char(c, &mut plain);
            }
        }
    }
    plain
}

fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn normalise_char(c: char, plain: &mut String) {
    match c {
        '\u{2010}'..='\u{2015}' | '−' | '˗' | '➖' | '﹘' | '﹣' | '－' => plain.push('-'),
        '＋' | '﹢' | '➕' => plain.push('+'),
        '‘' | '’' | 'ʼ' | '`' => plain.push('\''),
        '“' | '”' => plain.push('"'),
        // Joiners, variation selectors, soft hyphens, direction marks, and the sign of hashtags.
        '\u{fe0f}' | '\u{200b}'..='\u{200f}' | '\u{ad}' | '\u{2060}' | '\u{feff}' | '#' => {}
        '¼' => fraction(".25", plain),
        '½' => fraction(".5", plain),
        '¾' => fraction(".75", plain),
        c if c.is_whitespace() => plain.push(' '),
        // Wide, bold or circled letters and digits become plain ones.
        c => plain.extend(std::iter::once(c).nfkc()),
    }
}

fn fraction(decimals: &str, plain: &mut String) {
    if !plain.ends_with(|p: char| p.is_ascii_digit()) {
        plain.push('0');
    }
    plain.push_str(decimals);
}

/// Letters after which digits begin a separate number: `o25.5`, `ML-110`.
const BEFORE_NUMBER: [&str; 8] = ["o", "u", "ov", "un", "over", "under", "ml", "pk"];
/// Lines, odds and stakes have no more places than this.
const MOST_DECIMALS: u8 = 3;
/// Words whose full stop does not end a sentence.
const ABBREVIATED: [&str; 8] = ["st", "vs", "v", "jr", "sr", "sig", "man", "utd"];
/// Words that may follow a whole number without a space and are still separate words.
const AFTER_NUMBER: [&str; 10] = ["pts", "points", "yds", "yards", "rebs", "reb", "ast", "asts", "ml", "pt"];

/// The tokens of a normalised text.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, chars: text.char_indices().collect(), at: 0, spaced: true, out: Vec::new() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    signs(stakes(lexer.out))
}

struct Lexer<'a> {
    text: &'a str,
    chars: Vec<(usize, char)>,
    at: usize,
    spaced: bool,
    out: Vec<Token>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).map_or('\0', |c| c.1)
    }

    fn byte(&self, index: usize) -> usize {
        self.chars.get(index).map_or(self.text.len(), |c| c.0)
    }

    fn push(&mut self, lexeme: Lexeme, from: usize) {
        let (start, end) = (self.byte(from), self.byte(self.at));
        let text = self.text[start..end].to_owned();
        let folded = if matches!(lexeme, Lexeme::Sign(_)) { text.clone() } else { fold(&text) };
        self.out.push(Token { lexeme, text, folded, start, end, glued: !self.spaced });
        self.spaced = false;
    }

    fn step(&mut self) {
        let (from, c) = (self.at, self.peek(0));
        if c == '\n' {
            self.at += 1;
            self.push(Lexeme::Line, from);
            self.spaced = true;
        } else if c == ' ' {
            self.at += 1;
            self.spaced = true;
        } else if self.begins_number(0) || (matches!(c, '+' | '-') && self.begins_number(1)) {
            self.number();
        } else if c == '$' && self.begins_number(1) {
            self.at += 1;
            self.skip_while(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | 'k'));
            self.push(Lexeme::Word, from);
        } else if c.is_alphabetic() {
            self.word();
        } else if is_star_sign(c) {
            self.stars();
        } else {
            self.at += 1;
            self.push(Lexeme::Sign(c), from);
        }
    }

    /// Two to ten stars side by side are a stake; otherwise they are decoration.
    fn stars(&mut self) {
        let from = self.at;
        self.skip_while(is_star_sign);
        let lexeme = match u32::try_from(self.at - from) {
            Ok(n @ 2..=10) => Lexeme::Units(f64::from(n)),
            _ => Lexeme::Sign('⭐'),
        };
        self.push(lexeme, from);
    }

    fn begins_number(&self, ahead: usize) -> bool {
        self.peek(ahead).is_ascii_digit() || (self.peek(ahead) == '.' && self.peek(ahead + 1).is_ascii_digit())
    }

    fn skip_while(&mut self, keep: impl Fn(char) -> bool) {
        while self.at < self.chars.len() && keep(self.peek(0)) {
            self.at += 1;
        }
    }

    fn number(&mut self) {
        let from = self.at;
        let signed = matches!(self.peek(0), '+' | '-');
        if signed {
            self.at += 1;
        }
        self.skip_while(|c| c.is_ascii_digit());
        let mut decimals = 0;
        if self.peek(0) == '.' && self.peek(1).is_ascii_digit() {
            self.at += 1;
            let point = self.at;
            self.skip_while(|c| c.is_ascii_digit());
            decimals = u8::try_from(self.at - point).unwrap_or(u8::MAX);
        }
        let whole = !signed && decimals == 0;
        let after_side = self.out.last().is_some_and(|t| BEFORE_NUMBER.contains(&t.folded.as_str()));
        if whole && !after_side && self.continues_as_another_thing(from) {
            return;
        }
        if decimals > MOST_DECIMALS {
            self.push(Lexeme::Word, from);
            return;
        }
        let value = self.text[self.byte(from)..self.byte(self.at)].parse().unwrap_or(0.0);
        if !signed && self.peek(0) == '*' && !after_side {
            self.push(Lexeme::Units(value), from);
            self.at += 1;
            return;
        }
        let plus = self.peek(0) == '+' && !self.peek(1).is_ascii_digit();
        self.push(Lexeme::Number { value, signed, decimals, plus }, from);
        if plus {
            self.at += 1;
        }
    }

    /// Reads what only begins like a whole number: records, times, dates, percentages and words such as `49ers`. False if it is a number.
    fn continues_as_another_thing(&mut self, from: usize) -> bool {
        let (next, beyond) = (self.peek(0), self.peek(1));
        if next == '-' && beyond.is_ascii_digit() {
            self.skip_while(|c| c.is_ascii_digit() || c == '-');
            self.push(Lexeme::Record, from);
            return true;
        }
        if next == '/' && self.is_a_line_after(1) {
            return false;
        }
        if matches!(next, '/' | ':') && beyond.is_ascii_digit() {
            return self.fraction_or_date(from);
        } else if next == '-' && self.hyphenated_unit(from) {
            return true;
        } else if next == '%' {
            self.at += 1;
        } else if next == '-' && beyond.is_alphabetic() {
            self.skip_while(|c| c.is_alphanumeric() || c == '-');
        } else if next.is_alphabetic() || (next == '\'' && beyond.is_alphabetic()) {
            let rest = self.chars[self.at..].iter().map(|c| c.1);
            let letters: String = rest.take_while(|c| c.is_alphanumeric() || *c == '\'').collect();
            let suffix = letters.to_lowercase();
            if is_unit(&suffix) || AFTER_NUMBER.contains(&suffix.as_str()) {
                return false;
            }
            self.at += letters.chars().count();
        } else {
            return false;
        }
        self.push(Lexeme::Word, from);
        true
    }

    /// Whether a number with a decimal point follows, as after the slash in "2/2.5".
    fn is_a_line_after(&self, ahead: usize) -> bool {
        let rest = &self.chars[(self.at + ahead).min(self.chars.len())..];
        let digits = rest.iter().take_while(|c| c.1.is_ascii_digit()).count();
        digits > 0 && self.peek(ahead + digits) == '.' && self.peek(ahead + digits + 1).is_ascii_digit()
    }

    /// `11/10` as a price, `1/2u` as a stake; times and dates are words.
    fn fraction_or_date(&mut self, from: usize) -> bool {
        self.skip_while(|c| c.is_ascii_digit() || matches!(c, '/' | ':'));
        let digits = self.text[self.byte(from)..self.byte(self.at)].to_owned();
        let letters = self.at;
        self.skip_while(char::is_alphabetic);
        let suffix = self.text[self.byte(letters)..self.byte(self.at)].to_lowercase();
        let parts = digits.split_once('/').and_then(|(a, b)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?)));
        let lexeme = match parts {
            Some((1, 2)) if is_unit(&suffix) => Lexeme::Units(0.5),
            Some((won, stake)) if suffix.is_empty() && stake > 0 && (won, stake) != (1, 2) => {
                Lexeme::Fraction { won, stake }
            }
            _ => Lexeme::Word,
        };
        self.push(lexeme, from);
        true
    }

    /// `2-unit`, `3-star`.
    fn hyphenated_unit(&mut self, from: usize) -> bool {
        let rest = self.chars[self.at + 1..].iter().map(|c| c.1);
        let word: String = rest.take_while(|c| c.is_alphanumeric()).collect();
        let plain = word.to_lowercase();
        if !(is_unit(&plain) || is_star(&plain)) {
            return false;
        }
        let value = self.text[self.byte(from)..self.byte(self.at)].parse().unwrap_or(0.0);
        self.at += 1 + word.chars().count();
        self.push(Lexeme::Units(value), from);
        true
    }

    fn word(&mut self) {
        let from = self.at;
        loop {
            self.skip_while(char::is_alphabetic);
            let so_far = self.text[self.byte(from)..self.byte(self.at)].to_lowercase();
            let next = self.peek(0);
            if next.is_ascii_digit() && !BEFORE_NUMBER.contains(&so_far.as_str()) {
                self.skip_while(char::is_alphanumeric);
                continue;
            }
            let initial = so_far.rsplit('.').next().is_some_and(|part| part.chars().count() == 1);
            let dotted = next == '.' && initial && (self.peek(1).is_alphabetic() || so_far.contains('.'));
            if (next == '\'' || dotted) && self.peek(1).is_alphabetic() {
                self.at += 1;
                continue;
            }
            let capital = self.chars[from].1.is_uppercase() && !so_far.starts_with(['u', 'w', 'l']);
            let lone_initial = initial && capital && self.peek(1) == ' ';
            if next == '.' && (dotted || lone_initial || ABBREVIATED.contains(&so_far.as_str())) {
                self.at += 1;
            }
            break;
        }
        self.push(Lexeme::Word, from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexemes(text: &str) -> Vec<Lexeme> {
        tokens(&normalise(text)).into_iter().map(|t| t.lexeme).collect()
    }

    fn number(value: f64, signed: bool, decimals: u8) -> Lexeme {
        Lexeme::Number { value, signed, decimals, plus: false }
    }

    #[test]
    fn a_side_glued_to_its_line_is_two_tokens() {
        assert_eq!(lexemes("o25.5"), [Lexeme::Word, number(25.5, false, 1)]);
        assert_eq!(lexemes("U6-105"), [Lexeme::Word, number(6.0, false, 0), number(-105.0, true, 0)]);
    }

    #[test]
    fn records_scores_and_profits_are_no_lines() {
        assert_eq!(lexemes("7-2"), [Lexeme::Record]);
        assert_eq!(lexemes("+0.9u"), [Lexeme::Profit]);
        assert_eq!(lexemes("1.5 units"), [Lexeme::Units(1.5)]);
        assert_eq!(lexemes("half a unit"), [Lexeme::Units(0.5)]);
    }

    #[test]
    fn typographic_signs_read_like_plain_ones() {
        assert_eq!(lexemes("−3½"), [number(-3.5, true, 1)]);
        assert_eq!(lexemes("49ers"), [Lexeme::Word]);
        assert_eq!(tokens("T.J. Watt")[0].folded, "tj");
    }

    #[test]
    fn a_sign_may_be_a_word() {
        assert_eq!(lexemes("minus 3.5"), [number(-3.5, true, 1)]);
        assert_eq!(lexemes("laid the 7"), [number(-7.0, true, 0)]);
        assert_eq!(lexemes("getting 4.5"), [number(4.5, true, 1)]);
        assert_eq!(lexemes("plus 120"), [number(120.0, true, 0)]);
        assert_eq!(lexemes("getting 2u")[1], Lexeme::Units(2.0));
    }
}
