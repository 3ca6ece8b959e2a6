//! Finding personal data: addresses and numbers, recognized by their form, and by check digits where they have some.

use std::ops::Range;

use crate::{
    Code,
    fold::{Folded, SourceChar},
    wallets,
};

/// Finds personal data; ranges are bytes of the text.
pub(crate) fn find(folded: &Folded, mut found: impl FnMut(Code, Range<usize>)) {
    let text = TextChars { seen: &folded.seen, chars: folded.seen.iter().map(|seen| seen.c).collect() };
    let mut tell = |code, at: Range<usize>| {
        if let (Some(first), Some(last)) = (text.seen.get(at.start), text.seen.get(at.end.wrapping_sub(1))) {
            found(code, first.at.start..last.at.end);
        }
    };
    emails(&text.chars, |at| tell(Code::Email, at));
    ibans(&text.chars, |at| tell(Code::Iban, at));
    addresses_of_machines(&text.chars, |at| tell(Code::IpAddress, at));
    for number in numbers(&text.chars) {
        if let Some(code) = number.code(&text.chars) {
            tell(code, number.at);
        }
    }
    spread_phones(&text.chars, |at| tell(Code::Phone, at));
    streets(&text.chars, |at| tell(Code::StreetAddress, at));
    wallets::find(&text.chars, |at| tell(Code::Wallet, at));
}

struct TextChars<'t> {
    seen: &'t [SourceChar],
    chars: Vec<char>,
}

fn back_while(chars: &[char], from: usize, fits: impl Fn(char) -> bool) -> usize {
    chars[..from].iter().rposition(|c| !fits(*c)).map_or(0, |at| at + 1)
}

fn on_while(chars: &[char], from: usize, fits: impl Fn(char) -> bool) -> usize {
    chars[from..].iter().position(|c| !fits(*c)).map_or(chars.len(), |n| from + n)
}

/// `name@host.tld`, and the same with spelled-out signs: `name at host dot tld`, `name[at]host[dot]tld`.
fn emails(chars: &[char], mut found: impl FnMut(Range<usize>)) {
    let local = |c: char| c.is_ascii_alphanumeric() || "._%+-".contains(c);
    for at in (0..chars.len()).filter(|at| chars[*at] == '@') {
        let start = back_while(chars, at, local);
        let mut end = on_while(chars, at + 1, |c| c.is_ascii_alphanumeric() || ".-".contains(c));
        while end > at && ".-".contains(chars[end - 1]) {
            end -= 1;
        }
        if start < at && is_domain(&chars[at + 1..end.max(at + 1)]) {
            found(start..end);
        }
    }
    let words = words(chars);
    let bare = |at: &Range<usize>| -> String {
        chars[at.clone()].iter().filter(|c| !"[](){}<>".contains(**c)).collect::<String>().to_lowercase()
    };
    for window in words.windows(5) {
        let [name, at, host, dot, domain] = window else { continue };
        let is_domain = |text: String| {
            let text = text.trim_end_matches(['.', ',', '!', '?']).to_owned();
            (2..=6).contains(&text.len()) && text.chars().all(|c| c.is_ascii_lowercase())
        };
        let is_name = bare(name).chars().all(local);
        if bare(at) == "at" && bare(dot) == "dot" && is_name && is_domain(bare(domain)) && !bare(host).is_empty() {
            found(name.start..domain.end);
        }
    }
    for word in &words {
        let text: String = chars[word.clone()].iter().collect::<String>().to_lowercase();
        let signs = text.replace("[at]", "@").replace("(at)", "@").replace("[dot]", ".").replace("(dot)", ".");
        if let Some((name, host)) = signs.split_once('@')
            && signs != text
            && !name.is_empty()
            && is_domain(&host.chars().collect::<Vec<_>>())
        {
            found(word.clone());
        }
    }
}

fn is_domain(chars: &[char]) -> bool {
    let text: String = chars.iter().collect();
    let (host, last) = text.rsplit_once('.').unwrap_or_default();
    !host.is_empty() && last.len() >= 2 && last.chars().all(|c| c.is_ascii_alphabetic())
}

/// Ranges without white space.
fn words(chars: &[char]) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let end = on_while(chars, at, |c| !c.is_whitespace());
        if end > at {
            words.push(at..end);
        }
        at = end + 1;
    }
    words
}

/// Digits in groups, with one space or sign between two groups.
struct DigitGroups {
    at: Range<usize>,
    groups: Vec<String>,
    signs: Vec<char>,
    plus: bool,
}

fn numbers(chars: &[char]) -> Vec<DigitGroups> {
    let digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let mut numbers = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let plus = chars[at] == '+' && (digit(at + 1) || chars.get(at + 1) == Some(&'('));
        let bracket = at + usize::from(plus);
        let opened = chars.get(bracket) == Some(&'(') && digit(bracket + 1);
        let first = bracket + usize::from(opened);
        if !digit(first) {
            at += 1;
            continue;
        }
        let (mut end, mut groups, mut signs) = (first, Vec::new(), Vec::new());
        loop {
            let stop = on_while(chars, end, |c| c.is_ascii_digit());
            groups.push(chars[end..stop].iter().collect());
            end = stop;
            let closed = usize::from(chars.get(end) == Some(&')'));
            let sign = chars.get(end + closed).copied().filter(|c| BETWEEN.contains(*c));
            let next = end + closed + usize::from(sign.is_some());
            let opens = usize::from(chars.get(next) == Some(&'('));
            if next + opens == end || !digit(next + opens) {
                break;
            }
            signs.push(sign.unwrap_or(')'));
            end = next + opens;
        }
        numbers.push(DigitGroups { at: at..end, groups, signs, plus });
        at = end.max(at + 1);
    }
    numbers
}

/// The characters between the groups of a number.
const BETWEEN: &str = " -./\u{2010}\u{2011}\u{2013}";
/// The most such characters between two groups of a spread-out number.
const SPREAD: usize = 5;

/// `212 - 555 - 0123`: an American number with more between its groups than one sign.
fn spread_phones(chars: &[char], mut found: impl FnMut(Range<usize>)) {
    let group = |at: usize, length: usize| {
        let end = on_while(chars, at, |c| c.is_ascii_digit());
        (end - at == length).then_some(end)
    };
    let begins = |at: usize| matches!(chars.get(at), Some('2'..='9'));
    let next = |at: usize| {
        let end = on_while(chars, at, |c| c == ')' || BETWEEN.contains(c));
        (1..=SPREAD).contains(&(end - at)).then_some(end)
    };
    for start in (0..chars.len()).filter(|at| begins(*at) && !is_part(chars, *at)) {
        let exchange = group(start, 3).and_then(next).filter(|at| begins(*at));
        let serial = exchange.and_then(|at| group(at, 3)).and_then(next);
        if let Some(end) = serial.and_then(|at| group(at, 4)) {
            found(start..end);
        }
    }
}

/// Whether the number that starts here is part of odds, a price, a name or a larger number.
fn is_part(chars: &[char], start: usize) -> bool {
    let before = start.checked_sub(1).map(|at| chars[at]);
    before.is_some_and(|c| c.is_alphanumeric() || "-+$€£#.,@".contains(c))
}

/// Words that come before a phone number.
const CALL: [&str; 12] =
    ["call", "text", "phone", "tel", "cell", "mobile", "whatsapp", "number", "reach", "dial", "sms", "contact"];

impl DigitGroups {
    fn code(&self, chars: &[char]) -> Option<Code> {
        if is_part(chars, self.at.start) {
            return None;
        }
        let digits: String = self.groups.concat();
        let lengths: Vec<usize> = self.groups.iter().map(String::len).collect();
        match lengths.as_slice() {
            [4, 2, 2] | [2, 2, 4] | [4, 2, 2, ..] => return None,
            [3, 2, 4] if self.signs.iter().all(|sign| *sign != '.') && is_national_id(&self.groups) => {
                return Some(Code::NationalId);
            }
            _ => {}
        }
        if is_card(&digits, &lengths) {
            return Some(Code::Card);
        }
        self.is_phone(&digits, &lengths, chars).then_some(Code::Phone)
    }

    fn is_phone(&self, digits: &str, lengths: &[usize], chars: &[char]) -> bool {
        let american = |from: usize| {
            let begins = |group: &String| group.starts_with(|c: char| ('2'..='9').contains(&c));
            begins(&self.groups[from]) && begins(&self.groups[from + 1])
        };
        let is_american = match lengths {
            [3, 3, 4] => american(0),
            [1, 3, 3, 4] => self.groups[0] == "1" && american(1),
            _ => false,
        };
        is_american
            || (self.plus && (8..=15).contains(&digits.len()))
            || (digits.starts_with("00") && (10..=15).contains(&digits.len()))
            || (digits.starts_with('0') && (9..=11).contains(&digits.len()) && lengths.len() >= 2)
            || ((9..=11).contains(&digits.len()) && self.follows_a_call(chars))
    }

    fn follows_a_call(&self, chars: &[char]) -> bool {
        let from = self.at.start.saturating_sub(24);
        let before = chars[from..self.at.start].iter().collect::<String>().to_lowercase();
        before.split(|c: char| !c.is_alphabetic()).any(|word| CALL.contains(&word))
    }
}

/// A US social security number: area, group and serial number, none of them zero.
fn is_national_id(groups: &[String]) -> bool {
    let [area, group, serial] = groups else { return false };
    area != "000" && area != "666" && !area.starts_with('9') && group != "00" && serial != "0000"
}

/// By length, first digits and the check digit of ISO/IEC 7812 (Luhn).
fn is_card(digits: &str, lengths: &[usize]) -> bool {
    let grouped = matches!(lengths, [13..=19] | [4, 4, 4, 1..=4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4 | 5]);
    let issued = match digits.as_bytes().first() {
        Some(b'3'..=b'6') => true,
        Some(b'2') => digits.len() == 16 && ("2221".."2721").contains(&&digits[..4]),
        _ => false,
    };
    grouped && issued && luhn(digits)
}

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(nth, byte)| {
            let digit = u32::from(byte - b'0');
            let doubled = if nth % 2 == 1 { digit * 2 } else { digit };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// By its form and the check digits of ISO 13616 (the number modulo 97 is 1).
fn ibans(chars: &[char], mut found: impl FnMut(Range<usize>)) {
    for start in 0..chars.len() {
        let head = &chars[start..(start + 4).min(chars.len())];
        let begins = matches!(head, [a, b, c, d]
            if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit());
        if !begins || (start > 0 && chars[start - 1].is_alphanumeric()) {
            continue;
        }
        let mut number = String::new();
        let mut longest = None;
        let mut at = start;
        while at < chars.len() && number.len() < 34 {
            let c = chars[at];
            if c.is_ascii_alphanumeric() {
                number.push(c.to_ascii_uppercase());
            } else if c != ' ' || chars[at - 1] == ' ' {
                break;
            }
            at += 1;
            let ends = chars.get(at).is_none_or(|c| !c.is_alphanumeric());
            if ends && c != ' ' && number.len() >= 15 && remainder_97(&number) == Some(1) {
                longest = Some(at);
            }
        }
        if let Some(end) = longest {
            found(start..end);
        }
    }
}

fn remainder_97(iban: &str) -> Option<u32> {
    let turned = iban[4..].chars().chain(iban[..4].chars());
    turned.into_iter().try_fold(0, |rest, c| {
        let value = c.to_digit(36)?;
        Some((if value > 9 { rest * 100 } else { rest * 10 } + value) % 97)
    })
}

/// Four numbers up to 255 with dots between.
fn addresses_of_machines(chars: &[char], mut found: impl FnMut(Range<usize>)) {
    let part = |c: char| c.is_ascii_digit() || c == '.';
    let mut at = 0;
    while at < chars.len() {
        let mut end = on_while(chars, at, part);
        let next = end + 1;
        while end > at && chars[end - 1] == '.' {
            end -= 1;
        }
        let text: String = chars[at..end].iter().collect();
        let numbers: Vec<Option<u8>> = text.split('.').map(|number| number.parse().ok()).collect();
        let stands_alone = at == 0 || !chars[at - 1].is_alphanumeric();
        if stands_alone && numbers.len() == 4 && numbers.iter().all(Option::is_some) {
            found(at..end);
        }
        at = next;
    }
}

const STREETS: [&str; 24] = [
    "street",
    "st",
    "avenue",
    "ave",
    "road",
    "rd",
    "boulevard",
    "blvd",
    "lane",
    "ln",
    "drive",
    "dr",
    "court",
    "ct",
    "place",
    "pl",
    "terrace",
    "square",
    "crescent",
    "highway",
    "hwy",
    "parkway",
    "pkwy",
    "way",
];

/// `221B Baker Street`, `Hauptstraße 12`, `PO Box 7`.
fn streets(chars: &[char], mut found: impl FnMut(Range<usize>)) {
    let words = words(chars);
    let text = |at: &Range<usize>| chars[at.clone()].iter().collect::<String>();
    let is_capital = |word: &str| word.starts_with(char::is_uppercase);
    let is_number = |word: &str| {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        (1..=5).contains(&digits.len()) && word.len() <= digits.len() + 1 && digits.bytes().all(|b| b.is_ascii_digit())
    };
    for (nth, word) in words.iter().enumerate() {
        let first = text(word);
        let lower = first.to_lowercase();
        let next = words.get(nth + 1).map(&text).unwrap_or_default();
        let is_german = ["strasse", "straße", "str."].iter().any(|end| lower.ends_with(end)) && lower.len() > 5;
        if is_german && is_capital(&first) && is_number(next.trim_end_matches(['.', ',', '!', '?'])) {
            found(word.start..words[nth + 1].end);
        }
        let box_number = words.get(nth + 2).map(&text).unwrap_or_default();
        if matches!(lower.as_str(), "po" | "p.o.")
            && next.eq_ignore_ascii_case("box")
            && is_number(box_number.trim_end_matches(['.', ',']))
        {
            found(word.start..words[nth + 2].end);
        }
        if !is_number(&first) {
            continue;
        }
        for length in 1..=3 {
            let Some(last) = words.get(nth + 1 + length) else { break };
            let names = &words[nth + 1..=nth + length];
            let all_names = names.iter().map(&text).all(|name| is_capital(&name) && !name.ends_with([',', '!', '?']));
            let ending = text(last);
            let bare = ending.trim_end_matches(['.', ',', ';', '!', '?', ')']);
            let is_street = is_capital(&ending) && STREETS.contains(&bare.to_lowercase().as_str());
            let closes = ending.ends_with([',', ';', '!', '?', ')']);
            let goes_on = words.get(nth + 2 + length).map(&text).is_some_and(|word| is_capital(&word));
            if all_names && is_street && (closes || !goes_on) {
                found(word.start..last.end);
                break;
            }
        }
    }
}
