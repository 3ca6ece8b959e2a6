//! Legs of a parlay that consist only of a name.

use perch_jobs::PickKind;

use super::{
    clause::Clause,
    draft::Draft,
    markets::{HAPPENS, has_role},
    names::{NAMES, Role},
    price,
    term::{Name, Term},
};

/// The names of a parlay without a market, alone or in a list: each is a leg on the moneyline. "Yankees, Astros, Phillies".
pub(super) fn bare(clause: &Clause, drafts: &[Draft]) -> Vec<Draft> {
    let listed = |term: &Term| {
        matches!(
            term,
            Term::Name(_)
                | Term::Comma
                | Term::Joint
                | Term::Filler
                | Term::Parlay
                | Term::Number { .. }
                | Term::League(_)
                | Term::Units(_)
                | Term::Win { .. }
                | Term::At
                | Term::Each
        )
    };
    // "Heat at Magic" and "Heat/Magic" name games; their bet is elsewhere.
    let joined = clause.terms.iter().any(|t| matches!(t, Term::Joint | Term::At | Term::Versus));
    let wins = clause.terms.iter().any(|t| matches!(t, Term::Win { .. }));
    let first = clause.terms.iter().position(|t| matches!(t, Term::Name(_))).unwrap_or(0);
    if !clause.terms[first..].iter().all(listed)
        || drafts.iter().any(|d| d.kind != PickKind::Moneyline || d.pair.is_some())
        || (joined && !wins)
    {
        return Vec::new();
    }
    named(clause, drafts, has_certain_side, |name| Draft::new(PickKind::Moneyline, 0..0).of(name))
}

/// The players below a heading with their statistic: "Anytime TD parlay", then one name per line.
pub(super) fn doing(clause: &Clause, (stat, league): &Heading) -> Vec<Draft> {
    let listed = |term: &Term| {
        matches!(
            term,
            Term::Name(_)
                | Term::Comma
                | Term::Joint
                | Term::Filler
                | Term::At
                | Term::Even
                | Term::Number { .. }
                | Term::Units(_)
        )
    };
    if !clause.terms.iter().all(listed) {
        return Vec::new();
    }
    let prop = |name: &Name| Draft {
        stat: Some(stat.clone()),
        stat_league: *league,
        ..Draft::new(PickKind::Prop, 0..0).of(name)
    };
    let may_be = |name: &Name| name.candidates.is_empty() || has_role(name, Role::Player);
    let mut drafts = named(clause, &[], may_be, prop);
    price::assign(&clause.terms, &mut drafts);
    drafts
}

/// The statistic of all players of a list, and the league that it implies.
pub(super) type Heading = (String, Option<&'static str>);

/// The heading of a list of players.
pub(super) fn heading(clause: &Clause) -> Option<Heading> {
    let named = clause.terms.iter().any(|t| matches!(t, Term::Name(_)));
    clause.terms.iter().filter(|_| !named).find_map(|term| match term {
        Term::Stat(stat) if HAPPENS.contains(&NAMES.stats[*stat].name) => {
            Some((NAMES.stats[*stat].name.to_owned(), NAMES.stats[*stat].league))
        }
        _ => None,
    })
}

fn named(
    clause: &Clause,
    drafts: &[Draft],
    fits: impl Fn(&Name) -> bool,
    draft: impl Fn(&Name) -> Draft,
) -> Vec<Draft> {
    let taken = |at: usize| drafts.iter().any(|d| d.at.contains(&at));
    let names = clause.terms.iter().enumerate().filter_map(|(at, term)| match term {
        Term::Name(name) if fits(name) && !taken(at) => Some((at, name)),
        _ => None,
    });
    names.map(|(at, name)| Draft { at: at..at + 1, ..draft(name) }).collect()
}

fn has_certain_side(name: &Name) -> bool {
    name.candidates.iter().any(|c| !c.weak && NAMES.entities[c.entity].role == Role::Side)
}
