//! Removes asides, which stand beside a bet but are not part of it: earlier prices, possible winnings, the confidence of the author.

use super::token::{Lexeme, Token};

/// The tokens without asides. An aside in an unknown form stays, and its figure raises a doubt later.
pub(crate) fn without_asides(tokens: &[Token]) -> Vec<Token> {
    let mut kept: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        let found = bracketed_past(&kept, rest)
            .or_else(|| price_until_now(tokens, at))
            .or_else(|| confidence(rest))
            .or_else(|| winnings(&kept, rest));
        if found.is_none() {
            kept.push(tokens[at].clone());
        }
        at += found.unwrap_or(1);
    }
    kept
}

fn word(token: Option<&Token>) -> &str {
    token.filter(|token| token.lexeme == Lexeme::Word).map_or("", |token| token.folded.as_str())
}

fn sign(token: Option<&Token>) -> char {
    match token.map(|token| token.lexeme) {
        Some(Lexeme::Sign(sign)) => sign,
        _ => ' ',
    }
}

fn number(token: Option<&Token>) -> Option<f64> {
    match token.map(|token| token.lexeme) {
        Some(Lexeme::Number { value, plus: false, .. }) => Some(value),
        _ => None,
    }
}

/// Whether two figures may be the earlier and the later price of one bet, or both its lines.
fn alike(a: f64, b: f64) -> bool {
    (a.abs() >= 100.0) == (b.abs() >= 100.0)
}

/// "(moved from -105)" or "[was -105]" after the price or line that counts.
fn bracketed_past(before: &[Token], rest: &[Token]) -> Option<usize> {
    let closing = match sign(rest.first()) {
        '(' => ')',
        '[' => ']',
        _ => return None,
    };
    let words = match (word(rest.get(1)), word(rest.get(2))) {
        ("moved" | "up" | "down", "from") | ("opened", "at") => 2,
        ("was" | "from" | "opened", _) => 1,
        _ => return None,
    };
    let past = number(rest.get(1 + words))?;
    let present = before.iter().rev().find_map(|token| number(Some(token)))?;
    (sign(rest.get(2 + words)) == closing && alike(past, present)).then_some(3 + words)
}

/// "was -105 now -120 1u": the last price counts if there is a stake. Without a stake it is talk about a line.
fn price_until_now(tokens: &[Token], at: usize) -> Option<usize> {
    let rest = &tokens[at..];
    let past = match (word(rest.first()), word(rest.get(1))) {
        ("opened", "at") => 2,
        ("was" | "opened", _) => 1,
        _ => return None,
    };
    let comma = usize::from(sign(rest.get(past + 1)) == ',');
    let now = past + 1 + comma;
    let present = now + 1 + usize::from(word(rest.get(now + 1)) == "at" || sign(rest.get(now + 1)) == '@');
    let staked =
        tokens[at..].iter().take_while(|t| t.lexeme != Lexeme::Line).any(|t| matches!(t.lexeme, Lexeme::Units(_)));
    let moved = alike(number(rest.get(past))?, number(rest.get(present))?);
    (word(rest.get(now)) == "now" && moved && staked).then_some(now + 1)
}

/// "10/10 confidence", "confidence: 8/10". A value below half stays, so that it raises a doubt: its author is not sure of the bet.
fn confidence(rest: &[Token]) -> Option<usize> {
    let of_ten = |token: Option<&Token>| matches!(token.map(|t| t.lexeme), Some(Lexeme::Fraction { won, stake: stake @ (5 | 10 | 100) }) if won <= 100 && won * 2 >= stake);
    let named = |token: Option<&Token>| matches!(word(token), "confidence" | "conf" | "confident");
    let colon = 1 + usize::from(sign(rest.get(1)) == ':');
    if named(rest.first()) && of_ten(rest.get(colon)) {
        return Some(colon + 1);
    }
    (of_ten(rest.first()) && named(rest.get(1))).then_some(2)
}

/// "to win 1u" after a price or a stake: the winnings, not the stake.
fn winnings(before: &[Token], rest: &[Token]) -> Option<usize> {
    let behind = before.last().is_some_and(|token| {
        matches!(token.lexeme, Lexeme::Units(_) | Lexeme::Number { .. } | Lexeme::Sign(')' | ']' | ','))
    });
    let stake = matches!(rest.get(2).map(|token| token.lexeme), Some(Lexeme::Units(_)));
    (behind && word(rest.first()) == "to" && word(rest.get(1)) == "win" && stake).then_some(3)
}
