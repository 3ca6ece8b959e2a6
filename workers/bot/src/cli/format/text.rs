//! Makes untrusted texts safe for a terminal.

use std::{borrow::Cow, fmt::Write as _};

use ratatui::text::Span;

/// The width of a text in columns.
pub fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text on one line, without characters that a terminal acts on and with single spaces.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut blank = false;
    for c in text.chars().filter(|c| !is_invisible(*c)) {
        let is_blank = c.is_whitespace() || c.is_control();
        if !is_blank {
            line.push(c);
        } else if !blank && !line.is_empty() {
            line.push(' ');
        }
        blank = is_blank;
    }
    line.truncate(line.trim_end().len());
    line
}

/// The text on one line, with its spaces, without characters that a terminal acts on. The output does this to everything that it prints,
/// so callers need not.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().filter(|c| !is_invisible(*c));
    Cow::Owned(shown.map(|c| if c.is_control() || is_line_end(c) { ' ' } else { c }).collect())
}

/// The lines of a text, each cleaned by [`clean`].
pub fn clean_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(clean)
}

/// Escapes characters of a JSON text that a terminal acts on; the value stays the same. JSON by itself escapes only some of them.
pub fn escaped_json(json: String) -> String {
    let is_acted_on = |c: char| c != '\n' && (c.is_control() || is_line_end(c)) || is_invisible(c);
    if !json.contains(is_acted_on) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if is_acted_on(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Invisible characters: those that change the direction of a text, so that it reads differently, and those that make texts differ that
/// look the same. Joiners and variation selectors are kept, because words and emoji need them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' |
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// The text in at most `columns` columns; a cut is shown as `…`.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let more = width(c.encode_utf8(&mut [0; 4]));
        if used + more + 1 > columns {
            break;
        }
        used += more;
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The text in lines of at most `width` columns, wrapped between words. Its own line ends are kept.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in one_line(paragraph).split(' ') {
            if !line.is_empty() && self::width(&line) + 1 + self::width(word) > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// `1 job`, `2 jobs`; `1 reply`, `2 replies`; `1 entry of cron`, `2 entries of cron`.
pub fn count(n: impl TryInto<u64>, one: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    if n == 1 { format!("1 {one}") } else { format!("{} {}", thousands(n), plural(one)) }
}

/// The plural. It changes the last word before ` of `, ` in ` or ` without `, or the last word of all.
fn plural(one: &str) -> String {
    let (noun, rest) = match [" of ", " in ", " without "].iter().filter_map(|word| one.find(word)).min() {
        Some(at) => one.split_at(at),
        None => (one, ""),
    };
    let consonant_y = |stem: &str| !stem.ends_with(['a', 'e', 'i', 'o', 'u']);
    match noun.strip_suffix('y') {
        Some(stem) if consonant_y(stem) => format!("{stem}ies{rest}"),
        _ if noun.ends_with(['s', 'x']) || noun.ends_with("ch") || noun.ends_with("sh") => format!("{noun}es{rest}"),
        _ => format!("{noun}s{rest}"),
    }
}

/// A number with commas: `12,345`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_text_cannot_move_the_cursor_or_start_a_line() {
        assert_eq!(one_line("  first\n\tsecond\u{1b}[2J\r\n third \u{202e}x"), "first second [2J third x");
        assert_eq!(clean("a\nb  c\u{1b}[31m\u{9b}\u{200b}"), "a b  c [31m ");
    }

    #[test]
    fn a_text_is_cut_by_columns_and_says_so() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("a longer text", 9), "a longer…");
        assert_eq!(cut("日本語日本語", 5), "日本…");
        assert_eq!(cut("x", 0), "");
    }

    #[test]
    fn a_long_text_is_broken_between_words() {
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("first\nsecond", 80), ["first", "second"]);
        assert_eq!(wrapped("unbreakable", 4), ["unbreakable"]);
    }

    #[test]
    fn numbers_are_counted_and_grouped() {
        assert_eq!(count(1u64, "job"), "1 job");
        assert_eq!(count(12_345u64, "job"), "12,345 jobs");
        assert_eq!(thousands(1_000_000), "1,000,000");
        assert_eq!(thousands(999), "999");
        for (one, two) in [
            ("reply", "2 replies"),
            ("dead letter", "2 dead letters"),
            ("job in the list", "2 jobs in the list"),
            ("day", "2 days"),
            ("entry of cron", "2 entries of cron"),
            ("loss", "2 losses"),
        ] {
            assert_eq!(count(2u64, one), two);
        }
    }
}
