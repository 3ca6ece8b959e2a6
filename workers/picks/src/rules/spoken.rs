//! Signs of numbers as words: "minus 3.5", "getting 4", "laid the 7".

use super::token::{Lexeme, Token};

/// The highest number of points of a spread. Numbers from 100 are prices.
const MOST_POINTS: f64 = 60.0;

/// Words for a plus.
const GOT: [&str; 3] = ["getting", "catching", "grabbing"];
/// Words for a minus.
const LAID: [&str; 3] = ["lay", "laying", "laid"];

/// Whether a number has its sign from a word that is also used on betting exchanges: laying 2.5 there is a bet against a side.
pub(super) fn may_be_a_price(number: &Token) -> bool {
    let word = number.text.split(' ').next().unwrap_or_default().to_lowercase();
    matches!(number.lexeme, Lexeme::Number { signed: true, .. }) && [GOT, LAID].concat().contains(&word.as_str())
}

/// Joins such a word and the number after it into one number with its sign.
pub(super) fn signs(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    for mut token in tokens {
        if let Lexeme::Number { value, signed: false, decimals, plus: false } = token.lexeme
            && let Some((sign, taken)) = sign_before(&out, value)
        {
            let word = out.drain(out.len() - taken..).next();
            token.lexeme = Lexeme::Number { value: value * sign, signed: true, decimals, plus: false };
            if let Some(word) = word {
                token.text = format!("{} {}", word.text, token.text);
                token.start = word.start;
                token.glued = word.glued;
            }
        }
        out.push(token);
    }
    out
}

/// The sign from the words before a number, and how many words these are.
fn sign_before(out: &[Token], value: f64) -> Option<(f64, usize)> {
    let article = usize::from(out.last()?.folded == "the");
    let word = out.len().checked_sub(1 + article).map(|at| &out[at])?;
    let (sign, spelled) = match word.folded.as_str() {
        "plus" => (1.0, true),
        "minus" => (-1.0, true),
        word if GOT.contains(&word) => (1.0, false),
        word if LAID.contains(&word) => (-1.0, false),
        _ => return None,
    };
    let fits = value <= MOST_POINTS || (value >= 100.0 && (spelled || sign < 0.0));
    (word.lexeme == Lexeme::Word && value > 0.0 && fits).then_some((sign, 1 + article))
}
