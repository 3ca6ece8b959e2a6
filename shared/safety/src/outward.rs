//! Finding what leads out of a text: links, handles, hashtags and cashtags.

use std::ops::Range;

use perch_clients::text;

use crate::{
    fold::{Folded, SourceChar},
    hidden::is_invisible,
};

/// The links whose hosts are not allowed, including those with a disguised dot.
pub(crate) fn links(folded: &Folded, allowed: &[String], mut found: impl FnMut(Range<usize>)) {
    let joined = JoinedText::of(&folded.seen);
    for link in text::links(&joined.text) {
        let host = host(&joined.text[link.clone()]);
        let is_allowed = |name: &String| {
            host == *name || host.strip_suffix(name.as_str()).is_some_and(|sub| sub.ends_with('.') && sub.len() > 1)
        };
        if !allowed.iter().any(is_allowed) {
            found(joined.in_the_text(&link));
        }
    }
}

fn host(link: &str) -> String {
    let lower = link.to_lowercase();
    let rest = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    rest.split(['/', '?', ':', '#']).next().unwrap_or_default().to_owned()
}

/// The visible text, with disguised dots such as in `bet[.]com` and `bet .com` replaced by plain ones.
struct JoinedText {
    text: String,
    /// For each byte of it, the range in the original text.
    at: Vec<Range<usize>>,
}

impl JoinedText {
    fn of(seen: &[SourceChar]) -> Self {
        let mut joined = Self { text: String::with_capacity(seen.len()), at: Vec::with_capacity(seen.len()) };
        let mut at = 0;
        while at < seen.len() {
            let (c, taken) = dot_at(seen, at).unwrap_or((seen[at].c, 1));
            let place = seen[at].at.start..seen[at + taken - 1].at.end;
            joined.text.push(c);
            joined.at.extend(std::iter::repeat_n(place, c.len_utf8()));
            at += taken;
        }
        joined
    }

    fn in_the_text(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.at.get(range.start).map_or(0, |at| at.start);
        start..self.at.get(range.end.wrapping_sub(1)).map_or(start, |at| at.end)
    }
}

/// A dot with brackets or spaces around it, between letters, and how many characters it takes.
fn dot_at(seen: &[SourceChar], at: usize) -> Option<(char, usize)> {
    let c = |at: usize| seen.get(at).map(|seen| seen.c);
    let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let after_a_letter = at > 0 && is_letter(c(at - 1));
    let end = match [c(at)?, c(at + 1).unwrap_or(' '), c(at + 2).unwrap_or(' ')] {
        ['[' | '(' | '{' | '<', '.', ']' | ')' | '}' | '>'] | [' ', '.', ' '] => at + 3,
        [' ', '.', _] => at + 2,
        _ => return None,
    };
    (after_a_letter && c(end).is_some_and(|c| c.is_ascii_lowercase())).then_some(('.', end - at))
}

/// The handles other than `answered`, as X reads them: letters of another script may come directly before one.
pub(crate) fn handles(text: &str, answered: Option<&str>, mut found: impl FnMut(Range<usize>)) {
    tags(text, is_word, |sign, name, at| {
        let is_answered = answered.is_some_and(|handle| handle.eq_ignore_ascii_case(name));
        if matches!(sign, '@' | '＠' | '﹫') && !name.is_empty() && !is_answered {
            found(at);
        }
    });
}

/// Hashtags. A number alone is not one.
pub(crate) fn hashtags(text: &str, mut found: impl FnMut(Range<usize>)) {
    tags(
        text,
        |c| c.is_alphanumeric() || c == '_',
        |sign, name, at| {
            if matches!(sign, '#' | '＃' | '﹟') && name.contains(|c: char| !c.is_numeric()) {
                found(at);
            }
        },
    );
}

/// Cashtags: up to six letters.
pub(crate) fn cashtags(text: &str, mut found: impl FnMut(Range<usize>)) {
    tags(
        text,
        |c| c.is_alphanumeric() || c == '_',
        |sign, name, at| {
            let is_symbol = (1..=6).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphabetic());
            if matches!(sign, '$' | '＄' | '﹩') && is_symbol {
                found(at);
            }
        },
    );
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Every sign without a word directly before it, with the word after it. Invisible characters in between are ignored.
fn tags(text: &str, is_word: impl Fn(char) -> bool, mut found: impl FnMut(char, &str, Range<usize>)) {
    let seen: Vec<(usize, char)> = text.char_indices().filter(|(_, c)| !is_invisible(*c)).collect();
    for (nth, (at, sign)) in seen.iter().enumerate().filter(|(_, (_, c))| !c.is_alphanumeric()) {
        if nth > 0 && self::is_word(seen[nth - 1].1) {
            continue;
        }
        let word = seen[nth + 1..].iter().take_while(|(_, c)| is_word(*c));
        let name: String = word.clone().map(|(_, c)| *c).collect();
        let end = word.last().map_or(at + sign.len_utf8(), |(last, c)| last + c.len_utf8());
        found(*sign, &name, *at..end);
    }
}
