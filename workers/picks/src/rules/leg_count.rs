//! The number of legs that a post states for its parlay.

use super::token::{Lexeme, Token};

/// The most legs that are accepted.
const MOST_LEGS: usize = 20;

const SPELLED: [(&str, usize); 4] = [("two", 2), ("three", 3), ("four", 4), ("five", 5)];

/// The number of legs that a clause states: "3-leg", "2 team", "four legger", "treble".
pub(super) fn stated(tokens: &[Token]) -> Option<usize> {
    let legs = |n: usize| Some(n).filter(|n| (2..=MOST_LEGS).contains(n));
    let counted = |word: &str| {
        matches!(word, "leg" | "legs" | "legger" | "leggers" | "team" | "teamer" | "man" | "fold" | "pick")
    };
    (0..tokens.len()).find_map(|at| {
        let word = tokens[at].folded.as_str();
        if word == "treble" {
            return Some(3);
        }
        let digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
        if digits.len() < word.len() && counted(digits.trim_start_matches('-')) {
            return word[..word.len() - digits.len()].parse().ok().and_then(legs);
        }
        let number = tokens[..at].iter().rev().find(|t| t.lexeme != Lexeme::Sign('-')).filter(|_| counted(word))?;
        match number.lexeme {
            Lexeme::Number { signed: false, decimals: 0, .. } => number.text.parse().ok().and_then(legs),
            _ => SPELLED.iter().find(|(word, _)| *word == number.folded).map(|(_, n)| *n),
        }
    })
}
