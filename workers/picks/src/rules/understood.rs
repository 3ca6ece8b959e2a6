//! Checks whether the rules understand all of a clause that has a bet. A part that they do not understand may change or negate the bet,
//! so it raises a doubt.

use perch_jobs::{Pick, PickKind, Side};

use super::{
    clause::{Clause, ResultMark},
    doubt::Doubt,
    draft::Draft,
    emoji::is_harmless,
    markets::OF_A_GAME,
    names::{NAMES, given_names},
    points, price,
    refusal::refused_before,
    spoken::may_be_a_price,
    term::{Name, Term},
    token::{Lexeme, Token},
    vocabulary::{Section, phrase_at},
};

/// The bets of a clause, to find out which words and figures belong to them.
struct ClauseBets<'a> {
    drafts: &'a [Draft],
    is_parlay: bool,
}

/// A doubt if anything in the clause at index `number` may change or negate its bets.
pub(super) fn doubt_in_bet(clauses: &[Clause], number: usize, drafts: &[Draft], is_parlay: bool) -> Option<Doubt> {
    let clause = &clauses[number];
    if clause.question {
        return Some(Doubt::Question);
    }
    if clause.mark != ResultMark::Nothing && !is_parlay {
        return Some(Doubt::Mark);
    }
    let bets = ClauseBets { drafts, is_parlay };
    let first = drafts.iter().map(|draft| draft.at.start).min().and_then(|first| clause.spans.get(first));
    let (start, behind) = first.map_or((0, 0), |span| (span.start, span.end));
    // "Champions League: Bayern -1": a heading before the bet.
    let heading = clause.tokens[..start].iter().rposition(|token| token.lexeme == Lexeme::Sign(':')).unwrap_or(0);
    let answers = refused_before(clauses, number).is_some();
    let sections = |at: usize| -> &[Section] {
        match () {
            () if answers => &[Section::Bet, Section::After, Section::Books, Section::Answer],
            () if at < heading => &[Section::Bet, Section::Around],
            () if at >= behind => &[Section::Bet, Section::After, Section::Books],
            () => &[Section::Bet],
        }
    };
    let heads =
        |term: usize| clause.spans[term].start < heading && matches!(clause.terms[term], Term::Season | Term::Stat(_));
    let knows = |term: usize| bets.has(clause, term) || heads(term);
    let made: Vec<_> = drafts.iter().map(|draft| (draft.kind, draft.line)).collect();
    unknown(clause, sections, knows)
        .map(|at| doubt_at(clause, at))
        .or_else(|| bets.miscounted(clause))
        .or_else(|| points::against(clause, &made))
}

impl ClauseBets<'_> {
    fn has(&self, clause: &Clause, at: usize) -> bool {
        let in_a_bet = || self.is_parlay || self.drafts.iter().any(|draft| draft.at.contains(&at));
        let terms = &clause.terms;
        match &terms[at] {
            Term::Name(name) => self.names(name, terms, at) && is_somebody(name, clause.tokens_of(at)),
            Term::Win { strong: true } => {
                in_a_bet() || matches!(self.drafts, [only] if only.kind == PickKind::Moneyline)
            }
            Term::Stat(stat) => {
                let name = NAMES.stats[*stat].name;
                // "Swiatek -4.5 games", and the heading "Anytime TD:".
                let counts = at > 0 && matches!(terms[at - 1], Term::Number { .. }) && OF_A_GAME.contains(&name);
                in_a_bet() || counts || self.drafts.iter().any(|draft| draft.stat.as_deref() == Some(name))
            }
            Term::Side(side) if self.drafts.iter().any(|draft| draft.side == Some(*side)) => true,
            Term::Side(_)
            | Term::Win { .. }
            | Term::Season
            | Term::Draw
            | Term::Beats
            | Term::PickEm
            | Term::DrawNoBet => in_a_bet(),
            // "Betting against the Lakers" has no name before the link.
            Term::Versus | Term::Joint => {
                let link = &clause.tokens_of(at)[0];
                link.lexeme != Lexeme::Word || link.folded == "and" || stands_between_names(terms, at)
            }
            // Figures are checked in `miscounted`.
            Term::Number { .. } | Term::Fraction { .. } | Term::Units(_) | Term::Even => true,
            term => term.only_joins(),
        }
    }

    /// Whether a name is the subject of a bet, under this or another name, or one of its opponents.
    fn names(&self, name: &Name, terms: &[Term], at: usize) -> bool {
        let means = |other: &Name| {
            other == name || other.candidates.iter().any(|c| name.candidates.iter().any(|d| d.entity == c.entity))
        };
        if self.drafts.iter().any(|draft| draft.subject.as_ref().is_some_and(means)) {
            return true;
        }
        // An opponent must stand beside its link. In "Celtics/Lakers -3.5, riding with Boston" the side of the bet is unclear.
        let before = terms[..at].iter().rev().find(|term| **term != Term::Filler);
        let links = |term: Option<&Term>, joins: bool| match term {
            Some(Term::Versus | Term::At | Term::Beats | Term::Side(Side::Over)) => true,
            Some(Term::Joint) => joins,
            _ => false,
        };
        let plays = |draft: &&Draft| draft.pair.as_ref().is_some_and(|(a, b)| means(a) || means(b));
        let of_a_game = self.drafts.iter().filter(plays).any(|draft| draft.subject.is_none());
        let of_a_pair = self.drafts.iter().any(|draft| plays(&draft));
        let of_players = self.drafts.iter().any(|draft| matches!(draft.kind, PickKind::Prop | PickKind::Total));
        let linked = |joins: bool| links(before, joins) || links(terms.get(at + 1), joins);
        match () {
            () if of_a_game => true,
            () if of_a_pair => linked(true) || is_beside_a_name(terms, at),
            () => !name.candidates.is_empty() && (links(before, false) || (of_players && linked(true))),
        }
    }

    /// A doubt about a figure that belongs to none of the bets. With a second stake or price it is unclear which one counts.
    fn miscounted(&self, clause: &Clause) -> Option<Doubt> {
        let mut left = UnmatchedFigures::of(self);
        let is_left_over = |at: &usize| !is_count(clause, *at) && !left.take(&clause.terms, *at);
        (0..clause.terms.len()).find(is_left_over).map(|at| Doubt::Figure(written(clause, at)))
    }
}

/// The figures of the bets of a clause that are not yet matched with a term.
struct UnmatchedFigures {
    lines: Vec<f64>,
    prices: Vec<String>,
    stakes: usize,
    /// How many prices of the whole parlay are expected.
    whole: usize,
}

impl UnmatchedFigures {
    fn of(bets: &ClauseBets) -> Self {
        Self {
            lines: bets.drafts.iter().filter_map(|draft| draft.line).collect(),
            prices: bets.drafts.iter().filter_map(|draft| draft.odds.clone()).collect(),
            stakes: bets.drafts.len(),
            whole: usize::from(bets.is_parlay),
        }
    }

    /// Matches the figure of a term; false if it is already matched, or is not a figure of a bet.
    fn take(&mut self, terms: &[Term], at: usize) -> bool {
        match &terms[at] {
            Term::Number { value, .. } => {
                let line = self.lines.iter().position(|line| (line - value).abs() < 1e-9);
                line.map(|n| self.lines.remove(n)).is_some() || self.take_price(terms, at)
            }
            Term::Fraction { .. } | Term::Even => self.take_price(terms, at),
            Term::Units(units) => {
                let is_one = self.stakes > 0 && *units > 0.0;
                self.stakes = self.stakes.saturating_sub(1);
                is_one
            }
            _ => true,
        }
    }

    fn take_price(&mut self, terms: &[Term], at: usize) -> bool {
        let announced =
            terms[at.saturating_sub(2)..at].contains(&Term::At) || matches!(terms[at], Term::Fraction { .. });
        let Some(odds) = price::of(&terms[at], announced) else { return false };
        match self.prices.iter().position(|other| *other == odds) {
            Some(n) => drop(self.prices.remove(n)),
            None if self.whole > 0 => self.whole -= 1,
            None => return false,
        }
        true
    }
}

/// "Oilers Kings over 6.5".
fn is_beside_a_name(terms: &[Term], at: usize) -> bool {
    let is_name = |at: Option<usize>| at.and_then(|at| terms.get(at)).is_some_and(|term| matches!(term, Term::Name(_)));
    is_name(at.checked_sub(1)) || is_name(Some(at + 1))
}

pub(super) fn stands_between_names(terms: &[Term], at: usize) -> bool {
    let has_name = |terms: &[Term]| terms.iter().any(|term| matches!(term, Term::Name(_)));
    has_name(&terms[..at]) && has_name(&terms[at..])
}

/// Words before a number that only count something: "week 11", "UFC 300".
const COUNTED: [&str; 13] =
    ["week", "game", "round", "day", "ufc", "top", "map", "set", "part", "matchday", "first", "1st", "step"];
/// Words after a number that only count something.
const COUNTS: [&str; 13] =
    ["leg", "legs", "legger", "team", "teamer", "man", "fold", "pick", "picks", "plays", "play", "bets", "innings"];

pub(super) fn is_count(clause: &Clause, at: usize) -> bool {
    let Some(span) = clause.spans.get(at) else { return false };
    let whole = matches!(clause.terms[at], Term::Number { signed: false, decimals: 0, plus: false, .. });
    let word = |at: Option<usize>| at.and_then(|at| clause.tokens.get(at)).map_or("", |token| token.folded.as_str());
    let after = if word(Some(span.end)) == "-" { span.end + 1 } else { span.end };
    whole && (COUNTED.contains(&word(span.start.checked_sub(1))) || COUNTS.contains(&word(Some(after))))
}

fn written(clause: &Clause, at: usize) -> String {
    clause.tokens_of(at).iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Whether a name is known to the tables, or has a known first name. "Skip Curry" is not a name.
fn is_somebody(name: &Name, tokens: &[Token]) -> bool {
    let is_named =
        || tokens.len() > 1 && tokens.first().is_some_and(|first| given_names().contains(first.folded.as_str()));
    !name.candidates.is_empty() || name.written == "Draw" || is_named()
}

pub(super) fn doubt_at(clause: &Clause, at: usize) -> Doubt {
    let term = clause.spans.iter().position(|span| span.start == at);
    match term.map(|term| (&clause.terms[term], term)) {
        Some((Term::Name(name), _)) => Doubt::Name(name.written.clone()),
        Some((Term::Number { .. }, term)) => Doubt::Figure(written(clause, term)),
        _ => Doubt::Word(clause.tokens[at].text.clone()),
    }
}

/// The first token of a clause that belongs neither to a known term nor to a phrase of the sections that apply to it.
pub(super) fn unknown<'s>(
    clause: &Clause,
    sections: impl Fn(usize) -> &'s [Section],
    knows: impl Fn(usize) -> bool,
) -> Option<usize> {
    let turns = |at: &usize| phrase_at(&clause.tokens, *at, &[Section::Never]).is_some();
    if let Some(at) = (0..clause.tokens.len()).find(turns) {
        return Some(at);
    }
    let mut at = 0;
    while at < clause.tokens.len() {
        let by_phrase = phrase_at(&clause.tokens, at, sections(at));
        let term = clause.spans.iter().position(|span| span.start == at).filter(|term| knows(*term));
        let by_term = term.map(|term| clause.spans[term].len());
        let by_sign = is_harmless_token(&clause.tokens[at]).then_some(1);
        match by_phrase.max(by_term).max(by_sign) {
            Some(taken) => at += taken,
            None => return Some(at),
        }
    }
    None
}

fn is_harmless_token(token: &Token) -> bool {
    match token.lexeme {
        Lexeme::Sign(sign) => is_harmless(sign),
        Lexeme::Line => true,
        Lexeme::Word => is_time(&token.folded) || is_money(&token.text) || is_leg_count(&token.folded),
        _ => false,
    }
}

/// "3-team", "2leg".
fn is_leg_count(word: &str) -> bool {
    let counted = word.trim_start_matches(|c: char| c.is_ascii_digit());
    counted.len() < word.len() && COUNTS.contains(&counted.trim_start_matches('-'))
}

/// "7pm", "7:30", "7:30pm".
fn is_time(word: &str) -> bool {
    let digits = word.trim_end_matches("pm").trim_end_matches("am");
    let (hour, minute) = digits.split_once(':').unwrap_or((digits, "00"));
    let number = |text: &str| !text.is_empty() && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
    (digits.len() < word.len() || digits.contains(':')) && number(hour) && number(minute)
}

/// "$100", "2%": a stake in money or as a share of a bankroll. A stake of zero does not count.
fn is_money(word: &str) -> bool {
    let amount = word.strip_prefix('$').or_else(|| word.strip_suffix('%').filter(|n| n.len() == 1));
    amount.is_some_and(|n| {
        n.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'k'))
            && n.bytes().any(|b| matches!(b, b'1'..=b'9'))
    })
}

/// A doubt about a line that no bookmaker offers: steps of 0.25 exist only in soccer, elsewhere 0.5.
pub(super) fn impossible_line(pick: &Pick) -> Option<Doubt> {
    let line = pick.line?;
    let step = if pick.kind != PickKind::Prop && pick.sport.as_deref() == Some("soccer") { 0.25 } else { 0.5 };
    let steps = line / step;
    ((steps - steps.round()).abs() > 1e-9).then(|| Doubt::Line(line.to_string()))
}

/// Leagues with point spreads, where "lay 6.5" means giving points.
const WITH_POINTS: [&str; 8] = ["nba", "wnba", "ncaab", "nfl", "ncaaf", "cfl", "mlb", "nhl"];

/// A doubt about a line that may be a price on a betting exchange: "lay 2.5 Arsenal" is a bet against Arsenal.
pub(super) fn line_of_an_exchange(clause: &Clause, pick: &Pick) -> Option<Doubt> {
    let has_points = pick.sport.as_deref().is_some_and(|sport| WITH_POINTS.contains(&sport));
    let number = clause.tokens.iter().find(|token| may_be_a_price(token)).filter(|_| !has_points)?;
    Some(Doubt::Figure(number.text.clone()))
}
