use super::units::{Unit, units};

/// How much of a text is its opening, in characters of scripts without spaces; a word counts as two.
const OPENING: usize = 8;

/// The first four words of a text, for the list of openings that a model must not use again. In Japanese and other languages without
/// spaces, the first eight characters.
///
/// In lower case, without accents and punctuation; what does not count in a [`Fingerprint`](super::Fingerprint), such as numbers and
/// handles at the beginning, is left out. Empty if the text has no words. Compare openings with [`same_opening`].
pub fn opening(text: &str) -> String {
    let (mut opening, mut was_word) = (String::new(), false);
    for unit in first(&units(text)) {
        let is_word = matches!(unit, Unit::Word(_));
        if !opening.is_empty() && (is_word || was_word) {
            opening.push(' ');
        }
        match unit {
            Unit::Char(c) => opening.push(*c),
            Unit::Word(word) => unstretched(word).for_each(|c| opening.push(c)),
        }
        was_word = is_word;
    }
    opening
}

/// Whether two texts, or openings of texts, begin with the same words. False if one has no words.
pub fn same_opening(one: &str, other: &str) -> bool {
    let keys = |text: &str| -> Vec<String> { first(&units(text)).iter().map(Unit::key).collect() };
    let (one, other) = (keys(one), keys(other));
    !one.is_empty() && one == other
}

fn first(units: &[Unit]) -> &[Unit] {
    let mut taken = 0;
    let is_within = |unit: &&Unit| {
        taken += if matches!(unit, Unit::Word(_)) { 2 } else { 1 };
        taken <= OPENING
    };
    &units[..units.iter().take_while(is_within).count()]
}

/// The word with one letter for three or more in a row; two in a row may be how it is spelled.
fn unstretched(word: &str) -> impl Iterator<Item = char> {
    let letters: Vec<char> = word.chars().collect();
    let runs: Vec<(char, usize)> = letters.chunk_by(|one, other| one == other).map(|run| (run[0], run.len())).collect();
    runs.into_iter().flat_map(|(c, length)| std::iter::repeat_n(c, if length > 2 { 1 } else { length }))
}
