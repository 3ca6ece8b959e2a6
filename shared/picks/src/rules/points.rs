//! Words that say on which side of a line a bet is: who takes the points has a plus before them, who lays them a minus.

use perch_jobs::PickKind;

use super::{clause::Clause, doubt::Doubt};

/// Whoever says so gives the points away.
const LAID: &str = "lay the points, laying the points, laid the points, eating the chalk";
/// Whoever says so gets them.
const TAKEN: &str = "the points, dog, underdog";

/// What such words of a clause make the rules doubt, beside bets of these kinds with these lines. "The points" are those of a
/// spread, so one of them has to be one.
pub(super) fn against(clause: &Clause, bets: &[(PickKind, Option<f64>)]) -> Option<Doubt> {
    let laid = clause.says(LAID);
    if !(laid || clause.says(TAKEN)) {
        return None;
    }
    let spreads = || bets.iter().filter(|(kind, _)| *kind == PickKind::Spread).filter_map(|(_, line)| *line);
    let fits = spreads().all(|line| if laid { line < 0.0 } else { line > 0.0 });
    let needs_one = laid || clause.says("the points");
    (!fits || (needs_one && spreads().next().is_none())).then(|| {
        let words = if laid { "laying the points" } else { "taking the points" };
        Doubt::Word(words.to_owned())
    })
}
