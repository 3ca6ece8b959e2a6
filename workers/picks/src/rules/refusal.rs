//! Questions about another bet, which the post refuses before it makes its own.

use super::{
    clause::Clause,
    price,
    term::Term,
    token::{Lexeme, Token},
    vocabulary::{Section, phrase_at},
};

/// How many clauses before a bet ask about another bet and refuse it: 2 in "Heat third quarter? Pass. Heat +6.5 is the bet".
pub(super) fn refused_before(clauses: &[Clause], at: usize) -> Option<usize> {
    let made = &clauses[at];
    let asks = |asked: &Clause| {
        let is_bare = price::all(&asked.terms).is_empty() && price::stake(&asked.terms).is_none();
        asked.question && is_bare && asks_about_another(asked, made)
    };
    match &clauses[..at] {
        [.., asked] if asks(asked) => made.says("i'd rather, i would rather, i'll take, instead").then_some(1),
        [.., asked, refused] if asks(asked) && refuses(refused) => commits(made).then_some(2),
        _ => None,
    }
}

fn refuses(clause: &Clause) -> bool {
    let words: Vec<Token> =
        clause.tokens.iter().filter(|token| !matches!(token.lexeme, Lexeme::Sign(_))).cloned().collect();
    !words.is_empty() && phrase_at(&words, 0, &[Section::Refusal]) == Some(words.len())
}

fn commits(clause: &Clause) -> bool {
    let phrases =
        "is the play, is the bet, is the pick, is the move, for me, i'll take, i'd rather, instead, where i'm at";
    clause.says(phrases) || price::stake(&clause.terms).is_some()
}

/// Whether a clause is about a part of the game.
pub(super) fn is_of_a_part(clause: &Clause) -> bool {
    clause.says(PARTS)
}

/// Words for parts of a game.
const PARTS: &str =
    "half, 1h, 2h, quarter, 1q, 2q, 3q, 4q, period, 1p, f5, f3, inning, innings, set, first 5, first five, 1st 5, live";

/// Whether a question is about a part of the game, or about another market than the bet.
fn asks_about_another(asked: &Clause, made: &Clause) -> bool {
    let markets = |clause: &Clause| -> Vec<Term> {
        let is_market = |term: &&Term| {
            matches!(
                term,
                Term::Win { .. }
                    | Term::Side(_)
                    | Term::TeamTotal
                    | Term::PickEm
                    | Term::DrawNoBet
                    | Term::Draw
                    | Term::Stat(_)
            )
        };
        clause.terms.iter().filter(is_market).cloned().collect()
    };
    let asked_markets = markets(asked);
    let known = markets(made);
    is_of_a_part(asked) || asked_markets.iter().any(|market| !known.contains(market))
}
