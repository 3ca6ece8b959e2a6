//! Quarter lines: "Over 2.5, 3.0" is half a bet on each line, which is a bet on 2.75.

use super::token::{Lexeme, Token};

/// The highest line for which quarter lines exist.
const HIGHEST: f64 = 10.0;
/// The distance between the two lines of a quarter line.
const APART: f64 = 0.5;

/// Joins the two lines of a quarter line into one number, and also a number with a half after it: "+3 1/2".
pub(super) fn joined(tokens: &[Token]) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let mut joined = tokens[at].clone();
        let (value, taken) = pair(tokens, at).or_else(|| half(tokens, at)).unwrap_or((f64::NAN, 1));
        if taken > 1
            && let Lexeme::Number { value: first, signed, decimals, .. } = &mut joined.lexeme
        {
            (*first, *signed, *decimals) = (value, *signed || value < 0.0, 2);
        }
        joined.end = tokens[at + taken - 1].end;
        out.push(joined);
        at += taken;
    }
    out
}

fn number(token: Option<&Token>) -> Option<(f64, bool)> {
    match token?.lexeme {
        Lexeme::Number { value, signed, plus: false, .. } => Some((value, signed)),
        _ => None,
    }
}

fn pair(tokens: &[Token], at: usize) -> Option<(f64, usize)> {
    let (first, signed) = number(tokens.get(at))?;
    let joins = matches!(tokens.get(at + 1)?.lexeme, Lexeme::Sign(',' | '/' | '&'));
    let (second, second_signed) = number(tokens.get(at + 2))?;
    // Zero goes with any sign: "0, -0.5" and "+0, +0.5".
    let of_one_kind = signed == second_signed || first == 0.0 || second == 0.0;
    // Without a price after it, "Over 2.5, 3.0" may be a line and its price.
    let priced = signed || second_signed || tokens[at + 1].lexeme != Lexeme::Sign(',') || price_follows(tokens, at + 3);
    let is_one = joins
        && of_one_kind
        && priced
        && first.abs() <= HIGHEST
        && ((first - second).abs() - APART).abs() < 1e-9
        && first * second >= 0.0
        && halves(first)
        && halves(second);
    is_one.then_some((f64::midpoint(first, second), 3))
}

fn halves(value: f64) -> bool {
    ((value * 2.0) - (value * 2.0).round()).abs() < 1e-9
}

fn price_follows(tokens: &[Token], from: usize) -> bool {
    tokens[from..].iter().take_while(|token| token.lexeme != Lexeme::Line).any(|token| match token.lexeme {
        Lexeme::Sign('@') | Lexeme::Fraction { .. } => true,
        Lexeme::Number { value, signed, decimals, .. } => {
            (signed && value.abs() >= 100.0) || (!signed && decimals >= 2)
        }
        _ => false,
    })
}

/// "+3 1/2" is +3.5.
fn half(tokens: &[Token], at: usize) -> Option<(f64, usize)> {
    let (whole, _) = number(tokens.get(at))?;
    let is_half = tokens.get(at + 1)?.text == "1/2" && whole.fract() == 0.0 && whole.abs() < 100.0;
    is_half.then_some((if whole < 0.0 { whole - 0.5 } else { whole + 0.5 }, 2))
}
