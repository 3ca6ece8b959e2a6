//! Finds the bets in a clause: each has a market word or a line, with a name near it.

use perch_jobs::{PickKind, Side};

use super::{
    clause::Clause,
    draft::Draft,
    names::{Candidate, NAMES, Role},
    price,
    term::{Name, Term},
};

/// Most terms between a name and its line.
const GAP: usize = 4;

/// The bets of a clause in the order of the text, with their prices and stakes.
pub(crate) fn drafts(clause: &Clause) -> Vec<Draft> {
    let mut reader = Reader { terms: &clause.terms, drafts: Vec::new(), from: 0 };
    let mut at = 0;
    while at < clause.terms.len() {
        let found = reader.market(at);
        at = match found {
            Some(draft) => {
                let end = draft.at.end;
                reader.from = end;
                reader.drafts.push(draft);
                end.max(at + 1)
            }
            None => at + 1,
        };
    }
    let mut drafts = reader.drafts;
    price::assign(&clause.terms, &mut drafts);
    drafts
}

/// A bet without a name, for the name in the clause before: "Back on the Nuggets. -5.5, -110, 1u".
pub(crate) fn line_alone(clause: &Clause, name: &Name) -> Option<Draft> {
    let listed = |term: &Term| {
        matches!(term, Term::Number { .. } | Term::Units(_) | Term::Comma | Term::Filler | Term::At | Term::Even)
    };
    let Some(Term::Number { value, signed: true, .. }) = clause.terms.first() else { return None };
    let alone = value.abs() < 100.0 && clause.terms.iter().all(listed) && has_role(name, Role::Side);
    let mut drafts = vec![Draft { line: Some(*value), ..Draft::new(PickKind::Spread, 0..1).of(name) }];
    price::assign(&clause.terms, &mut drafts);
    drafts.pop().filter(|draft| alone && (draft.odds.is_some() || draft.units.is_some()))
}

/// Two opponents that a clause names before its first bet: "Chiefs/Bills +475: Mahomes …". They apply to all its bets.
pub(crate) fn game(clause: &Clause, drafts: &[Draft]) -> Option<(Name, Name)> {
    let end = drafts.first()?.at.start;
    Reader { terms: &clause.terms, drafts: Vec::new(), from: 0 }.pair_before(end)
}

/// The names of each pair of opponents in the clauses, with the canonical names of all their candidates.
pub(super) fn pairs(clauses: &[Clause]) -> Vec<Vec<String>> {
    let named = |name: &Name| -> Vec<String> {
        let known = name.candidates.iter().map(|candidate| NAMES.entities[candidate.entity].name.clone());
        known.chain([name.written.clone()]).collect()
    };
    let of_clause = |clause: &Clause| -> Vec<Vec<String>> {
        let reader = Reader { terms: &clause.terms, drafts: Vec::new(), from: 0 };
        let terms = 0..clause.terms.len();
        let pairs = terms.filter_map(|at| {
            let apart = matches!(clause.terms.get(at + 1), Some(Term::Versus | Term::At | Term::Beats));
            reader.pair_at(at, clause.terms.len()).filter(|_| apart)
        });
        pairs.map(|(a, b)| [named(&a), named(&b)].concat()).collect()
    };
    clauses.iter().flat_map(of_clause).collect()
}

struct Reader<'a> {
    terms: &'a [Term],
    drafts: Vec<Draft>,
    /// The end of the previous bet.
    from: usize,
}

impl Reader<'_> {
    fn market(&self, at: usize) -> Option<Draft> {
        match &self.terms[at] {
            Term::Side(side) => self.over_under(at, *side),
            Term::Number { value, signed: true, .. } if value.abs() < 100.0 => self.spread(at, at, *value),
            Term::PickEm | Term::DrawNoBet => self.spread(at, at, 0.0),
            Term::Win { strong } => self.win(at, *strong),
            Term::Beats => self.beats(at),
            Term::Season => self.season(at, at),
            Term::Draw if price::at(self.terms, at + 1).is_some() => {
                let name = Name { written: "Draw".into(), candidates: Vec::new() };
                let pair = self.pair_before(at);
                Some(Draft { subject: Some(name), pair, ..Draft::new(PickKind::Moneyline, at..at + 1) })
            }
            Term::Name(name) => self.bare(at, name),
            _ => None,
        }
    }

    fn name(&self, at: usize) -> Option<&Name> {
        match self.terms.get(at) {
            Some(Term::Name(name)) => Some(name),
            _ => None,
        }
    }

    fn may_stand_between(&self, at: usize) -> bool {
        matches!(
            self.terms[at],
            Term::Filler
                | Term::League(_)
                | Term::At
                | Term::Comma
                | Term::Joint
                | Term::TeamTotal
                | Term::Fraction { .. }
        )
    }

    /// The name before a position, with only fillers between.
    fn name_before(&self, at: usize) -> Option<usize> {
        let first = at.saturating_sub(GAP + 1).max(self.from);
        (first..at).rev().find(|i| !self.may_stand_between(*i)).filter(|i| self.name(*i).is_some())
    }

    /// The name after a position, with only fillers between.
    fn name_after(&self, at: usize) -> Option<usize> {
        let last = (at + 1 + GAP).min(self.terms.len());
        (at + 1..last)
            .find(|i| !matches!(self.terms[*i], Term::Filler | Term::Joint))
            .filter(|i| self.name(*i).is_some())
    }

    fn skip_fillers(&self, mut at: usize) -> usize {
        while matches!(self.terms.get(at), Some(Term::Filler)) {
            at += 1;
        }
        at
    }

    /// Two opponents named before a position: "A vs B", "A/B", "A @ B".
    fn pair_before(&self, at: usize) -> Option<(Name, Name)> {
        (self.from..at).rev().find_map(|i| self.pair_at(i, at))
    }

    /// Two opponents of which the first stands at a position.
    fn pair_at(&self, at: usize, end: usize) -> Option<(Name, Name)> {
        let first = self.name(at)?;
        let link = matches!(self.terms.get(at + 1), Some(Term::Versus | Term::Joint | Term::At | Term::Beats));
        let second = self.skip_fillers(at + 2);
        (link && second < end).then(|| self.name(second)).flatten().map(|second| (first.clone(), second.clone()))
    }

    /// Two teams side by side next to a total: "Oilers Kings over 6.5".
    fn side_by_side(&self, first: usize) -> Option<(Name, Name)> {
        let (a, b) = (self.name(first)?, self.name(first + 1)?);
        let league = |c: &Candidate| NAMES.entities[c.entity].league;
        let in_one = |c: &Candidate| !c.weak && b.candidates.iter().any(|d| !d.weak && league(d) == league(c));
        let met = has_role(a, Role::Side) && has_role(b, Role::Side) && a.candidates.iter().any(in_one);
        met.then(|| (a.clone(), b.clone()))
    }

    /// The opponent named after a bet: "… vs Heat", "… over Alcaraz".
    fn opponent_after(&self, at: usize) -> Option<(usize, Name)> {
        for i in at..self.terms.len() {
            match &self.terms[i] {
                Term::Versus | Term::At | Term::Beats | Term::Side(Side::Over) => {
                    let second = self.skip_fillers(i + 1);
                    if let Some(name) = self.name(second) {
                        return Some((second, name.clone()));
                    }
                    if matches!(self.terms[i], Term::Side(_)) {
                        return None;
                    }
                }
                Term::Name(_) | Term::Side(_) | Term::Win { .. } | Term::Comma | Term::Parlay => return None,
                Term::Number { signed: true, value, .. } if value.abs() < 100.0 => return None,
                _ => {}
            }
        }
        None
    }

    /// The opponents of a bet on a side, named together before it, or the second one after it.
    fn opponents(&self, subject: usize, market: usize) -> (Option<(Name, Name)>, usize) {
        let end = self.terms.len().min(market + 1);
        if let Some(pair) = self.pair_before(end) {
            return (Some(pair), market + 1);
        }
        match (self.name(subject), self.opponent_after(market.max(subject) + 1)) {
            (Some(first), Some((at, second))) => (Some((first.clone(), second)), at + 1),
            _ => (None, market + 1),
        }
    }

    fn side_bet(&self, kind: PickKind, subject: usize, market: usize) -> Option<Draft> {
        let name = self.name(subject)?;
        if !name.candidates.is_empty() && !has_role(name, Role::Side) {
            return None;
        }
        let (pair, end) = self.opponents(subject, market);
        let at = subject.min(market)..end.max(subject + 1);
        Some(Draft { subject: Some(name.clone()), pair, ..Draft::new(kind, at) })
    }

    fn spread(&self, at: usize, market: usize, line: f64) -> Option<Draft> {
        // "good to -4.5" and "opened -2.5" are not bets but say where the line was or may go.
        let moved = at > 0 && matches!(self.terms[at - 1], Term::Other) && self.name_before(at).is_none();
        let before = self.name_before(at);
        let draft = match before {
            Some(subject) => self.side_bet(PickKind::Spread, subject, market)?,
            None if moved => return None,
            None => self.side_bet(PickKind::Spread, self.name_after(at)?, market)?,
        };
        Some(Draft { line: Some(line), ..draft })
    }

    fn win(&self, at: usize, strong: bool) -> Option<Draft> {
        if !strong {
            let prize = self.skip_fillers(at + 1);
            if matches!(self.terms.get(prize), Some(Term::Season | Term::League(_))) {
                return self.season(prize, at);
            }
        }
        let second_of_pair = self.name_before(at).filter(|i| *i > 1 && matches!(self.terms[i - 1], Term::Versus));
        let subject = match (self.name_before(at), self.name_after(at)) {
            (Some(_), Some(after)) if second_of_pair.is_some() && strong => after,
            (Some(before), _) => before,
            (None, Some(after)) if strong => after,
            _ => return None,
        };
        Some(Draft { weak: !strong, ..self.side_bet(PickKind::Moneyline, subject, at)? })
    }

    fn beats(&self, at: usize) -> Option<Draft> {
        let subject = self.name_before(at)?;
        let second = self.name(self.skip_fillers(at + 1))?.clone();
        let first = self.name(subject)?.clone();
        let end = self.skip_fillers(at + 1) + 1;
        let pair = Some((first.clone(), second));
        Some(Draft { subject: Some(first), pair, weak: true, ..Draft::new(PickKind::Moneyline, subject..end) })
    }

    fn season(&self, prize: usize, at: usize) -> Option<Draft> {
        let subject = self.name_before(at)?;
        let name = self.name(subject)?.clone();
        Some(Draft { subject: Some(name), weak: true, ..Draft::new(PickKind::Future, subject..prize + 1) })
    }

    /// A bet of a name and a price only, or of a name and a statistic without a line.
    fn bare(&self, at: usize, name: &Name) -> Option<Draft> {
        let next = self.skip_fillers(at + 1);
        match self.terms.get(next) {
            Some(Term::Number { value, signed: false, plus: true, .. }) => {
                let (stat, league, end) = stat_at(self.terms, next + 1)?;
                let at = at..end;
                let side = Some(Side::Over);
                let draft =
                    Draft { subject: Some(name.clone()), line: Some(*value), side, ..Draft::new(PickKind::Prop, at) };
                Some(Draft { stat: Some(stat), stat_league: league, weak: true, ..draft })
            }
            Some(Term::Stat(_)) => {
                let (stat, league, end) = stat_at(self.terms, next)?;
                let lined = matches!(self.terms.get(self.skip_fillers(end)), Some(Term::Side(_)));
                let priced = price::at(self.terms, end).is_some();
                let draft = Draft { subject: Some(name.clone()), ..Draft::new(PickKind::Prop, at..end) };
                let pair = self.opponent_after(end).map(|(_, second)| (name.clone(), second));
                let happens = HAPPENS.contains(&stat.as_str());
                let draft = Draft { stat: Some(stat), stat_league: league, pair, weak: !priced, ..draft };
                (!lined && (priced || happens)).then_some(draft)
            }
            _ if self.stat_before_name(at).is_some() => {
                let (stat, stat_league, _) = self.stat_before_name(at)?;
                let weak = price::at(self.terms, at + 1).is_none();
                let draft = Draft::new(PickKind::Prop, at..at + 1).of(name);
                Some(Draft { stat: Some(stat), stat_league, weak, ..draft })
            }
            _ => {
                let paired = at > self.from && matches!(self.terms[at - 1], Term::Versus | Term::Joint | Term::At);
                let known = has_role(name, Role::Side);
                price::at(self.terms, at + 1).filter(|_| known && !paired)?;
                self.side_bet(PickKind::Moneyline, at, at)
            }
        }
    }

    /// The statistic before a name, also for further names of a list: "Anytime TD: Tyreek Hill +110".
    fn stat_before_name(&self, at: usize) -> Option<(String, Option<&'static str>, usize)> {
        let name = self.name(at).filter(|name| name.candidates.is_empty() || has_role(name, Role::Player))?;
        // "James Cook anytime TD, Bills -3": the second bet has its own market.
        let own = match self.terms.get(self.skip_fillers(at + 1)) {
            Some(Term::Number { value, signed: true, .. }) => value.abs() < 100.0,
            next => matches!(next, Some(Term::Win { .. } | Term::Side(_) | Term::PickEm | Term::Stat(_))),
        };
        if own || (name.candidates.is_empty() && price::at(self.terms, at + 1).is_none()) {
            return None;
        }
        match self.drafts.last() {
            None => stat_before(self.terms, self.from, at).filter(|(stat, ..)| HAPPENS.contains(&stat.as_str())),
            Some(last) if last.kind == PickKind::Prop && last.line.is_none() && last.side.is_none() => {
                let stat = last.stat.clone().filter(|stat| HAPPENS.contains(&stat.as_str()))?;
                Some((stat, last.stat_league, at))
            }
            Some(_) => None,
        }
    }

    fn over_under(&self, at: usize, side: Side) -> Option<Draft> {
        let next = self.skip_fillers(at + 1);
        let (line, mut end) = match (self.terms.get(next), at.checked_sub(1).and_then(|i| self.terms.get(i))) {
            (Some(Term::Number { value, signed: false, .. }), _) => (*value, next + 1),
            (_, Some(Term::Number { value, signed: false, .. })) if at > self.from => (*value, at + 1),
            (_, Some(Term::Stat(_))) => (self.line_before_stat(at)?, at + 1),
            _ => return None,
        };
        let (before, after) = (stat_before(self.terms, self.from, at), stat_at(self.terms, end));
        if let Some((_, _, stat_end)) = &after {
            end = *stat_end;
        }
        let mark = before.as_ref().map_or(at, |(_, _, start)| *start);
        let (stat, league) = match (after, before) {
            (Some((stat, league, _)), _) | (None, Some((stat, league, _))) => (Some(stat), league),
            (None, None) => (None, None),
        };
        let draft = Draft { line: Some(line), side: Some(side), ..Draft::new(PickKind::Total, at..end) };
        Some(self.counted(Draft { stat, stat_league: league, ..draft }, mark))
    }

    /// The line of "275.5 passing yards over".
    fn line_before_stat(&self, at: usize) -> Option<f64> {
        let (_, _, start) = stat_before(self.terms, self.from, at)?;
        match self.terms.get(start.checked_sub(1).filter(|i| *i >= self.from)?) {
            Some(Term::Number { value, signed: false, .. }) => Some(*value),
            _ => None,
        }
    }

    /// Decides which player, team or game an over or under is about.
    fn counted(&self, draft: Draft, mark: usize) -> Draft {
        let beside = || mark.checked_sub(2).filter(|at| *at >= self.from).and_then(|at| self.side_by_side(at));
        let pair = self.pair_before(mark).or_else(beside);
        let near = self.name_before(mark).or_else(|| (self.from..mark).rev().find(|i| self.name(*i).is_some()));
        let after = self.name_after(draft.at.end - 1);
        let subject = near.or(after).and_then(|i| self.name(i)).cloned();
        let of_pair = |name: &Name| pair.as_ref().is_some_and(|(a, b)| a == name || b == name);
        let start = near.unwrap_or(draft.at.start).min(draft.at.start);
        let late = |i: usize| self.pair_at(i, self.terms.len()).or_else(|| self.side_by_side(i)).map(|pair| (i, pair));
        let late_pair = after.filter(|_| near.is_none()).and_then(late);
        let draft = Draft { at: start..draft.at.end, ..draft };
        match subject {
            _ if late_pair.is_some() => {
                let (at, pair) = late_pair.unzip();
                Draft { pair, at: draft.at.start..at.map_or(draft.at.end, |at| at + 3), ..draft }
            }
            Some(name) if of_pair(&name) => Draft { pair, ..draft },
            Some(name) if is_player(&name, draft.stat.as_deref()) => {
                Draft { kind: PickKind::Prop, subject: Some(name), pair, ..draft }
            }
            Some(name) if draft.stat.as_deref() == Some("wins") => {
                Draft { kind: PickKind::Future, subject: Some(name), stat: None, ..draft }
            }
            Some(name) => {
                let pair = pair.or_else(|| self.opponent_after(draft.at.end).map(|(_, other)| (name.clone(), other)));
                Draft { subject: Some(name).filter(|_| pair.is_none()), pair, ..draft }
            }
            None => match self.drafts.last() {
                // "o25.5 points, o7.5 assists": the second bet is on the same player.
                Some(last) if last.kind == PickKind::Prop && draft.stat.is_some() => {
                    Draft { kind: PickKind::Prop, subject: last.subject.clone(), pair: last.pair.clone(), ..draft }
                }
                _ => draft,
            },
        }
    }
}

pub(crate) fn has_role(name: &Name, role: Role) -> bool {
    name.candidates.iter().any(|c| NAMES.entities[c.entity].role == role)
}

/// Statistics of a player that happen or not, without a line.
pub(super) const HAPPENS: [&str; 8] = [
    "anytime touchdown",
    "first touchdown",
    "anytime goal",
    "anytime goalscorer",
    "home runs",
    "double-double",
    "triple-double",
    "stolen bases",
];

/// Statistics that may also be of a whole game.
pub(super) const OF_A_GAME: [&str; 11] =
    ["goals", "points", "runs", "rounds", "games", "sets", "corners", "cards", "wins", "touchdowns", "shots"];

fn is_player(name: &Name, stat: Option<&str>) -> bool {
    let of_one = stat.is_some_and(|stat| !OF_A_GAME.contains(&stat));
    if name.candidates.is_empty() {
        return of_one || matches!(stat, Some("points" | "goals" | "shots"));
    }
    let (player, side) = (has_role(name, Role::Player), has_role(name, Role::Side));
    (player && (!side || stat.is_some())) || (of_one && !side) || (of_one && is_athlete(name))
}

fn is_athlete(name: &Name) -> bool {
    name.candidates.iter().any(|c| matches!(NAMES.entities[c.entity].league, "tennis" | "mma" | "boxing" | "golf"))
}

/// The statistic at a position, also a combined one such as "points + assists", with the position after it.
fn stat_at(terms: &[Term], at: usize) -> Option<(String, Option<&'static str>, usize)> {
    let mut end = at;
    while matches!(terms.get(end), Some(Term::Filler)) && end < at + 2 {
        end += 1;
    }
    let Some(Term::Stat(first)) = terms.get(end) else { return None };
    let mut name = NAMES.stats[*first].name.to_owned();
    end += 1;
    while let (Some(Term::Comma | Term::Joint), Some(Term::Stat(next))) = (terms.get(end), terms.get(end + 1)) {
        name = format!("{name}+{}", NAMES.stats[*next].name);
        end += 2;
    }
    Some((name, NAMES.stats[*first].league, end))
}

/// The statistic right before a position, with its start.
fn stat_before(terms: &[Term], from: usize, at: usize) -> Option<(String, Option<&'static str>, usize)> {
    let last = (from..at).rev().find(|i| !matches!(terms[*i], Term::Filler | Term::Joint))?;
    if !matches!(terms[last], Term::Stat(_)) {
        return None;
    }
    let mut start = last;
    while start >= from + 2
        && matches!(terms[start - 1], Term::Comma | Term::Joint)
        && matches!(terms[start - 2], Term::Stat(_))
    {
        start -= 2;
    }
    stat_at(terms, start).map(|(name, league, _)| (name, league, start))
}
