//! Prices and stakes, and which bet they belong to.

use perch_odds::Odds;

use super::{draft::Draft, term::Term};

/// The highest American price that is accepted.
const HIGHEST: f64 = 1_000_000.0;
/// The highest stake that is accepted, in units.
const HIGHEST_STAKE: f64 = 1_000.0;

/// The price at a position, as text. Brackets and "at" may stand before it.
pub(crate) fn at(terms: &[Term], from: usize) -> Option<String> {
    let mut announced = false;
    for term in terms.iter().skip(from).take(4) {
        match term {
            Term::Filler => {}
            Term::At => announced = true,
            term => return of(term, announced),
        }
    }
    None
}

/// A term as a price. Decimal prices need two places, or one place other than .5, or an "@" before them (`announced`).
pub(super) fn of(term: &Term, announced: bool) -> Option<String> {
    match term {
        Term::Even => Some("+100".into()),
        // Without "@" it may be a date.
        Term::Fraction { won, stake } if announced => fraction(*won, *stake),
        Term::Number { value, signed: true, decimals: 0, .. } if (100.0..=HIGHEST).contains(&value.abs()) => {
            Some(format!("{value:+}"))
        }
        Term::Number { value, signed: false, decimals, plus: false } => {
            let plausible = *value > 1.0 && *value <= 51.0;
            let half = *decimals == 1 && (value.fract() - 0.5).abs() < f64::EPSILON;
            let written = announced || *decimals >= 2 || (*decimals == 1 && !half);
            (plausible && written).then(|| format!("{value:.*}", usize::from(*decimals)))
        }
        _ => None,
    }
}

/// A fractional price as decimal odds with at most three places: 11/8 is 2.375.
fn fraction(won: u32, stake: u32) -> Option<String> {
    let odds = Odds::from_fraction(won, stake).ok()?;
    let written = format!("{:.3}", odds.decimal());
    let short = written.trim_end_matches('0');
    // Keep one decimal place: a whole number might be read as American odds.
    Some(if short.ends_with('.') { format!("{short}0") } else { short.to_owned() })
}

/// Every price in a range of terms, in order.
pub(crate) fn all(terms: &[Term]) -> Vec<String> {
    (0..terms.len())
        .filter_map(|i| {
            let announced = i > 0 && matches!(terms[i - 1], Term::At);
            of(&terms[i], announced)
        })
        .collect()
}

/// The prices of a clause that belong to none of its bets.
pub(super) fn left_over(terms: &[Term], drafts: &[Draft]) -> Vec<String> {
    let mut taken: Vec<&str> = drafts.iter().filter_map(|draft| draft.odds.as_deref()).collect();
    let is_line =
        |odds: &str| odds.parse().is_ok_and(|value: f64| drafts.iter().any(|draft| draft.line == Some(value)));
    let mut left = all(terms);
    left.retain(|odds| match taken.iter().position(|other| other == odds) {
        Some(at) => {
            taken.remove(at);
            false
        }
        None => !is_line(odds),
    });
    left
}

/// The stakes in a range of terms.
pub(crate) fn stakes(terms: &[Term]) -> impl Iterator<Item = f64> {
    terms.iter().filter_map(|term| match term {
        Term::Units(units) => Some(*units).filter(|units| *units > 0.0 && *units <= HIGHEST_STAKE),
        _ => None,
    })
}

/// The first stake in a range of terms.
pub(crate) fn stake(terms: &[Term]) -> Option<f64> {
    stakes(terms).next()
}

/// Assigns prices and stakes to the bets of a clause: each bet gets those between it and the next bet. If the clause begins with a
/// stake, stakes are taken from before their bets.
pub(crate) fn assign(terms: &[Term], drafts: &mut [Draft]) {
    let Some(start) = drafts.first().map(|d| d.at.start) else { return };
    let leading = stake(&terms[..start]).is_some();
    let alone = drafts.len() == 1;
    let starts: Vec<usize> = drafts.iter().map(|d| d.at.start).chain([terms.len()]).collect();
    let mut before = 0;
    for (n, draft) in drafts.iter_mut().enumerate() {
        let own = draft.at.start..starts[n + 1].max(draft.at.end);
        let tail = draft.at.end..own.end;
        let is_line = |odds: &String| odds.parse().is_ok_and(|value: f64| draft.line == Some(value));
        let within = || all(&terms[own.clone()]).into_iter().find(|odds| !is_line(odds));
        draft.odds = first(&terms[tail]).or_else(within).or_else(|| lone_fraction(&terms[own.clone()]));
        let lead = before..draft.at.start;
        draft.units = if leading { stake(&terms[lead.clone()]) } else { stake(&terms[own.clone()]) };
        if alone {
            draft.units = draft.units.or_else(|| stake(terms));
            draft.odds = draft.odds.take().or_else(|| american(&terms[lead]));
        }
        before = draft.at.end;
    }
    share(terms, drafts);
}

/// Assigns shared prices and stakes, such as "both -110" or "1u each", to the bets of the clause that have none of their own.
fn share(terms: &[Term], drafts: &mut [Draft]) {
    let Some(at) = terms.iter().position(|t| *t == Term::Each).filter(|_| drafts.len() > 1) else { return };
    let beside = &terms[at.saturating_sub(1)..terms.len().min(at + 4)];
    let (odds, units) = (first(beside), stake(beside));
    for draft in drafts {
        draft.odds = draft.odds.take().or_else(|| odds.clone());
        draft.units = draft.units.or(units);
    }
}

/// The price of a bet that has only a fraction.
fn lone_fraction(terms: &[Term]) -> Option<String> {
    terms.iter().find_map(|term| match term {
        Term::Fraction { won, stake } => fraction(*won, *stake),
        _ => None,
    })
}

fn first(terms: &[Term]) -> Option<String> {
    all(terms).into_iter().next()
}

fn american(terms: &[Term]) -> Option<String> {
    all(terms).into_iter().find(|odds| odds.starts_with(['+', '-']))
}
