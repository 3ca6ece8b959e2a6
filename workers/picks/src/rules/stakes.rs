//! Finds stakes among the tokens of a post: `2u`, `1.5 units`, `half a unit`, `3*`, `★★★`, `Units: 2`.

use super::token::{Lexeme, Token};

pub(super) fn is_unit(word: &str) -> bool {
    matches!(word, "u" | "unit" | "units" | "us")
}

fn spelled(word: &str) -> Option<f64> {
    Some(match word {
        "half" | "1/2" => 0.5,
        "one" => 1.0,
        "two" => 2.0,
        "three" => 3.0,
        "four" => 4.0,
        "five" => 5.0,
        "ten" => 10.0,
        _ => return None,
    })
}

pub(super) fn is_star(word: &str) -> bool {
    matches!(word, "star" | "stars")
}

pub(super) fn is_star_sign(c: char) -> bool {
    matches!(c, '★' | '⭐' | '🌟')
}

/// The highest stake in points or stars.
const MOST_POINTS: f64 = 10.0;

/// Joins a number and the unit after it into one stake.
pub(super) fn stakes(tokens: Vec<Token>) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let ends = tokens.peek().is_none_or(|next| next.lexeme != Lexeme::Word);
        // "Stake: 2u": the number is already a stake.
        if let Some(stake) = out.last_mut().filter(|last| matches!(last.lexeme, Lexeme::Units(_)))
            && token.glued
            && is_unit(&token.folded)
        {
            stake.end = token.end;
            continue;
        }
        match stake_before(&out, &token, ends) {
            Some((lexeme, taken)) => {
                out.truncate(out.len() + 1 - taken);
                if let Some(amount) = out.last_mut() {
                    amount.lexeme = lexeme;
                    amount.end = token.end;
                }
            }
            None => out.push(token),
        }
        named_stake(&mut out);
    }
    decorations(out)
}

/// The stake that ends with this token, and how many tokens before it belong to it.
fn stake_before(out: &[Token], token: &Token, ends: bool) -> Option<(Lexeme, usize)> {
    let last = out.last()?;
    if token.lexeme == Lexeme::Sign('⭐') {
        let Lexeme::Number { value, signed: false, decimals: 0, plus: false } = last.lexeme else { return None };
        let first = out.len().checked_sub(2).is_none_or(|at| out[at].lexeme != Lexeme::Word);
        return (token.glued && first && value <= MOST_POINTS).then_some((Lexeme::Units(value), 1));
    }
    if token.lexeme != Lexeme::Word {
        return None;
    }
    if is_unit(&token.folded) {
        // "half a unit" has an article before the unit.
        let article = usize::from(last.folded == "a" && out.len() > 1);
        let amount = out.len().checked_sub(1 + article).map(|at| &out[at])?;
        return match (amount.lexeme, amount.folded.as_str()) {
            (Lexeme::Number { value, signed: false, .. }, _) if article == 0 => Some((Lexeme::Units(value), 1)),
            (Lexeme::Number { value, signed: true, .. }, _) if article == 0 && value.abs() < 100.0 => {
                Some((Lexeme::Profit, 1))
            }
            (Lexeme::Word, word) if token.folded != "u" && spelled(word).is_some() => {
                spelled(word).map(|units| (Lexeme::Units(units), 1 + article))
            }
            // "for a unit" is a stake of one.
            _ if article == 1 && token.folded == "unit" => Some((Lexeme::Units(1.0), 1)),
            _ => None,
        };
    }
    let Lexeme::Number { value, signed: false, .. } = last.lexeme else { return None };
    let before = out.len().checked_sub(2).map(|at| &out[at]);
    let lower = token.text.starts_with(char::is_lowercase) || token.text == "STAR";
    // "1pt" at the end of a clause is a stake, unless a word other than "for" or "stake" comes before the number.
    let apart =
        before.is_none_or(|t| !matches!(t.lexeme, Lexeme::Word) || matches!(t.folded.as_str(), "for" | "stake"));
    let points = matches!(token.folded.as_str(), "pt" | "pts" | "point" | "points") && ends && apart;
    let stake = value <= MOST_POINTS && ((is_star(&token.folded) && lower) || points);
    stake.then_some((Lexeme::Units(value), 1))
}

/// Joins a stake with a word before the number: "Units: 2", "Stake - 1.5".
fn named_stake(out: &mut Vec<Token>) {
    let [.., word, sign, number] = out.as_slice() else { return };
    let Lexeme::Number { value, signed: false, plus: false, .. } = number.lexeme else { return };
    // A stake that is already joined stays: "Units: 1 - 0 units" has two.
    let named = word.lexeme == Lexeme::Word
        && matches!(word.folded.as_str(), "units" | "unit" | "stake" | "risk" | "risking" | "wager");
    if named && matches!(sign.lexeme, Lexeme::Sign(':' | '-' | '=')) && value <= MOST_POINTS {
        // Keep the text of the number, not of the word, so that no phrase matches the word and skips the stake.
        let stake = Token { lexeme: Lexeme::Units(value), start: word.start, glued: word.glued, ..number.clone() };
        out.truncate(out.len() - 3);
        out.push(stake);
    }
}

/// Stars at several places of a line are decoration and not a stake.
fn decorations(mut tokens: Vec<Token>) -> Vec<Token> {
    let is_stars = |t: &Token| matches!(t.lexeme, Lexeme::Units(_)) && t.text.starts_with(is_star_sign);
    let mut from = 0;
    for at in 0..=tokens.len() {
        if tokens.get(at).is_some_and(|t| t.lexeme != Lexeme::Line) {
            continue;
        }
        if tokens[from..at].iter().filter(|t| is_stars(t)).count() > 1 {
            for token in tokens[from..at].iter_mut().filter(|t| is_stars(t)) {
                token.lexeme = Lexeme::Sign('⭐');
            }
        }
        from = at + 1;
    }
    tokens
}
