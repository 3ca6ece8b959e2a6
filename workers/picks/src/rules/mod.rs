//! Reads picks out of posts by rules over common notation. Used when no language model answers, and as the model of the sandbox.
//!
//! A post is split into tokens (`lex`) and clauses of terms (`clause`). Clauses that do not recommend a bet are left out
//! (`recommended`), the others give bets (`markets`, `price`), and their names are resolved (`leagues`), which gives an [`ExtractedBets`]. The
//! rules are sure of a bet only if they understand everything around it (`understood`): no list of warning words is ever complete, so
//! an unknown word counts as a warning.

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
mod recommended;
mod refusal;
mod spoken;
mod stakes;
mod term;
pub mod token;
mod understood;
mod vocabulary;
mod worth;

use perch_jobs::{Bet, ExtractedBets, Parlay, ParlayTag, Pick, PickKind};

use self::{
    clause::Clause,
    draft::Draft,
    leagues::{LeagueContext, ResolvedName},
    names::Role,
    term::{Name, Term},
};
pub use self::{
    clause::name_at,
    doubt::Doubt,
    worth::{PostWorth, worth},
};

/// The reading of a post by the rules.
#[derive(Debug, Clone, PartialEq)]
pub struct RulesReading {
    /// The picks if all doubts are ignored. They may include bets that the post only talks about.
    pub likely: ExtractedBets,
    /// The doubts about the picks. If there is any, none of the picks is sure.
    pub doubts: Vec<Doubt>,
}

impl RulesReading {
    /// The picks, if the rules are sure of them.
    pub fn sure(self) -> ExtractedBets {
        if self.doubts.is_empty() { self.likely } else { ExtractedBets::Nothing(()) }
    }
}

/// The picks of a post that the rules are sure of: one, several or a parlay. Nothing for results, talk, warnings and advertising.
///
/// The answer is deterministic. Fields that the post does not name are null.
pub fn extract(text: &str) -> ExtractedBets {
    read(text).sure()
}

/// The likely picks of a post, and the doubts about them.
pub fn read(text: &str) -> RulesReading {
    let clauses = clause::clauses(&lex::tokens(&lex::normalise(text)));
    let context = LeagueContext::of(&clauses);
    let live = recommended::live(&clauses);
    let parlay = clauses.iter().zip(&live).any(|(clause, live)| *live && recommended::parlay(clause));
    let mut reading = PostReader { parlay, ..PostReader::default() };
    for (at, live) in live.into_iter().enumerate() {
        reading.has_bet.push(false);
        if live {
            reading.legs = reading.legs.max(clauses[at].legs);
            reading.clause(&clauses, at, &context);
        } else {
            reading.end_heading();
        }
    }
    reading.found(&clauses)
}

/// The league that the words and emoji of a text name, if it is exactly one.
pub(crate) fn leagues_of(text: &str) -> Option<&'static str> {
    LeagueContext::of(&clause::clauses(&lex::tokens(&lex::normalise(text)))).hinted_only()
}

/// A bet that was read.
struct ReadBet {
    pick: Pick,
    /// Its clause has nothing but the bet.
    bare: bool,
    /// Its clause is about a part of the game.
    part: bool,
}

/// Collects the bets of a post, clause by clause.
#[derive(Default)]
struct PostReader {
    picks: Vec<ReadBet>,
    /// Which clauses have a bet.
    has_bet: Vec<bool>,
    doubts: Vec<Doubt>,
    /// The post is a parlay: one bet of several legs.
    parlay: bool,
    /// The number of legs that the post states.
    legs: Option<usize>,
    /// The statistic for the players below a heading.
    doing: Option<legs::Heading>,
    /// Prices and stakes that belong to no single bet: from clauses without a bet, and of parlays.
    spare_odds: Vec<String>,
    spare_units: Vec<f64>,
    each: bool,
    /// The name in the previous clause, if that has no bet and only one name.
    named: Option<Name>,
    /// Opponents named in a heading, for the bets below it.
    heading: Option<(Name, Name)>,
}

impl PostReader {
    /// Ends a heading at a clause that recommends nothing.
    fn end_heading(&mut self) {
        self.named = None;
        self.heading = None;
    }

    fn clause(&mut self, clauses: &[Clause], at: usize, context: &LeagueContext) {
        let clause = &clauses[at];
        let mut drafts = markets::drafts(clause);
        if let (Some(name), true) = (self.named.take(), drafts.is_empty()) {
            drafts.extend(markets::line_alone(clause, &name));
        }
        let committed = self.parlay || recommended::committed(clause);
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
        self.doubts.extend(understood::doubt_in_bet(clauses, at, &drafts, self.parlay));
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
            // A bet on a side after a total of the same game.
            if draft.pair.is_none() && draft.subject.as_ref().is_some_and(|name| is_of(name, game.as_ref())) {
                draft.pair.clone_from(&game);
            }
            if draft.kind == PickKind::Total && draft.pair.is_some() {
                game.clone_from(&draft.pair);
            }
            // Validation rejects lines that are out of range.
            match resolved(&draft, clause, context).filter(|pick| pick.validate("$").is_ok()) {
                Some(pick) => {
                    self.doubts.extend(understood::impossible_line(&pick));
                    self.doubts.extend(understood::line_of_an_exchange(clause, &pick));
                    self.add(ReadBet { pick, bare, part });
                }
                None => self.doubts.push(Doubt::Unresolved),
            }
        }
    }

    /// Whether a bet below a heading belongs to the game of the heading: totals, props, and bets on a side that it names.
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

    /// Adds a bet. If it is a repetition, it is merged with the first one.
    fn add(&mut self, read: ReadBet) {
        let said =
            |p: &Pick| (p.kind, p.selection.clone(), p.player.clone(), p.stat.clone(), p.line, p.side, p.event.clone());
        if let Some(ReadBet { pick: known, .. }) = self.picks.iter_mut().find(|k| said(&k.pick) == said(&read.pick)) {
            let dearer = known.odds.is_some() && read.pick.odds.is_some() && known.odds != read.pick.odds;
            let larger = known.units.is_some() && read.pick.units.is_some() && known.units != read.pick.units;
            self.doubts.extend((dearer || larger).then_some(Doubt::Contradiction));
            known.odds = known.odds.take().or(read.pick.odds);
            known.units = known.units.or(read.pick.units);
        } else {
            self.picks.push(read);
        }
    }

    fn found(mut self, clauses: &[Clause]) -> RulesReading {
        let mut doubts = std::mem::take(&mut self.doubts);
        doubts.extend(around::doubt_around(clauses, &self.has_bet, self.picks.iter().map(|read| &read.pick)));
        doubts.extend(self.left_over());
        doubts.extend(contradiction::find(&self.picks, clauses));
        let likely = self.answer();
        // Without a pick there is nothing to doubt.
        doubts.retain(|_| likely != ExtractedBets::Nothing(()));
        RulesReading { likely, doubts }
    }

    fn answer(mut self) -> ExtractedBets {
        if self.parlay {
            return self.into_parlay();
        }
        if self.picks.len() > 1 {
            self.leave_out_talk();
        }
        let single = self.picks.len() == 1;
        for ReadBet { pick, .. } in &mut self.picks {
            if single || self.each {
                pick.units = pick.units.or(self.spare_units.first().copied());
                pick.odds = pick.odds.take().or_else(|| self.spare_odds.first().cloned());
            }
        }
        self.leave_out_talk();
        ExtractedBets::of(self.picks.into_iter().map(|read| Bet::Single(read.pick)).collect())
    }

    /// A doubt about a price or a stake that cannot be assigned to a bet.
    fn left_over(&self) -> Option<Doubt> {
        let priced = self.picks.iter().filter(|read| read.pick.odds.is_some()).count();
        let staked = self.picks.iter().filter(|read| read.pick.units.is_some()).count();
        let room = |taken: usize| usize::from(taken < self.picks.len());
        let odds = self.spare_odds.get(room(priced)).cloned();
        let units = self.spare_units.get(room(staked)).map(|units| format!("{units}u"));
        odds.or(units).filter(|_| !self.parlay).map(Doubt::Figure)
    }

    /// Drops bets without a price and a stake, unless their clause has nothing else.
    fn leave_out_talk(&mut self) {
        let shared = self.each && !(self.spare_units.is_empty() && self.spare_odds.is_empty());
        self.picks.retain(|ReadBet { pick, bare, .. }| *bare || shared || pick.odds.is_some() || pick.units.is_some());
    }

    /// Makes a parlay of the picks. A single price is that of the parlay; several prices belong to the legs. If a leg is missing, the
    /// answer is nothing, since the rest would be another bet.
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

/// Whether a clause has an unknown name that none of its bets is about.
fn has_other_names(clause: &Clause, drafts: &[Draft]) -> bool {
    clause.terms.iter().enumerate().any(|(at, term)| match term {
        Term::Name(name) => name.candidates.is_empty() && !drafts.iter().any(|d| d.at.contains(&at)),
        _ => false,
    })
}

/// The pick of a bet with its names resolved; `None` if it would be inconsistent.
fn resolved(draft: &Draft, clause: &Clause, context: &LeagueContext) -> Option<Pick> {
    let resolve = |name: &Name| leagues::resolve(name, draft, clause, context);
    let subject = draft.subject.as_ref().map(resolve);
    let pair = draft.pair.as_ref().map(|(a, b)| (resolve(a), resolve(b)));
    let league =
        subject.as_ref().and_then(|s| s.league).or_else(|| pair.as_ref().and_then(|(a, b)| a.league.or(b.league)));
    let sport = leagues::sport(league, draft, clause, context);
    if subject
        .as_ref()
        .is_some_and(|s| !may_be(s, draft.kind, sport.is_some() || pair.is_some() || draft.line.is_some()))
    {
        return None;
    }
    let one_game = |(a, b): &(ResolvedName, ResolvedName)| {
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

/// Whether a name fits its bet. An unknown name needs other evidence of a bet (`supported`).
fn may_be(name: &ResolvedName, kind: PickKind, supported: bool) -> bool {
    match (name.role, kind) {
        (None, _) => supported && !clause::is_remainder(&name.name),
        (Some(Role::Player), PickKind::Moneyline | PickKind::Spread) => false,
        _ => true,
    }
}

/// Whether a total beside one team counts only that team's points: the clause says so, or the line is too low for a game.
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
