//! Plain text of bounded length.

const ELLIPSIS: char = '…';
/// It makes an emoji of a symbol.
const EMOJI_VARIATION: char = '\u{fe0f}';
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// The text on one line, without control and invisible characters. Whitespace of any kind and length becomes one space.
pub(super) fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(4_096));
    let mut is_apart = false;
    let mut joiner = None;
    for c in text.chars() {
        let before = line.chars().next_back();
        if c.is_whitespace() || c.is_control() {
            (is_apart, joiner) = (!line.is_empty(), None);
        } else if c == EMOJI_VARIATION {
            if !is_apart && before.is_some_and(|before| is_foreign(before) && is_visible(before)) {
                line.push(c);
            }
        } else if JOINERS.contains(&c) {
            joiner = joiner.or(Some(c));
        } else if is_visible(c) {
            let joiner = joiner.take().filter(|_| is_foreign(c) && before.is_some_and(is_foreign));
            let between = if std::mem::take(&mut is_apart) { Some(' ') } else { joiner };
            line.extend(between.into_iter().chain([c]));
        }
    }
    line
}

/// Whether a character is seen. Formatting, fillers, variations, tags and what is no character are not: they hide text from readers.
fn is_visible(c: char) -> bool {
    let is_hidden = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    !is_hidden && u32::from(c) & 0xfffe != 0xfffe
}

/// Whether joiners and variations may stand beside this character: emoji are joined of several, and Persian and Indic words need
/// joiners. Between other letters they only hide something.
fn is_foreign(c: char) -> bool {
    !c.is_ascii()
}

/// The text, cut after a word and ended with an ellipsis when it has more than `most` characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    match end(text, most) {
        None => text.to_owned(),
        Some(_) if most == 0 => String::new(),
        Some(_) => {
            let kept = &text[..end(text, most - 1).unwrap_or(text.len())];
            let mut kept = kept[..last_word(text, kept.len())].trim_end().to_owned();
            kept.push(ELLIPSIS);
            kept
        }
    }
}

/// Paragraphs joined to at most `count` texts of at most `most` characters. A text ends with a paragraph where possible, else with a
/// word; what comes after the last is dropped.
pub(super) fn pieces(paragraphs: &[String], most: usize, count: usize) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut length = 0;
    for paragraph in paragraphs {
        let mut rest = paragraph.as_str();
        while !rest.is_empty() {
            let (part, after) = part(rest, most);
            rest = after;
            let characters = part.chars().count();
            let fits = length + 1 + characters <= most;
            if let Some(piece) = pieces.last_mut().filter(|_| fits) {
                piece.extend([" ", part]);
                length += 1 + characters;
            } else if pieces.len() == count {
                return pieces;
            } else {
                pieces.push(part.to_owned());
                length = characters;
            }
        }
    }
    pieces
}

/// The beginning of a text, of at most `most` characters, and the rest.
fn part(text: &str, most: usize) -> (&str, &str) {
    let Some(end) = end(text, most.max(1)) else { return (text, "") };
    let (part, rest) = text.split_at(last_word(text, end));
    (part.trim_end(), rest.trim_start())
}

/// Where the text has `most` characters; `None` when it has no more.
fn end(text: &str, most: usize) -> Option<usize> {
    text.char_indices().nth(most).map(|(end, _)| end)
}

/// The end of the last whole word before `end`; `end` itself when that word is longer than half of the text.
fn last_word(text: &str, end: usize) -> usize {
    if text[end..].starts_with(' ') {
        return end;
    }
    text[..end].rfind(' ').filter(|space| *space >= end / 2).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whitespace_collapses_and_what_is_not_seen_is_dropped() {
        for (text, line) in [
            ("  a \t b\r\n\n c\u{a0}d \u{2003} ", "a b c d"),
            ("a\u{0}b\u{7}c\u{1b}[31md", "a b c [31md"),
            ("pa\u{200b}ss\u{ad}wo\u{feff}rd\u{202e}", "password"),
            ("a\u{e0041}\u{e0042}b\u{fffe}c", "abc"),
            ("a\u{200d}b 1\u{fe0f}", "ab 1"),
            ("👩\u{200d}👩\u{200d}👧 ❤\u{fe0f} می\u{200c}خواهم", "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f} می\u{200c}خواهم"),
            ("é\u{200d}\u{200d}\u{200d}é", "é\u{200d}é"),
            ("\u{200b}\u{3164}\u{2800}", ""),
        ] {
            assert_eq!(plain(text), line, "{text:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_after_a_word() {
        assert_eq!(cut("one two three", 13), "one two three");
        assert_eq!(cut("one two three", 12), "one two…");
        assert_eq!(cut("one two three", 8), "one two…");
        assert_eq!(cut("incomprehensibilities", 8), "incompr…");
        assert_eq!(cut("two", 1), "…");
        assert_eq!(cut("two", 0), "");
    }

    #[test]
    fn paragraphs_are_joined_as_long_as_they_fit_and_long_ones_go_on_in_the_next_text() {
        let all = ["one two".to_owned(), "three".to_owned(), "four five six seven".to_owned(), "eight".to_owned()];
        assert_eq!(pieces(&all, 13, 9), ["one two three", "four five six", "seven eight"]);
        assert_eq!(pieces(&all, 13, 2), ["one two three", "four five six"]);
        assert!(pieces(&all, 13, 0).is_empty());
        assert!(pieces(&[String::new()], 13, 9).is_empty());
    }

    proptest! {
        #[test]
        fn no_text_is_longer_than_its_bound(text in any::<String>(), most in 0_usize..40, count in 0_usize..5) {
            let line = plain(&text);
            prop_assert_eq!(plain(&line), line.clone());
            prop_assert!(cut(&line, most).chars().count() <= most);
            let pieces = pieces(&[line.clone(), line], most.max(1), count);
            prop_assert!(pieces.len() <= count && pieces.iter().all(|piece| piece.chars().count() <= most.max(1)));
        }
    }
}
