//! Resolves ambiguous names from their context.

use std::collections::BTreeSet;

use perch_jobs::PickKind;

use super::{
    clause::Clause,
    draft::Draft,
    names::{Candidate, NAMES, Role},
    phrases::WITHOUT_TABLE,
    term::{Name, Term},
};

/// What a post says about leagues.
pub(crate) struct LeagueContext {
    /// Leagues named by words or emoji anywhere.
    hinted: BTreeSet<&'static str>,
    /// Leagues of names that belong to only one league.
    certain: Vec<&'static str>,
    /// Every distinct name, with its candidates.
    names: Vec<Vec<Candidate>>,
}

impl LeagueContext {
    pub fn of(clauses: &[Clause]) -> Self {
        let hinted = clauses.iter().flat_map(|c| c.leagues.iter().copied()).collect();
        let certain = clauses.iter().flat_map(|c| &c.terms).filter_map(only_league).collect();
        let mut names: Vec<Vec<Candidate>> = Vec::new();
        for term in clauses.iter().flat_map(|c| &c.terms) {
            if let Term::Name(name) = term
                && !names.contains(&name.candidates)
            {
                names.push(name.candidates.clone());
            }
        }
        Self { hinted, certain, names }
    }

    /// How many other names of the post may belong to a league, at most 3.
    fn company(&self, name: &Name, league: &str) -> i32 {
        let may_be = |other: &&Vec<Candidate>| {
            **other != name.candidates && other.iter().any(|c| !c.weak && self::league(c) == league)
        };
        i32::try_from(self.names.iter().filter(may_be).count().min(3)).unwrap_or(0)
    }

    /// The league of the post, if it names exactly one.
    pub fn only(&self) -> Option<&'static str> {
        let mut all: BTreeSet<_> = self.hinted.clone();
        all.extend(&self.certain);
        if all.len() == 1 { all.first().copied() } else { None }
    }

    /// The league that words and emoji name, if it is exactly one.
    pub fn hinted_only(&self) -> Option<&'static str> {
        if self.hinted.len() == 1 { self.hinted.first().copied() } else { None }
    }
}

fn only_league(term: &Term) -> Option<&'static str> {
    let Term::Name(name) = term else { return None };
    let mut leagues = name.candidates.iter().filter(|c| !c.weak).map(league);
    let first = leagues.next()?;
    leagues.all(|other| other == first).then_some(first)
}

fn league(candidate: &Candidate) -> &'static str {
    NAMES.entities[candidate.entity].league
}

/// A resolved name, with its league and role if the tables know it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ResolvedName {
    pub name: String,
    pub league: Option<&'static str>,
    pub role: Option<Role>,
}

/// Resolves a name of a bet to its most likely candidate.
pub(crate) fn resolve(name: &Name, draft: &Draft, clause: &Clause, context: &LeagueContext) -> ResolvedName {
    let best = name
        .candidates
        .iter()
        .enumerate()
        .max_by_key(|(n, c)| (score(c, name, draft, clause, context), std::cmp::Reverse(*n)))
        .map(|(_, c)| &NAMES.entities[c.entity]);
    match best {
        Some(entity) => {
            ResolvedName { name: entity.name.clone(), league: Some(entity.league), role: Some(entity.role) }
        }
        None => ResolvedName { name: name.written.clone(), league: None, role: None },
    }
}

const COLLEGE: [&str; 2] = ["ncaab", "ncaaf"];

fn score(candidate: &Candidate, name: &Name, draft: &Draft, clause: &Clause, context: &LeagueContext) -> i32 {
    let league = league(candidate);
    let role = NAMES.entities[candidate.entity].role;
    let mut score = 0;
    if clause.leagues.contains(&league) {
        score += 20;
    }
    if context.hinted.contains(league) {
        score += 10;
    }
    let others = [&draft.subject].into_iter().flatten().chain(draft.pair.iter().flat_map(|(a, b)| [a, b]));
    for other in others.filter(|other| *other != name) {
        if other.candidates.iter().any(|c| self::league(c) == league && c.entity != candidate.entity) {
            score += 15;
        }
    }
    if draft.stat_league == Some(league) {
        score += 8;
    }
    if likely(draft).contains(&league) {
        score += 4;
    }
    score += context.company(name, league);
    score += i32::try_from(context.certain.iter().filter(|l| **l == league).count().min(5)).unwrap_or(0);
    let wanted = if draft.kind == PickKind::Prop { Role::Player } else { Role::Side };
    if role == wanted {
        score += 4;
    }
    if candidate.informal {
        score -= 5;
    }
    // "Cincinnati +3" means the professional team, unless something points to the college.
    let professional = |c: &Candidate| !COLLEGE.contains(&self::league(c)) && self::league(c) != "soccer";
    if COLLEGE.contains(&league) && name.candidates.iter().any(professional) {
        score -= 6;
    }
    score
}

/// Leagues in which the line of a bet is usual.
fn likely(draft: &Draft) -> &'static [&'static str] {
    const BIG: &[&str] = &["nba", "nfl", "ncaab", "ncaaf", "wnba"];
    let size = draft.line.map_or(0.0, f64::abs);
    let decimal = draft.odds.as_deref().is_some_and(|odds| !odds.starts_with(['+', '-']));
    match (draft.kind, draft.line) {
        (PickKind::Total, Some(line)) => match line {
            l if l >= 185.0 => &["nba"],
            l if l >= 100.0 => &["ncaab", "wnba"],
            l if l >= 30.0 => &["nfl", "ncaaf"],
            l if l > 7.0 => &["mlb"],
            l if l >= 5.0 => &["nhl"],
            _ => &["soccer", "mma"],
        },
        (PickKind::Spread, Some(_)) if (size - 1.5).abs() < f64::EPSILON => &["mlb", "nhl"],
        (PickKind::Spread, Some(_)) if size >= 2.0 => BIG,
        (PickKind::Spread, Some(_)) if decimal || size.fract() > 0.0 => &["soccer", "tennis"],
        (PickKind::Moneyline | PickKind::Spread, _) if decimal => &["soccer", "tennis"],
        _ => &[],
    }
}

/// The sport of a bet: from its names, otherwise from the clause or the post.
pub(crate) fn sport(
    named: Option<&'static str>,
    draft: &Draft,
    clause: &Clause,
    context: &LeagueContext,
) -> Option<&'static str> {
    let single = || match clause.leagues.as_slice() {
        [first, rest @ ..] if rest.iter().all(|l| l == first) => Some(*first),
        _ => None,
    };
    // A fighter of MMA may also box.
    if named == Some("mma") && context.hinted.contains("boxing") {
        return Some("boxing");
    }
    let untold = context.hinted_only().filter(|league| WITHOUT_TABLE.contains(league));
    untold.or(named).or_else(single).or_else(|| context.hinted_only()).or(draft.stat_league).or_else(|| {
        let nameless = draft.subject.is_none() && draft.pair.is_none();
        context.only().filter(|_| nameless)
    })
}
