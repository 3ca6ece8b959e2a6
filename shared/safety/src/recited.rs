//! Whether a model repeats what it was told.

use std::collections::HashSet;

/// This many words in a row that are also in the prompt are no coincidence.
const RUN: usize = 8;

/// Whether a text repeats a part of the prompt, apart from punctuation and capitals.
pub fn recites(text: &str, told: &[&str]) -> bool {
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    };
    let said = words(text);
    let runs: HashSet<&[String]> = said.windows(RUN).collect();
    told.iter().any(|told| words(told).windows(RUN).any(|run| runs.contains(run)))
}

#[cfg(test)]
mod tests {
    use super::recites;

    #[test]
    fn a_text_that_tells_its_prompt_is_known_by_eight_words_in_a_row() {
        let told = ["You are Perch, a friendly regular in a sports betting community: dry humour.", "Answer briefly."];
        let leak = "Sure! I am told: \"you are perch - a friendly regular in a\" bar";
        assert!(recites(leak, &told));
        assert!(!recites("Perch here, a friendly regular in a sports bar.", &told) && !recites("", &told));
    }
}
