//! Words that state the sign of a spread: "take the points" means plus, "lay the points" means minus.

use perch_jobs::PickKind;

use super::{clause::Clause, doubt::Doubt};

/// Phrases for a minus.
const LAID: [&str; 4] = ["lay the points", "laying the points", "laid the points", "eating the chalk"];
/// Phrases for a plus.
const TAKEN: [&str; 3] = ["the points", "dog", "underdog"];
/// The name of a bookmaker that has a word of `TAKEN` in it.
const BOOK: &str = " underdog fantasy ";

/// A doubt if such words contradict the bets, given as kinds and lines. "The points" are those of a spread, so at least one bet must be
/// a spread.
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
