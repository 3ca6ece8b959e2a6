//! What a feed says in one entry, before it is made plain.

use chrono::{DateTime, Utc};

use super::{html, plain::plain};

/// The longest name of an entity, in bytes.
const MAX_ENTITY: usize = 32;

/// A text that is HTML or plain.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) is_html: bool,
}

impl Said {
    pub(super) fn html(text: String) -> Self {
        Self { text, is_html: true }
    }

    pub(super) fn plain(text: String) -> Self {
        Self { text, is_html: false }
    }

    /// The text on one line. Many feeds put HTML where plain text belongs, so what looks like it is read as such.
    pub(super) fn line(&self) -> String {
        if self.is_html || looks_like_html(&self.text) { html::text(&self.text) } else { plain(&self.text) }
    }
}

/// Whether there is a tag or an entity in a text.
fn looks_like_html(text: &str) -> bool {
    let last_end = text.rfind('>').unwrap_or(0);
    let is_tag = |at: usize| {
        let next = text[at + 1..].chars().next();
        at < last_end && next.is_some_and(|c| c.is_ascii_alphabetic() || c == '/' || c == '!')
    };
    let is_entity = |at: usize| {
        let name =
            text[at + 1..].bytes().take(MAX_ENTITY).take_while(|b| b.is_ascii_alphanumeric() || *b == b'#').count();
        name > 0 && text[at + 1 + name..].starts_with(';')
    };
    text.match_indices('<').any(|(at, _)| is_tag(at)) || text.match_indices('&').any(|(at, _)| is_entity(at))
}

/// An entry of a feed.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) id: Option<String>,
    pub(super) title: Said,
    /// The fullest text first; the first that is not empty is taken.
    pub(super) texts: [Said; 3],
    pub(super) link: Option<String>,
    pub(super) published_at: Option<DateTime<Utc>>,
}

impl Entry {
    /// The text on one line, empty when the entry has only a title.
    pub(super) fn text(&self) -> String {
        self.texts.iter().map(Said::line).find(|text| !text.is_empty()).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.title.text.is_empty() && self.texts.iter().all(|said| said.text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_with_markup_is_read_as_html_and_one_with_comparisons_is_not() {
        for (text, line) in [
            ("AT&amp;T <b>wins</b>", "AT&T wins"),
            ("1 < 2 > 0 & so on", "1 < 2 > 0 & so on"),
            ("a <3 b", "a <3 b"),
            ("caf&eacute;", "café"),
            ("R&D; more", "R&D; more"),
            ("1 < 2 <b>x", "1 < 2 x"),
        ] {
            assert_eq!(Said::plain(text.to_owned()).line(), line, "{text}");
        }
    }
}
