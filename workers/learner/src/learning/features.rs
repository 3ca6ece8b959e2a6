//! A candidate as numbers: hashed words, word pairs and letter groups, its marks, its length and form, topic, hour and the like.
//!
//! Names of features are hashed into a fixed number of places (Weinberger et al., Feature hashing for large scale multitask learning,
//! 2009), so no dictionary has to be stored, and a word never seen before has its place.

mod shape;
mod words;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use self::words::Words;

/// What is known of a post before it goes out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its text, or its first part in a thread.
    pub text: &'a str,
    /// A second text that readers see with it, such as the description of a link; may be empty.
    pub detail: &'a str,
    /// What it is about.
    pub topic: Option<&'a str>,
    /// How it is written, such as `list` or `story`.
    pub form: Option<&'a str>,
    /// How it opens, such as `question`.
    pub hook: Option<&'a str>,
    /// The hour at which it would go out.
    pub hour: Option<u8>,
    /// Whether it carries a picture or a video.
    pub has_media: bool,
}

/// Sparse numbers: places in rising order, each once, none with the value 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Features(Vec<(u32, f64)>);

impl Features {
    /// Places and values.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What these have more than others; what both have alike falls out.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.iter().chain(other.iter().map(|(index, value)| (index, -value))).collect()
    }
}

impl FromIterator<(u32, f64)> for Features {
    /// Values of the same place add up.
    fn from_iter<I: IntoIterator<Item = (u32, f64)>>(values: I) -> Self {
        let mut values: Vec<(u32, f64)> = values.into_iter().collect();
        values.sort_by_key(|(index, _)| *index);
        values.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            kept.1 += if is_same { next.1 } else { 0.0 };
            is_same
        });
        values.retain(|(_, value)| value.abs() > 1e-12);
        Self(values)
    }
}

/// How a candidate becomes numbers. A model is only good for the extractor it was trained with, so both are stored together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Extractor {
    /// Names are hashed into 2 to this power of places.
    pub bits: u32,
    /// The value of a word that is there. A family with small values learns slowly, as its many members together say much.
    pub word: f64,
    /// The value of a pair of neighbouring words.
    pub pair: f64,
    /// The value of a group of four letters, which lets forms of one word share what is learned.
    pub letters: f64,
    /// The factor of length and form.
    pub shape: f64,
    /// The value of a mark, such as a colon.
    pub mark: f64,
    /// The value of a word of the second text.
    pub detail: f64,
}

impl Default for Extractor {
    fn default() -> Self {
        // Found by cross-validation over time on randomised tests of headlines.
        Self { bits: 20, word: 0.5, pair: 0.5, letters: 0.3, shape: 0.5, mark: 1.0, detail: 0.1 }
    }
}

impl Extractor {
    /// The numbers of a candidate.
    pub fn features(&self, candidate: &Candidate<'_>) -> Features {
        let mut found = Collector { bits: self.bits, values: Vec::new() };
        let words = Words::of(candidate.text);
        self.add_words(&mut found, &words);
        for (name, value) in shape::of(candidate.text, &words) {
            found.add("shape", name, self.shape * value);
        }
        for mark in
            candidate.text.chars().filter(|c| !c.is_alphanumeric() && !c.is_whitespace()).collect::<BTreeSet<_>>()
        {
            found.add("mark", mark.encode_utf8(&mut [0; 4]), self.mark);
        }
        self.add_detail(&mut found, candidate.detail);
        Self::add_circumstances(&mut found, candidate);
        found.values.into_iter().collect()
    }

    fn add_words(&self, found: &mut Collector, words: &Words) {
        for word in words.distinct() {
            found.add("word", word, self.word);
        }
        for pair in words.pairs() {
            found.add("pair", &pair, self.pair);
        }
        for letters in words.letters() {
            found.add("letters", &letters, self.letters);
        }
    }

    fn add_detail(&self, found: &mut Collector, detail: &str) {
        for word in Words::of(detail).distinct() {
            found.add("detail", word, self.detail);
        }
        found.add("detail shape", "length", self.detail * detail.chars().count() as f64 / 50.0);
        found.add("detail shape", "question", self.detail * f64::from(u8::from(detail.contains('?'))));
    }

    fn add_circumstances(found: &mut Collector, candidate: &Candidate<'_>) {
        let named = [("topic", candidate.topic), ("form", candidate.form), ("hook", candidate.hook)];
        for (family, name) in named.into_iter().filter_map(|(family, name)| Some((family, name?))) {
            found.add(family, name, 1.0);
        }
        if let Some(hour) = candidate.hour {
            found.add("hour", &hour.to_string(), 1.0);
        }
        found.add("media", "", f64::from(u8::from(candidate.has_media)));
    }
}

struct Collector {
    bits: u32,
    values: Vec<(u32, f64)>,
}

impl Collector {
    #[expect(clippy::cast_possible_truncation, reason = "the mask leaves at most 32 bits")]
    fn add(&mut self, family: &str, name: &str, value: f64) {
        let mask = (1_u64 << self.bits.min(32)) - 1;
        self.values.push(((hash(family, name) & mask) as u32, value));
    }
}

/// FNV-1a of 64 bits (Fowler, Noll & Vo), the upper half folded into the lower. It is written out because the places of a stored model
/// must not change with a library.
fn hash(family: &str, name: &str) -> u64 {
    let bytes = family.bytes().chain([0]).chain(name.bytes());
    let hash =
        bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn features(text: &str) -> Features {
        Extractor::default().features(&Candidate { text, ..Candidate::default() })
    }

    #[test]
    fn the_same_text_has_the_same_features_and_case_does_not_make_a_word() {
        assert_eq!(features("Rust is fast"), features("Rust is fast"));
        let word =
            |text: &str| features(text).iter().find(|(index, _)| u64::from(*index) == hash("word", "rust") % (1 << 20));
        assert!(word("RUST").is_some() && word("RUST") == word("rust"));
    }

    #[test]
    fn the_place_of_a_word_never_changes() {
        // A stored model depends on it.
        assert_eq!(hash("word", "rust"), 12_086_577_603_415_593_891);
    }

    #[test]
    fn topic_hour_and_media_are_features() {
        let plain = Candidate { text: "a", ..Candidate::default() };
        let rich = Candidate { topic: Some("tools"), hour: Some(9), has_media: true, ..plain };
        let extractor = Extractor::default();
        assert_eq!(extractor.features(&rich).minus(&extractor.features(&plain)).iter().count(), 3);
    }

    proptest! {
        #[test]
        fn a_text_minus_itself_is_nothing(text in ".{0,200}") {
            prop_assert!(features(&text).minus(&features(&text)).is_empty());
        }

        #[test]
        fn places_rise_and_values_are_numbers(text in ".{0,200}") {
            let found: Vec<(u32, f64)> = features(&text).iter().collect();
            prop_assert!(found.windows(2).all(|two| two[0].0 < two[1].0));
            prop_assert!(found.iter().all(|(index, value)| *index < 1 << 20 && value.is_finite()));
        }
    }
}
