use std::collections::BTreeSet;

/// The words of a text in lower case, in their order. A word is letters, digits and the apostrophes within.
pub(super) struct Words(Vec<String>);

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let plain = text.to_lowercase().replace(['’', '‘'], "'");
        let words = plain.split(|c: char| !(c.is_alphanumeric() || c == '\'')).map(|word| word.trim_matches('\''));
        Self(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn distinct(&self) -> BTreeSet<&str> {
        self.iter().collect()
    }

    /// Neighbouring words; the first and the last also with the edge of the text.
    pub(super) fn pairs(&self) -> BTreeSet<String> {
        let edged: Vec<&str> = ["^"].into_iter().chain(self.iter()).chain(["$"]).collect();
        edged.windows(2).map(|two| two.join(" ")).collect()
    }

    /// Groups of four letters, also across the space between words.
    pub(super) fn letters(&self) -> BTreeSet<String> {
        let letters: Vec<char> = format!(" {} ", self.0.join(" ")).chars().collect();
        letters.windows(4).map(|four| four.iter().collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_apostrophe_and_lose_their_quotes() {
        let words = Words::of("“It’s 'so' GOOD,” she said: 3.5 times!");
        assert_eq!(words.iter().collect::<Vec<_>>(), ["it's", "so", "good", "she", "said", "3", "5", "times"]);
    }

    #[test]
    fn pairs_know_the_edges_of_the_text() {
        assert_eq!(Words::of("a b").pairs(), ["^ a", "a b", "b $"].map(str::to_owned).into());
    }
}
