//! Words that say on which side of a line a bet is: who takes the points has a plus before them, who lays them a minus.

use perch_jobs::PickKind;

use super::{clause::Clause, doubt::Doubt};

/// Whoever says so gives the points away.
const LAID: [&str; 4] = ["lay the points", "laying the points", "laid the points", "eating the chalk"];
/// Whoever says so gets them.
const TAKEN: [&str; 3] = ["the points", "dog", "underdog"];
/// A book, which says nothing of the bet.
const BOOK: &str = " underdog fantasy ";

/// What such words of a clause make the rules doubt, beside bets of these kinds with these lines. "The points" are those of a
/// spread, so one of them has to be one.
pub(super) fn against(clause: &Clause, bets: &[(PickKind, Option<f64>)]) -> Option<Doubt> {
    let words = clause.words.replace(BOOK, " ");
    let said = |phrases: &[&'static str]| phrases.iter().copied().find(|said| words.contains(&format!(" {said} ")));
    let (laid, taken) = (said(&LAID), said(&TAKEN));
    let phrase = laid.or(taken)?;
    let spreads = || bets.iter().filter(|(kind, _)| *kind == PickKind::Spread).filter_map(|(_, line)| *line);
    let fits = spreads().all(|line| if laid.is_some() { line < 0.0 } else { line > 0.0 });
    let needs_one = laid.is_some() || taken == Some("the points");
    (!fits || (needs_one && spreads().next().is_none())).then(|| Doubt::Word(phrase.to_owned()))
}
