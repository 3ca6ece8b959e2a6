//! Finding links in a text as X does, by the rules of twitter-text, with `https://` in front or without.

use std::{collections::HashSet, ops::Range, sync::LazyLock};

static DOMAINS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let lines = include_str!("../../data/domains.txt").lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_ascii_whitespace).collect()
});

/// Characters of the longest top-level domain that is not in ASCII.
const LONGEST: usize = 20;

/// The links of a text, in order, as ranges of bytes.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut links: Vec<Range<usize>> = Vec::new();
    for (at, c) in text.char_indices() {
        let inside = links.last().is_some_and(|link| at < link.end);
        if !inside && c.is_alphanumeric() {
            links.extend(link_at(text, at));
        }
    }
    links
}

/// The link that starts at `at`.
fn link_at(text: &str, at: usize) -> Option<Range<usize>> {
    let (before, rest) = text.split_at(at);
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| rest.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    if if scheme.is_some() { is_tied(before) } else { is_inside(before) } {
        return None;
    }
    let host_start = scheme.map_or(0, str::len);
    let host = host_length(&rest[host_start..], scheme.is_some())?;
    let mut end = host_start + host;
    let path = end + port_length(&rest[end..]);
    // Without a scheme, X leaves a port and a query out of the link, unless there is a path.
    if scheme.is_some() || rest[path..].starts_with('/') {
        end = path + path_length(&rest[path..]);
    }
    Some(at..at + end)
}

/// Whether a scheme directly after this text does not begin a link. A letter of another script does not prevent one.
fn is_tied(before: &str) -> bool {
    before.ends_with(|c: char| c.is_ascii_alphanumeric() || "@＠$#＃".contains(c))
}

/// Whether a host directly after this text is part of something longer.
fn is_inside(before: &str) -> bool {
    let mut back = before.chars().rev();
    match back.next() {
        // After a label in another script, which X leaves out of the link.
        Some('.' | '-') => !back.next().is_some_and(|c| c.is_alphanumeric() && !is_latin(c)),
        Some(c) => is_latin(c) || "@$#_/".contains(c),
        None => false,
    }
}

/// A letter or digit of a host that is linked without a scheme.
fn is_latin(c: char) -> bool {
    c.is_ascii_alphanumeric() || (c.is_alphabetic() && matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}'))
}

/// The length of the longest host at the start of `text`: labels with dots between, the last a top-level domain.
fn host_length(text: &str, with_scheme: bool) -> Option<usize> {
    let is_host = |c: char| is_latin(c) || matches!(c, '.' | '-' | '_') || (with_scheme && c.is_alphanumeric());
    let run = &text[..text.find(|c: char| !is_host(c)).unwrap_or(text.len())];
    let (mut longest, mut end, mut before) = (None, 0, "");
    for (nth, label) in run.split('.').enumerate() {
        let start = end + usize::from(nth > 0);
        if nth > 0 && !before.contains('_') {
            longest = domain_length(&text[start..], label, with_scheme).map(|length| start + length).or(longest);
        }
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
            break;
        }
        (end, before) = (start + label.len(), label);
    }
    longest
}

/// The length of the top-level domain at the start of `text`, which begins with `label`. A known one may be followed by letters of
/// another script; an unknown one must be the whole label, and come after a scheme.
fn domain_length(text: &str, label: &str, with_scheme: bool) -> Option<usize> {
    let ascii = &label[..label.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(label.len())];
    let is_coded = label.len() > 4 && label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    let is_plausible = label.chars().count() >= 2 && label.chars().all(char::is_alphabetic);
    let length = if DOMAINS.contains(ascii.to_ascii_lowercase().as_str()) {
        ascii.len()
    } else if let Some(length) = foreign_length(text) {
        length
    } else if is_coded || (with_scheme && is_plausible) {
        label.len()
    } else {
        return None;
    };
    let goes_on = text[length..].starts_with(|c: char| c.is_ascii_alphanumeric() || "@+-".contains(c));
    (!goes_on).then_some(length)
}

/// The length of the longest top-level domain with letters beyond ASCII at the start of `text`.
fn foreign_length(text: &str) -> Option<usize> {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8()).take(LONGEST);
    ends.filter(|end| !text[..*end].is_ascii() && DOMAINS.contains(text[..*end].to_lowercase().as_str())).last()
}

fn port_length(text: &str) -> usize {
    let Some(digits) = text.strip_prefix(':') else { return 0 };
    let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if length == 0 { 0 } else { 1 + length }
}

/// The length of path and query at the start of `text`, without the punctuation of the sentence around.
fn path_length(text: &str) -> usize {
    if !text.starts_with(['/', '?']) {
        return 0;
    }
    let belongs = |c: char| c.is_alphanumeric() && u32::from(c) < 0x530 || "!?*'();:&=+$/%#[]-_.,~|@".contains(c);
    let mut path = &text[..text.find(|c: char| !belongs(c)).unwrap_or(text.len())];
    while let Some(last) = path.chars().next_back() {
        let balanced = last == ')' && path.matches('(').count() >= path.matches(')').count();
        if last.is_alphanumeric() || "=_#/+-&".contains(last) || balanced {
            break;
        }
        path = &path[..path.len() - last.len_utf8()];
    }
    path.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Vec<&str> {
        find(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn links_are_found_in_running_text() {
        assert_eq!(
            links("See HTTPS://Example.com/a?b=c&d, bet.com:8080/x. And t.co/1; https://пример.рф/путь!"),
            ["HTTPS://Example.com/a?b=c&d", "bet.com:8080/x", "t.co/1", "https://пример.рф/путь"]
        );
        assert_eq!(links("example.com.Another one"), ["example.com"]);
        assert_eq!(links("(https://en.example.org/Odds_(betting)) here"), ["https://en.example.org/Odds_(betting)"]);
    }

    #[test]
    fn a_host_under_any_top_level_domain_is_a_link_without_a_scheme() {
        for text in
            ["scam.top", "x.lol", "y.loans", "z.icu", "A.ZIP", "we.win", "bit.ly", "abc.中国", "a.xn--p1ai", "zoë.io"]
        {
            assert_eq!(links(text), [text]);
        }
        assert_eq!(
            links("Ride it.Now or x.vermögensberater"),
            ["it.Now", "x.vermögensberater"],
            "also without a space"
        );
        assert_eq!(links("a_b.example.top/x, bet.com_x"), ["a_b.example.top/x", "bet.com"]);
        assert_eq!(links("bet.com?x=1 bet.com:80, bet.com/?x=1"), ["bet.com", "bet.com", "bet.com/?x=1"]);
    }

    #[test]
    fn letters_of_another_script_around_a_link_hide_nothing_of_it() {
        assert_eq!(links("приветscam.top и тут.scam.top и вот-scam.top"), ["scam.top", "scam.top", "scam.top"]);
        assert_eq!(links("賭けbet.comで、_https://bet.comへ"), ["bet.com", "https://bet.com"]);
        assert_eq!(links("тутhttps://a.de и ＃https://a.de"), ["https://a.de"]);
    }

    #[test]
    fn addresses_names_and_numbers_are_no_links() {
        for text in [
            "me@example.com",
            "john.do@example.com",
            "@bet.com",
            "lol.中国91",
            "＃https://a.de",
            "1.91",
            "-3.5",
            "vs.the",
            "$a.com",
            "x/y.com",
            "Lakers.Great win",
            "good.ok",
            "a_b.top",
            "bet.com-x",
            "bet.com+x",
            "St.Louis",
            "привет.орг",
        ] {
            assert!(find(text).is_empty(), "{text}: {:?}", links(text));
        }
    }
}
