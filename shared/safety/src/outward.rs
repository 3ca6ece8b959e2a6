//! Where a text leads: links and handles.

use std::ops::Range;

use perch_clients::text;

/// The links whose hosts are not allowed.
pub(crate) fn links(text: &str, allowed: &[String], mut found: impl FnMut(Range<usize>)) {
    for link in text::links(text) {
        let host = host(&text[link.clone()]);
        let is_allowed = |name: &String| {
            host == *name || host.strip_suffix(name.as_str()).is_some_and(|sub| sub.ends_with('.') && sub.len() > 1)
        };
        if !allowed.iter().any(is_allowed) {
            found(link);
        }
    }
}

fn host(link: &str) -> String {
    let lower = link.to_lowercase();
    let rest = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    rest.split(['/', '?', ':', '#']).next().unwrap_or_default().to_owned()
}

/// The handles of others than the one who is answered. As X reads them: letters of another script may stand right before one.
pub(crate) fn handles(text: &str, answered: Option<&str>, mut found: impl FnMut(Range<usize>)) {
    let is_handle = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut before = None;
    for (at, c) in text.char_indices() {
        let continues = before.replace(c).is_some_and(is_handle);
        if continues || !matches!(c, '@' | '＠') {
            continue;
        }
        let name = &text[at + c.len_utf8()..];
        let name = &name[..name.find(|c| !is_handle(c)).unwrap_or(name.len())];
        let is_answered = answered.is_some_and(|handle| handle.eq_ignore_ascii_case(name));
        if !name.is_empty() && !is_answered {
            found(at..at + c.len_utf8() + name.len());
        }
    }
}
