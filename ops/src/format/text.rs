//! Texts that other people wrote, made fit for a terminal.

use ratatui::text::Span;

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text on one line and without anything that a terminal would act on.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut blank = false;
    for c in text.chars() {
        let is_blank = c.is_whitespace() || c.is_control() || is_direction(c);
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

/// The text with its lines, and without anything else that a terminal would act on.
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !(c.is_control() || is_direction(*c))).collect()
}

/// Characters that turn the order of the text around, so that it would read as something else than it is.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text in at most `columns` columns; what is cut off shows as `…`.
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

/// The text in lines of at most `width` columns, broken between words; its own line ends are kept.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in one_line(paragraph).split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
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

/// `1 job`, `2 jobs`.
pub fn count(n: impl TryInto<u64>, one: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", thousands(n)) }
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
        assert_eq!(printable("a\nb\u{1b}[31m\u{9b}"), "a\nb[31m");
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
    }
}
