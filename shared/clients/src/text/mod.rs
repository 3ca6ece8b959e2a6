//! The length of a post as X counts it, and shortening to it.
//!
//! The counting is that of twitter-text's configuration, version 3: a post holds 280 units; a character weighs 1 in
//! a few ranges (Latin to Georgian, common punctuation) and 2 elsewhere; an emoji weighs 2, however many characters
//! it is made of; a link weighs 23, however long it is. The text is composed (Unicode NFC) before it is counted.
//!
//! Two things are approximated. Of emoji joined from several, any joining counts as one emoji, also one that no font
//! draws as one. With `https://` in front, a host under a domain that is not known yet is a link as well.

mod links;

use std::ops::{Range, RangeInclusive};

use unicode_normalization::UnicodeNormalization as _;
use unicode_segmentation::UnicodeSegmentation as _;

/// What a post may weigh on an account without a subscription.
pub const POST_UNITS: usize = 280;

/// What a post may weigh on an account that X lets write long posts.
pub const LONG_POST_UNITS: usize = 25_000;

/// What a post may weigh, on an account with or without long posts.
pub const fn post_units(long_posts: bool) -> usize {
    if long_posts { LONG_POST_UNITS } else { POST_UNITS }
}

/// What a link weighs.
const LINK_UNITS: usize = 23;
/// The characters that weigh 1.
const LIGHT: [RangeInclusive<u32>; 4] = [0..=4351, 8192..=8205, 8208..=8223, 8242..=8247];
const ELLIPSIS: &str = "…";
const EMOJI_VARIATION: char = '\u{FE0F}';

/// The length of a text in X's units; [`POST_UNITS`] fit in a post.
pub fn weighted_length(text: &str) -> usize {
    let text: String = text.nfc().collect();
    pieces(&text).iter().map(|piece| piece.units).sum()
}

/// Whether there is a link in a text.
pub fn has_link(text: &str) -> bool {
    !links::find(text).is_empty()
}

/// The parts of a text that X would turn into links, in order, as ranges of bytes.
pub fn links(text: &str) -> Vec<Range<usize>> {
    links::find(text)
}

/// The text, shortened to at most `max` units when it is longer.
///
/// A shortened text ends with an ellipsis, after a whole word if possible. Links and emoji are never cut: one that does not fit is
/// left out. If `max` is under 2 units, the weight of an ellipsis, a text that is too long becomes empty.
pub fn fit(text: &str, max: usize) -> String {
    if weighted_length(text) <= max {
        return text.to_owned();
    }
    let text: String = text.nfc().collect();
    let original: Vec<&str> = links::find(&text).into_iter().map(|range| &text[range]).collect();
    let fits = |cut: &String| {
        // A cut may turn the rest of a word into a link: `foo.comrade` into `foo.com`.
        let left = links::find(cut);
        let whole = left.len() <= original.len() && left.into_iter().zip(&original).all(|(l, o)| &cut[l] == *o);
        whole && weighted_length(cut) <= max
    };
    let cuts = ends(&text, max).into_iter().map(|end| format!("{}{ELLIPSIS}", text[..end].trim_end()));
    cuts.into_iter().find(fits).unwrap_or_default()
}

/// Where a text may be cut so that about `max` units are left, best place first.
fn ends(text: &str, max: usize) -> Vec<usize> {
    let mut units = 0;
    let mut ends = vec![0];
    for piece in pieces(text) {
        units += piece.units;
        if units > max {
            break;
        }
        ends.push(piece.range.end);
    }
    ends.reverse();
    let near = ends[0] / 2;
    let after_word = |end: &usize| *end >= near && text[*end..].starts_with(char::is_whitespace);
    let (words, others): (Vec<usize>, Vec<usize>) = ends.iter().copied().partition(after_word);
    words.into_iter().chain(others).collect()
}

/// A part of a text that is counted as one and never cut: a link or a grapheme.
struct Piece {
    range: Range<usize>,
    units: usize,
}

/// The pieces of a composed text, in order and without gaps.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for link in links::find(text) {
        plain_pieces(text, at..link.start, &mut pieces);
        at = link.end;
        pieces.push(Piece { range: link, units: LINK_UNITS });
    }
    plain_pieces(text, at..text.len(), &mut pieces);
    pieces
}

fn plain_pieces(text: &str, range: Range<usize>, pieces: &mut Vec<Piece>) {
    let start = range.start;
    pieces.extend(text[range].grapheme_indices(true).map(|(at, grapheme)| {
        let begin = start + at;
        Piece { range: begin..begin + grapheme.len(), units: grapheme_units(grapheme) }
    }));
}

fn grapheme_units(grapheme: &str) -> usize {
    if is_emoji_sequence(grapheme) { 2 } else { grapheme.chars().map(char_units).sum() }
}

fn char_units(c: char) -> usize {
    if LIGHT.iter().any(|range| range.contains(&u32::from(c))) { 1 } else { 2 }
}

/// True for an emoji of several characters: a keycap, a flag, or a picture with its variations and joined companions.
/// One of a single character weighs 2 already.
fn is_emoji_sequence(grapheme: &str) -> bool {
    let mut chars = grapheme.chars();
    let (Some(first), Some(second)) = (chars.next(), chars.next()) else { return false };
    match first {
        '0'..='9' | '#' | '*' => {
            second == '\u{20E3}' || (second == EMOJI_VARIATION && chars.next() == Some('\u{20E3}'))
        }
        '\u{1F1E6}'..='\u{1F1FF}' => matches!(second, '\u{1F1E6}'..='\u{1F1FF}'),
        _ => is_picture(first) && grapheme.chars().skip(1).all(|c| is_picture(c) || modifies_picture(c)),
    }
}

/// Close to Unicode's `Extended_Pictographic`: by block where the blocks hold little else.
fn is_picture(c: char) -> bool {
    matches!(c,
        '\u{A9}' | '\u{AE}' | '\u{203C}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{24C2}' | '\u{3030}'
        | '\u{303D}' | '\u{3297}' | '\u{3299}' | '\u{2194}'..='\u{21AA}' | '\u{231A}'..='\u{23FF}'
        | '\u{25AA}'..='\u{25FE}' | '\u{2600}'..='\u{27BF}' | '\u{2934}'..='\u{2935}' | '\u{2B05}'..='\u{2B55}'
        | '\u{1F000}'..='\u{1F1E5}' | '\u{1F200}'..='\u{1FAFF}')
}

/// Joiner, emoji variation, and the tags that flags of regions are spelled with. Skin tones are pictures themselves.
fn modifies_picture(c: char) -> bool {
    matches!(c, '\u{200D}' | EMOJI_VARIATION | '\u{E0020}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn latin_and_common_punctuation_weigh_one() {
        for text in ["", "Lakers -3.5 (2u) @ -110!", "Ünïcödé – “quoted” ‘too’", "привет", "ﷺ"] {
            let expected: usize = if text == "ﷺ" { 2 } else { text.chars().count() };
            assert_eq!(weighted_length(text), expected, "{text}");
        }
    }

    #[test]
    fn cjk_and_the_ellipsis_weigh_two() {
        assert_eq!(weighted_length("日本語"), 6);
        assert_eq!(weighted_length("한국"), 4);
        assert_eq!(weighted_length("…"), 2);
        assert_eq!(weighted_length("€"), 2);
    }

    #[test]
    fn a_composed_and_a_decomposed_letter_weigh_the_same() {
        assert_eq!(weighted_length("cafe\u{301}"), 4);
        assert_eq!(weighted_length("caf\u{e9}"), 4);
    }

    #[test]
    fn an_emoji_weighs_two_however_it_is_made() {
        for emoji in ["😀", "❤️", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "#⃣", "©️", "🧑🏿‍🤝‍🧑🏻", "☺"]
        {
            assert_eq!(weighted_length(emoji), 2, "{emoji}");
        }
        assert_eq!(weighted_length("🇩🇪🇫🇷😀"), 6);
        assert_eq!(weighted_length("©"), 1);
        assert_eq!(weighted_length("12"), 2);
    }

    #[test]
    fn a_link_weighs_23_however_long_it_is() {
        assert_eq!(weighted_length("https://x.com"), 23);
        assert_eq!(weighted_length(&format!("https://example.com/{}", "a".repeat(300))), 23);
        assert_eq!(weighted_length("see example.com/odds, now"), 4 + 23 + 5);
        assert_eq!(weighted_length("(https://example.com/a_(b))."), 1 + 23 + 2);
        assert_eq!(weighted_length("scam.top, x.lol"), 23 + 2 + 23);
    }

    #[test]
    fn what_only_looks_like_a_link_is_counted_by_character() {
        for text in ["vs.Lakers", "3.5", "me@example.com", "U.S.", "http://localhost:80", "e.g.", "a..com", "@foo.com"]
        {
            assert_eq!(weighted_length(text), text.chars().count(), "{text}");
        }
    }

    #[test]
    fn a_text_that_fits_is_left_as_it_is() {
        let text = "a".repeat(280);
        assert_eq!(fit(&text, 280), text);
    }

    #[test]
    fn a_long_text_ends_at_a_word_with_an_ellipsis() {
        assert_eq!(fit("Lakers win the title tonight", 18), "Lakers win the…");
        assert_eq!(fit(&"a".repeat(300), 280), format!("{}…", "a".repeat(278)));
        assert_eq!(fit("abc", 2), "…");
        assert_eq!(fit("abc", 1), "");
    }

    #[test]
    fn a_link_that_does_not_fit_is_left_out_whole() {
        let text = "Read it all at https://example.com/a/very/long/path today";
        assert_eq!(fit(text, 38), "Read it all at…");
        assert_eq!(fit(text, 40), "Read it all at https://example.com/a/very/long/path…");
        assert_eq!(fit("foo.comrade is no link", 9), "foo.c…", "not foo.com");
    }

    fn any_post() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            "[a-zA-Z.,!&<>]{1,12}",
            "https://[a-z]{1,8}\\.(com|de|io)/[a-z0-9/?=._-]{0,40}",
            "[a-z]{1,5}\\.(com|company|de)",
            "[日本語한국éüß]{1,6}",
            Just("👨‍👩‍👧‍👦".to_owned()),
            Just("🇩🇪👍🏽".to_owned()),
            any::<String>(),
        ];
        prop::collection::vec(word, 0..12).prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn what_is_made_to_fit_fits_and_stays_so(text in any_post(), max in 0usize..300) {
            let fitted = fit(&text, max);
            prop_assert!(weighted_length(&fitted) <= max);
            prop_assert_eq!(fit(&fitted, max), fitted);
        }

        #[test]
        fn no_link_is_ever_cut(text in any_post(), max in 2usize..200) {
            let fitted = fit(&text, max);
            let composed: String = text.nfc().collect();
            let all: Vec<&str> = links::find(&composed).into_iter().map(|r| &composed[r]).collect();
            let kept: String = fitted.nfc().collect();
            for (kept, whole) in links::find(&kept).into_iter().map(|r| &kept[r]).zip(all) {
                prop_assert_eq!(kept, whole);
            }
        }

        #[test]
        fn a_plain_text_is_never_lighter_than_its_letters_nor_twice_as_heavy(text in "[a-zé日😀 ]{0,200}") {
            let letters = text.chars().count();
            let weight = weighted_length(&text);
            prop_assert!(weight >= letters && weight <= 2 * letters);
        }
    }
}
