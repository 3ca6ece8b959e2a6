//! Invisible characters: they can carry text that only machines read, and split words to hide them from a filter.

use std::ops::Range;

use unicode_normalization::char::is_combining_mark;

/// Characters without width: joiners, directions, variations, fillers, tags, soft hyphens, controls, combining marks.
pub(crate) fn is_invisible(c: char) -> bool {
    is_combining_mark(c) || is_hidden(c)
}

/// The same without combining marks, which are visible on their letters.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

/// Whether a text has no visible characters.
pub(crate) fn is_empty(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_invisible(c))
}

/// The hidden characters of a text. Legitimate uses do not count: joiners and variations within emoji, the flags of England, Scotland
/// and Wales, and what right-to-left writing, Indic scripts and Mongolian need.
pub(crate) fn find(text: &str, mut found: impl FnMut(Range<usize>)) {
    for (at, c) in hidden(text) {
        found(at..at + c.len_utf8());
    }
}

/// The text without hidden characters and with brackets of another kind, so that in a prompt it cannot forge a mark such as `</material>`.
pub fn unmarked(text: &str) -> String {
    visible(text).replace('<', "‹").replace('>', "›")
}

/// The text without hidden characters.
pub fn visible(text: &str) -> String {
    let hidden: Vec<usize> = hidden(text).into_iter().map(|(at, _)| at).collect();
    text.char_indices().filter(|(at, _)| hidden.binary_search(at).is_err()).map(|(_, c)| c).collect()
}

/// The hidden characters of a text, including those that become hidden once others are removed, such as a joiner that no longer joins.
fn hidden(text: &str) -> Vec<(usize, char)> {
    let mut left: Vec<(usize, char)> = text.char_indices().collect();
    let mut all = Vec::new();
    loop {
        let now: String = left.iter().map(|(_, c)| c).collect();
        let mut found = hidden_in(&now).map(|(at, _)| at).peekable();
        if found.peek().is_none() {
            all.sort_unstable();
            return all;
        }
        let mut at = 0;
        left.retain(|(place, c)| {
            let hides = found.next_if_eq(&at).is_some();
            at += c.len_utf8();
            if hides {
                all.push((*place, *c));
            }
            !hides
        });
    }
}

fn hidden_in(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let flags: Vec<Range<usize>> = FLAGS.iter().flat_map(|flag| text.match_indices(flag)).map(of_match).collect();
    let is_from_the_right = text.chars().any(is_right_to_left);
    let mut before = None;
    text.char_indices().filter(move |(at, c)| {
        let last: Option<char> = before;
        let next = || text[at + c.len_utf8()..].chars().next();
        let is_needed = match c {
            '\u{200d}' => last.is_some_and(is_joined) && next().is_some_and(is_joined),
            '\u{200c}' => last.is_some_and(joins_letters) && next().is_some_and(joins_letters),
            '\u{fe0e}' | '\u{fe0f}' => {
                last.is_some_and(|last| varies(last) || (is_on_keys(last) && next() == Some(KEYCAP)))
            }
            '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{2066}'..='\u{2069}' => is_from_the_right,
            '\u{180b}'..='\u{180e}' => last.is_some_and(is_mongolian),
            _ => flags.iter().any(|flag| flag.contains(at)),
        };
        let hides = is_hidden(*c) && !is_needed;
        // A hidden character does not count as a neighbour of the next one.
        if !hides {
            before = Some(*c);
        }
        hides
    })
}

/// The flags of England, Scotland and Wales: a black flag, tags, and the end tag.
const FLAGS: [&str; 3] = [
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];

fn of_match((at, found): (usize, &str)) -> Range<usize> {
    at..at + found.len()
}

/// Whether a joiner may stand next to this character: parts of an emoji, and letters that join.
fn is_joined(c: char) -> bool {
    is_picture(c) || joins_letters(c) || matches!(c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

fn is_picture(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}

/// Letters of Arabic and Indic scripts.
fn joins_letters(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{fb50}'..='\u{fdff}')
}

/// Letters of Mongolian; its variation selectors are only valid after one of them.
fn is_mongolian(c: char) -> bool {
    matches!(c, '\u{1820}'..='\u{1878}' | '\u{1880}'..='\u{18aa}')
}

/// Whether a character has a text form and an emoji form.
fn varies(c: char) -> bool {
    is_picture(c) || matches!(c, '©' | '®' | '‼' | '⁉' | '™' | '〰' | '〽' | '㊗' | '㊙')
}

/// Turns the character before it into a keycap emoji.
const KEYCAP: char = '\u{20e3}';

fn is_on_keys(c: char) -> bool {
    matches!(c, '0'..='9' | '#' | '*')
}

fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}
