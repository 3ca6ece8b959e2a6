//! Reads picks out of posts by rules over common notation: for when no language model answers, and as the model of the
//! sandbox.
//!
//! A post becomes tokens (`lex`), clauses of terms (`clause`), bets (`markets`, `price`) and, once the clauses that only
//! talk are left out (`verdict`) and each name is settled (`leagues`), an [`Answer`].

mod clause;
mod leagues;
pub mod lex;
mod markets;
pub mod names;
mod phrases;
mod price;
mod stakes;
mod verdict;
mod worth;

use perch_jobs::{Answer, Parlay, ParlayTag, Pick, PickKind};

pub use self::{
    clause::name_at,
    worth::{Verdict, worth},
};
use self::{
    clause::{Clause, Name, Term},
    leagues::{Context, Settled},
    markets::Draft,
    names::Role,
};

/// The picks of a post: one, several, a parlay, or nothing for results, talk and advertising.
///
/// The same text always gives the same answer. What the post does not say is null.
pub fn extract(text: &str) -> Answer {
    let clauses = clause::clauses(&lex::tokens(&lex::normalise(text)));
    let context = Context::of(&clauses);
    let live = verdict::live(&clauses);
    let parlay = clauses.iter().zip(&live).any(|(clause, live)| *live && verdict::parlay(clause));
    let mut reading = Reading { parlay, ..Reading::default() };
    for (clause, live) in clauses.iter().zip(live) {
        if live {
            reading.clause(clause, &context);
        } else {
            reading.apart();
        }
    }
    reading.answer()
}

/// The one league that the words and emoji of a text speak for.
pub(crate) fn leagues_of(text: &str) -> Option<&'static str> {
    Context::of(&clause::clauses(&lex::tokens(&lex::normalise(text)))).hinted_only()
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    picks: Vec<Pick>,
    /// The post is one bet of several legs.
    parlay: bool,
    /// Prices and stakes of clauses without a bet, and of parlays.
    spare_odds: Vec<String>,
    spare_units: Option<f64>,
    each: bool,
    /// Opponents named in a heading, for the bets below it.
    heading: Option<(Name, Name)>,
}

impl Reading {
    /// A clause that recommends nothing ends what a heading says.
    fn apart(&mut self) {
        self.heading = None;
    }

    fn clause(&mut self, clause: &Clause, context: &Context) {
        let mut drafts = markets::drafts(clause);
        let committed = self.parlay || verdict::committed(clause);
        drafts.retain(|d| !d.weak || d.odds.is_some() || d.units.is_some() || committed);
        if self.parlay {
            drafts.extend(markets::bare_legs(clause, &drafts));
            drafts.sort_by_key(|d| d.at.start);
        }
        if drafts.is_empty() {
            self.without_bet(clause);
            return;
        }
        let taken = drafts.iter().filter(|d| d.odds.is_some()).count();
        self.spare_odds.extend(price::all(&clause.terms).into_iter().skip(taken));
        for mut draft in drafts {
            if draft.pair.is_none() && self.heading_speaks_of(&draft) {
                draft.pair.clone_from(&self.heading);
            }
            // A line beyond all numbers is no bet, whatever stands around it.
            if let Some(pick) = settled(&draft, clause, context).filter(|pick| pick.validate("$").is_ok()) {
                self.add(pick);
            }
        }
    }

    /// Totals and props below a heading belong to its game, and so does a side that the heading names.
    fn heading_speaks_of(&self, draft: &Draft) -> bool {
        let Some((a, b)) = &self.heading else { return false };
        match &draft.subject {
            None => true,
            Some(_) if draft.kind == PickKind::Prop => true,
            Some(name) => name.candidates == a.candidates || name.candidates == b.candidates,
        }
    }

    fn without_bet(&mut self, clause: &Clause) {
        self.spare_odds.extend(price::all(&clause.terms));
        self.spare_units = self.spare_units.or_else(|| price::stake(&clause.terms));
        self.each |= clause.terms.contains(&Term::Each);
        let names: Vec<&Name> =
            clause.terms.iter().filter_map(|t| if let Term::Name(name) = t { Some(name) } else { None }).collect();
        let joined = clause.terms.iter().any(|t| matches!(t, Term::Versus | Term::Joint | Term::At));
        if let ([a, b], true) = (names.as_slice(), joined) {
            self.heading = Some(((*a).clone(), (*b).clone()));
        }
    }

    /// Keeps a bet that is said twice once, with the more complete of its two forms.
    fn add(&mut self, pick: Pick) {
        let said =
            |p: &Pick| (p.kind, p.selection.clone(), p.player.clone(), p.stat.clone(), p.line, p.side, p.event.clone());
        match self.picks.iter_mut().find(|known| said(known) == said(&pick)) {
            Some(known) => {
                known.odds = known.odds.take().or(pick.odds);
                known.units = known.units.or(pick.units);
            }
            None => self.picks.push(pick),
        }
    }

    fn answer(mut self) -> Answer {
        if self.parlay && self.picks.len() > 1 {
            return self.into_parlay();
        }
        let single = self.picks.len() == 1;
        for pick in &mut self.picks {
            if single || self.each {
                pick.units = pick.units.or(self.spare_units);
                pick.odds = pick.odds.take().or_else(|| self.spare_odds.first().cloned());
            }
        }
        match self.picks.len() {
            0 => Answer::Nothing(()),
            1 => self.picks.pop().map_or(Answer::Nothing(()), Answer::One),
            _ => Answer::Several(self.picks),
        }
    }

    /// A lone price is that of the whole; with more of them, each leg has its own.
    fn into_parlay(mut self) -> Answer {
        let priced: Vec<usize> = (0..self.picks.len()).filter(|n| self.picks[*n].odds.is_some()).collect();
        let mut odds = self.spare_odds.pop();
        if odds.is_none()
            && let [only] = priced.as_slice()
        {
            odds = self.picks[*only].odds.take();
        }
        for pick in &mut self.picks {
            pick.units = None;
        }
        Answer::Parlay(Parlay { kind: ParlayTag::Parlay, picks: self.picks, odds })
    }
}

/// The pick of a bet, or nothing when it would contradict itself.
fn settled(draft: &Draft, clause: &Clause, context: &Context) -> Option<Pick> {
    let settle = |name: &Name| leagues::settle(name, draft, clause, context);
    let subject = draft.subject.as_ref().map(settle);
    let pair = draft.pair.as_ref().map(|(a, b)| (settle(a), settle(b)));
    let league =
        subject.as_ref().and_then(|s| s.league).or_else(|| pair.as_ref().and_then(|(a, b)| a.league.or(b.league)));
    let sport = leagues::sport(league, draft, clause, context);
    if subject
        .as_ref()
        .is_some_and(|s| !may_be(s, draft.kind, sport.is_some() || pair.is_some() || draft.line.is_some()))
    {
        return None;
    }
    let one_game = |(a, b): &(Settled, Settled)| {
        a.name != b.name && (a.league == b.league || a.league.is_none() || b.league.is_none())
    };
    let (selection, player) = match draft.kind {
        PickKind::Prop => (None, subject),
        PickKind::Total if !of_one_team(draft, clause, sport) => (None, None),
        _ => (subject, None),
    };
    let pick = Pick {
        kind: draft.kind,
        sport: sport.map(Into::into),
        event: pair.filter(one_game).map(|(a, b)| format!("{} vs {}", a.name, b.name)),
        selection: selection.map(|s| s.name),
        line: draft.line,
        side: draft.side,
        player: player.map(|s| s.name),
        stat: draft
            .stat
            .clone()
            .filter(|stat| draft.kind == PickKind::Prop || matches!(stat.as_str(), "corners" | "cards")),
        odds: draft.odds.clone(),
        units: draft.units,
    };
    pick.validate("$").is_ok().then_some(pick)
}

/// Whether a name fits its bet. A name that no table knows needs something else that speaks for a bet.
fn may_be(name: &Settled, kind: PickKind, supported: bool) -> bool {
    match (name.role, kind) {
        (None, _) => supported,
        (Some(Role::Player), PickKind::Moneyline | PickKind::Spread) => false,
        _ => true,
    }
}

/// Whether a total next to one team counts that team's points alone: said so, or too low for a game.
fn of_one_team(draft: &Draft, clause: &Clause, sport: Option<&str>) -> bool {
    let lowest = match sport {
        Some("nba") => 160.0,
        Some("wnba") => 120.0,
        Some("ncaab") => 100.0,
        Some("nfl" | "ncaaf") => 33.0,
        Some("mlb") => 6.0,
        Some("nhl") => 4.5,
        Some("soccer") => 2.0,
        _ => 0.0,
    };
    clause.terms.contains(&Term::TeamTotal) || draft.line.is_some_and(|line| line < lowest)
}
