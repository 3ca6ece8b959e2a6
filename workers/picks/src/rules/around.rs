//! Checks whether the rules understand the clauses of a post that have no bet: any of them may change or negate the bets beside it.

use std::collections::HashSet;

use perch_jobs::{Pick, PickKind, Side};

use super::{
    clause::{Clause, ResultMark},
    doubt::Doubt,
    names::NAMES,
    points, price, recommended,
    refusal::refused_before,
    term::{Name, Term},
    token::Lexeme,
    understood::{doubt_at, is_count, stands_between_names, unknown},
    vocabulary::Section,
};

/// The first doubt about the bets of a post that its clauses without a bet raise. `has_bet` says which clauses have a bet.
pub(super) fn doubt_around<'p>(
    clauses: &[Clause],
    has_bet: &[bool],
    picks: impl Iterator<Item = &'p Pick>,
) -> Option<Doubt> {
    let made = PostBets::of(picks);
    let staked = clauses.iter().any(|clause| price::stake(&clause.terms).is_some());
    let first = has_bet.iter().position(|bet| *bet)?;
    let mut settled = has_bet.to_vec();
    for at in (0..clauses.len()).filter(|at| has_bet[*at]) {
        let refused = refused_before(clauses, at).unwrap_or(0);
        settled[at - refused..at].fill(true);
    }
    let turn = clauses[..first].iter().rposition(recommended::looks_ahead);
    let doubt = |(at, clause): (usize, &Clause)| {
        if clause.question {
            return Some(Doubt::Question);
        }
        if let Some(doubt) = points::against(clause, &made.bets) {
            return Some(doubt);
        }
        let marked = (clause.mark == ResultMark::Graded).then_some(Doubt::Mark);
        let doubt = made.unknown_in(clause, ClauseRole::Around).map(|at| doubt_at(clause, at)).or(marked)?;
        // "2-0 yesterday. Today: …": a record comes first, then the bets of today.
        let is_past = tells_a_record(clause) && turn.is_some_and(|turn| at <= turn);
        let is_fine = (staked && is_about_who_plays(clause) && made.unknown_in(clause, ClauseRole::Game).is_none())
            || (is_past && made.unknown_in(clause, ClauseRole::Before).is_none());
        (!is_fine).then_some(doubt)
    };
    clauses.iter().enumerate().filter(|(at, _)| !settled[*at]).find_map(doubt)
}

/// What a clause without a bet is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClauseRole {
    /// A heading, a cheer, a price or a stake.
    Around,
    /// A statement about who plays.
    Game,
    /// A record of earlier bets.
    Before,
}

fn tells_a_record(clause: &Clause) -> bool {
    clause.tokens.iter().any(|token| token.lexeme == Lexeme::Record)
}

fn is_about_who_plays(clause: &Clause) -> bool {
    clause.terms.iter().any(|term| matches!(term, Term::Name(_)))
        || clause.says("they, they're, he, he's, their, his, her, she")
}

/// The names, sides and lines of the picks of a post.
struct PostBets {
    /// The canonical names of sides, opponents and players.
    names: HashSet<String>,
    sides: Vec<Side>,
    /// The kinds and lines of the picks.
    bets: Vec<(PickKind, Option<f64>)>,
}

impl PostBets {
    fn of<'p>(picks: impl Iterator<Item = &'p Pick>) -> Self {
        let mut made = Self { names: HashSet::new(), sides: Vec::new(), bets: Vec::new() };
        for pick in picks {
            let opponents = pick.event.iter().flat_map(|event| event.split(" vs ")).map(str::to_owned);
            made.names.extend(opponents.chain(pick.selection.clone()).chain(pick.player.clone()));
            made.sides.extend(pick.side);
            made.bets.push((pick.kind, pick.line));
        }
        made
    }

    /// Whether a name in a clause without a bet belongs to a pick, or is one of two opponents.
    fn names(&self, name: &Name, terms: &[Term], at: usize) -> bool {
        let links = |at: Option<usize>| {
            at.and_then(|at| terms.get(at)).is_some_and(|term| matches!(term, Term::Versus | Term::Joint | Term::At))
        };
        let is_paired = (links(at.checked_sub(1)) || links(Some(at + 1))) && stands_beside_another(terms, at);
        name.candidates.iter().any(|c| self.names.contains(&NAMES.entities[c.entity].name))
            || (is_paired && !name.candidates.is_empty())
    }

    /// The first token of a clause without a bet that is not understood, if the clause has this role.
    fn unknown_in(&self, clause: &Clause, role: ClauseRole) -> Option<usize> {
        let has_record = clause.says("record, season, ytd, overall");
        let (is_around, is_past) = (role == ClauseRole::Around, role == ClauseRole::Before);
        let terms = &clause.terms;
        let knows = |at: usize| match &terms[at] {
            Term::Name(name) if is_around => self.names(name, terms, at),
            Term::Name(name) => !name.candidates.is_empty(),
            Term::Number { .. } | Term::Fraction { .. } => {
                let announced = at > 0 && terms[at - 1] == Term::At;
                is_around && (price::of(&terms[at], announced).is_some() || is_count(clause, at))
            }
            Term::Units(units) => is_around && *units > 0.0,
            Term::Side(side) => self.sides.contains(side),
            Term::Versus => stands_between_names(terms, at),
            Term::Other => {
                let is_tally = matches!(clause.tokens_of(at)[0].lexeme, Lexeme::Record | Lexeme::Profit);
                is_tally && (is_past || (is_around && has_record))
            }
            Term::Win { strong } => *strong,
            Term::Season | Term::Stat(_) | Term::Joint => true,
            term => term.only_joins(),
        };
        let is_priced = !price::all(terms).is_empty() || price::stake(terms).is_some();
        let sections: &[Section] = match role {
            ClauseRole::Around if is_priced => &[Section::Around, Section::Bet, Section::After, Section::Books],
            // "Odds:" alone introduces a list of what a bookmaker offers.
            ClauseRole::Around => &[Section::Around, Section::Bet, Section::Books],
            ClauseRole::Game => &[Section::Game],
            ClauseRole::Before => &[Section::Before, Section::Around],
        };
        unknown(clause, |_| sections, knows)
    }
}

fn stands_beside_another(terms: &[Term], at: usize) -> bool {
    terms
        .iter()
        .enumerate()
        .any(|(other, term)| other != at && other.abs_diff(at) <= 3 && matches!(term, Term::Name(_)))
}
