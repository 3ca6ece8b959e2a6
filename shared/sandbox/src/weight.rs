//! The length of a post as X counts it. Source: X documentation, counting characters.

/// The most units of a post.
pub const LONGEST: usize = 280;
/// The most units of a post of an account that may write long posts.
pub const LONGEST_OF_ALL: usize = 25_000;
const LINK: usize = 23;

/// The weighted length: Latin letters and common punctuation count 1, all others 2, an emoji sequence 2 as a whole, a link 23.
pub fn weight(text: &str) -> usize {
    let mut total = 0;
    for (n, word) in text.split(' ').enumerate() {
        total += usize::from(n > 0);
        let is_link = word.starts_with("http://") || word.starts_with("https://");
        total += if is_link { LINK } else { word_weight(word) };
    }
    total
}

fn word_weight(word: &str) -> usize {
    let mut total = 0;
    let mut joined = false;
    let mut open_flag = false;
    for c in word.chars() {
        let continues = matches!(c, '\u{fe0f}' | '\u{20e3}' | '\u{200d}' | '\u{1f3fb}'..='\u{1f3ff}');
        let flag = matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
        if continues || (joined && is_wide(c)) || (flag && open_flag) {
            joined = c == '\u{200d}';
            open_flag = false;
            continue;
        }
        joined = false;
        open_flag = flag;
        total += if is_wide(c) { 2 } else { 1 };
    }
    total
}

fn is_wide(c: char) -> bool {
    !matches!(u32::from(c), 0..=4351 | 8192..=8205 | 8208..=8223 | 8242..=8247)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin_counts_one_wide_characters_two_and_links_twenty_three() {
        assert_eq!(weight("Lakers -3.5"), 11);
        assert_eq!(weight("日本"), 4);
        assert_eq!(weight("see https://example.com/a/very/long/path/that/goes/on"), 4 + 23);
    }

    #[test]
    fn an_emoji_sequence_counts_two_as_a_whole() {
        assert_eq!(weight("🔒"), 2);
        assert_eq!(weight("👨‍👩‍👧"), 2);
        assert_eq!(weight("🇺🇸"), 2);
        assert_eq!(weight("👍🏽"), 2);
    }
}
