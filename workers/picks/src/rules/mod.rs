//! Reads picks out of posts by rules over common notation: for when no language model answers, and as the model of the
//! sandbox.
//!
//! A post becomes tokens (`lex`), clauses of terms (`clause`), bets (`markets`, `price`) and, once the clauses that only
//! talk are left out (`verdict`) and each name is settled (`leagues`), an [`ExtractedBets`]. The rules are sure of a bet only where
//! they understand everything that the post says around it (`understood`): no list of warnings is ever complete, so what
//! they do not know counts as one.

mod around;
pub(crate) mod asides;
mod clause;
mod contradiction;
mod doubt;
mod draft;
mod emoji;
mod leagues;
mod leg_count;
mod legs;
pub mod lex;
mod markets;
pub mod names;
mod phrases;
mod points;
mod price;
mod quarters;
mod refusal;
mod spoken;
mod stakes;
mod term;
pub mod token;
mod understood;
mod verdict;
mod vocabulary;
mod worth;

use perch_jobs::{Bet, ExtractedBets, Parlay, ParlayTag, Pick, PickKind};

use self::{
    clause::Clause,
    draft::Draft,
    leagues::{Context, Settled},
    names::Role,
    term::{Name, Term},
};
pub use self::{
    clause::name_at,
    doubt::Doubt,
    worth::{Verdict, worth},
};

/// What the rules read in a post.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The picks that there would be if nothing else in the post meant anything: bets that are made, and bets that are only
    /// spoken of.
    pub likely: ExtractedBets,
    /// What makes the rules doubt them. Where there is any doubt, none of them counts.
    pub doubts: Vec<Doubt>,
}

impl Found {
    /// The picks, if the rules are sure of them.
    pub fn sure(self) -> ExtractedBets {
        if self.doubts.is_empty() { self.likely } else { ExtractedBets::Nothing(()) }
    }
}

/// The picks of a post that the rules are sure of: one, several, a parlay, or nothing for results, talk, warnings and
/// advertising.
///
/// The same text always gives the same answer. What the post does not say is null.
pub fn extract(text: &str) -> ExtractedBets {
    read(text).sure()
}

/// The picks of a post, and what makes the rules doubt them.
pub fn read(text: &str) -> Found {
    let clauses = clause::clauses(&lex::tokens(&lex::normalise(text)));
    let context = Context::of(&clauses);
    let live = verdict::live(&clauses);
    let parlay = clauses.iter().zip(&live).any(|(clause, live)| *live && verdict::parlay(clause));
    let mut reading = Reading { parlay, ..Reading::default() };
    for (at, live) in live.into_iter().enumerate() {
        reading.has_bet.push(false);
        if live {
            reading.legs = reading.legs.max(clauses[at].legs);
            reading.clause(&clauses, at, &context);
        } else {
            reading.apart();
        }
    }
    reading.found(&clauses)
}

/// The one league that the words and emoji of a text speak for.
pub(crate) fn leagues_of(text: &str) -> Option<&'static str> {
    Context::of(&clause::clauses(&lex::tokens(&lex::normalise(text)))).hinted_only()
}

/// A bet that was read.
struct Read {
    pick: Pick,
    /// Its clause says no more than the bet.
    bare: bool,
    /// Its clause is about a part of the game.
    part: bool,
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    picks: Vec<Read>,
    /// Which clauses have a bet.
    has_bet: Vec<bool>,
    doubts: Vec<Doubt>,
    /// The post is one bet of several legs.
    parlay: bool,
    /// How many legs the post says that the parlay has.
    legs: Option<usize>,
    /// What the players below a heading do.
    doing: Option<legs::Heading>,
    /// Prices and stakes of clauses without a bet, and of parlays.
    spare_odds: Vec<String>,
    spare_units: Vec<f64>,
    each: bool,
    /// The one name of the clause before, which has no bet.
    named: Option<Name>,
    /// Opponents named in a heading, for the bets below it.
    heading: Option<(Name, Name)>,
}

impl Reading {
    /// A clause that recommends nothing ends what a heading says.
    fn apart(&mut self) {
        self.named = None;
        self.heading = None;
    }

    fn clause(&mut self, clauses: &[Clause], at: usize, context: &Context) {
        let clause = &clauses[at];
        let mut drafts = markets::drafts(clause);
        if let (Some(name), true) = (self.named.take(), drafts.is_empty()) {
            drafts.extend(markets::line_alone(clause, &name));
        }
        let committed = self.parlay || verdict::committed(clause);
        drafts.retain(|d| !d.weak || d.odds.is_some() || d.units.is_some() || committed);
        if self.parlay {
            drafts.extend(legs::bare(clause, &drafts));
            drafts.sort_by_key(|d| d.at.start);
        }
        if let (Some(doing), true) = (&self.doing, drafts.is_empty()) {
            drafts = legs::doing(clause, doing);
            drafts.retain(|d| d.odds.is_some() || self.parlay);
        }
        if drafts.is_empty() {
            self.without_bet(clause);
            return;
        }
        self.doubts.extend(understood::of_bet(clauses, at, &drafts, self.parlay));
        self.has_bet[at] = true;
        let part = refusal::is_of_a_part(clause);
        self.spare_odds.extend(price::left_over(&clause.terms, &drafts));
        self.heading = markets::game(clause, &drafts).or(self.heading.take());
        let bare = !clause.tells && !has_other_names(clause, &drafts);
        let mut game: Option<(Name, Name)> = None;
        for mut draft in drafts {
            if draft.pair.is_none() && self.heading_speaks_of(&draft) {
                draft.pair.clone_from(&self.heading);
            }
            // A side of the game whose total stands before it.
            if draft.pair.is_none() && draft.subject.as_ref().is_some_and(|name| is_of(name, game.as_ref())) {
                draft.pair.clone_from(&game);
            }
            if draft.kind == PickKind::Total && draft.pair.is_some() {
                game.clone_from(&draft.pair);
            }
            // A line beyond all numbers is no bet, whatever stands around it.
            match settled(&draft, clause, context).filter(|pick| pick.validate("$").is_ok()) {
                Some(pick) => {
                    self.doubts.extend(understood::impossible_line(&pick));
                    self.doubts.extend(understood::line_of_an_exchange(clause, &pick));
                    self.add(Read { pick, bare, part });
                }
                None => self.doubts.push(Doubt::Unsettled),
            }
        }
    }

    /// Totals and props below a heading belong to its game, and so does a side that the heading names.
    fn heading_speaks_of(&self, draft: &Draft) -> bool {
        let Some((a, b)) = &self.heading else { return false };
        match &draft.subject {
            None => true,
            Some(_) if draft.kind == PickKind::Prop => true,
            Some(name) => is_of(name, Some(&(a.clone(), b.clone()))),
        }
    }

    fn without_bet(&mut self, clause: &Clause) {
        self.spare_odds.extend(price::all(&clause.terms));
        self.spare_units.extend(price::stakes(&clause.terms));
        self.each |= clause.terms.contains(&Term::Each);
        self.doing = legs::heading(clause).or(self.doing.take());
        let names: Vec<&Name> =
            clause.terms.iter().filter_map(|t| if let Term::Name(name) = t { Some(name) } else { None }).collect();
        let joined = clause.terms.iter().any(|t| matches!(t, Term::Versus | Term::Joint | Term::At));
        self.named = if let [only] = names.as_slice() { Some((*only).clone()) } else { None };
        if let ([a, b], true) = (names.as_slice(), joined) {
            self.heading = Some(((*a).clone(), (*b).clone()));
        }
    }

    /// Keeps a bet that is said twice once, with the more complete of its two forms.
    fn add(&mut self, read: Read) {
        let said =
            |p: &Pick| (p.kind, p.selection.clone(), p.player.clone(), p.stat.clone(), p.line, p.side, p.event.clone());
        if let Some(Read { pick: known, .. }) = self.picks.iter_mut().find(|k| said(&k.pick) == said(&read.pick)) {
            let dearer = known.odds.is_some() && read.pick.odds.is_some() && known.odds != read.pick.odds;
            let larger = known.units.is_some() && read.pick.units.is_some() && known.units != read.pick.units;
            self.doubts.extend((dearer || larger).then_some(Doubt::Contradiction));
            known.odds = known.odds.take().or(read.pick.odds);
            known.units = known.units.or(read.pick.units);
        } else {
            self.picks.push(read);
        }
    }

    fn found(mut self, clauses: &[Clause]) -> Found {
        let mut doubts = std::mem::take(&mut self.doubts);
        doubts.extend(around::of_the_rest(clauses, &self.has_bet, self.picks.iter().map(|read| &read.pick)));
        doubts.extend(self.left_over());
        doubts.extend(contradiction::among(&self.picks, clauses));
        let likely = self.answer();
        // What is no pick needs no doubt.
        doubts.retain(|_| likely != ExtractedBets::Nothing(()));
        Found { likely, doubts }
    }

    fn answer(mut self) -> ExtractedBets {
        if self.parlay {
            return self.into_parlay();
        }
        if self.picks.len() > 1 {
            self.leave_out_talk();
        }
        let single = self.picks.len() == 1;
        for Read { pick, .. } in &mut self.picks {
            if single || self.each {
                pick.units = pick.units.or(self.spare_units.first().copied());
                pick.odds = pick.odds.take().or_else(|| self.spare_odds.first().cloned());
            }
        }
        self.leave_out_talk();
        ExtractedBets::of(self.picks.into_iter().map(|read| Bet::Single(read.pick)).collect())
    }

    /// A price or a stake of a clause without a bet, of which it cannot be told which bet it is for.
    fn left_over(&self) -> Option<Doubt> {
        let priced = self.picks.iter().filter(|read| read.pick.odds.is_some()).count();
        let staked = self.picks.iter().filter(|read| read.pick.units.is_some()).count();
        let room = |taken: usize| usize::from(taken < self.picks.len());
        let odds = self.spare_odds.get(room(priced)).cloned();
        let units = self.spare_units.get(room(staked)).map(|units| format!("{units}u"));
        odds.or(units).filter(|_| !self.parlay).map(Doubt::Figure)
    }

    /// A bet without a price and a stake counts where nothing else is said.
    fn leave_out_talk(&mut self) {
        let shared = self.each && !(self.spare_units.is_empty() && self.spare_odds.is_empty());
        self.picks.retain(|Read { pick, bare, .. }| *bare || shared || pick.odds.is_some() || pick.units.is_some());
    }

    /// A lone price is that of the whole; with more of them, each leg has its own. A parlay of which a leg could not be read
    /// is another bet than what is left of it.
    fn into_parlay(self) -> ExtractedBets {
        let mut legs: Vec<Pick> = self.picks.into_iter().map(|read| Pick { units: None, ..read.pick }).collect();
        if legs.len() < self.legs.unwrap_or(2).max(2) {
            return ExtractedBets::Nothing(());
        }
        let mut odds = self.spare_odds.last().cloned();
        let mut priced = legs.iter_mut().filter(|leg| leg.odds.is_some());
        if let (None, Some(only), None) = (&odds, priced.next(), priced.next()) {
            odds = only.odds.take();
        }
        ExtractedBets::Parlay(Parlay { kind: ParlayTag::Parlay, picks: legs, odds })
    }
}

/// Whether a name is one of two opponents.
fn is_of(name: &Name, pair: Option<&(Name, Name)>) -> bool {
    let same = |other: &Name| {
        name.candidates == other.candidates && (name.written == other.written || !name.candidates.is_empty())
    };
    pair.is_some_and(|(a, b)| same(a) || same(b))
}

/// Whether a clause names somebody whom no table knows and no bet of it is about.
fn has_other_names(clause: &Clause, drafts: &[Draft]) -> bool {
    clause.terms.iter().enumerate().any(|(at, term)| match term {
        Term::Name(name) => name.candidates.is_empty() && !drafts.iter().any(|d| d.at.contains(&at)),
        _ => false,
    })
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
        (None, _) => supported && !clause::is_remainder(&name.name),
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
