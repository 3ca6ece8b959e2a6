//! Finds bets of one post that contradict each other.

use perch_jobs::{Pick, PickKind};

use super::{Doubt, ReadBet, clause::Clause, markets};

/// The most bets that a person plausibly makes in one post.
const MOST: usize = 40;

/// Finds two bets that contradict each other: on both sides of a game, or on one side at two lines.
pub(super) fn find(reads: &[ReadBet], clauses: &[Clause]) -> Option<Doubt> {
    if reads.len() > MOST {
        return Some(Doubt::Many);
    }
    let pairs = if reads.len() > 1 { markets::pairs(clauses) } else { Vec::new() };
    let mut twos = reads.iter().enumerate().flat_map(|(at, a)| reads[at + 1..].iter().map(move |b| (a, b)));
    twos.any(|(a, b)| !(a.part || b.part) && contradict(&a.pick, &b.pick, &pairs)).then_some(Doubt::Contradiction)
}

fn contradict(a: &Pick, b: &Pick, pairs: &[Vec<String>]) -> bool {
    if (a.kind, &a.player, &a.stat) != (b.kind, &b.player, &b.stat) {
        return false;
    }
    let about = |pick: &Pick| pick.selection.clone().or_else(|| pick.event.clone());
    let (one, other) = (about(a), about(b));
    if one == other {
        return (a.line, a.side) != (b.line, b.side);
    }
    let one_game = || {
        let met = |one: &String, other: &String| pairs.iter().any(|pair| pair.contains(one) && pair.contains(other));
        (a.event.is_some() && a.event == b.event) || one.zip(other).is_some_and(|(one, other)| met(&one, &other))
    };
    a.kind != PickKind::Prop && (mirrored(a, b) || one_game())
}

/// "Lakers -3.5 -110, Celtics +3.5 -110" without a stake is the offer of a bookmaker on one game, not two bets.
fn mirrored(a: &Pick, b: &Pick) -> bool {
    let lines = a.line.zip(b.line).filter(|(a, b)| *a != 0.0 && (a + b).abs() < f64::EPSILON);
    a.kind == PickKind::Spread && a.sport == b.sport && lines.is_some() && a.units.is_none() && b.units.is_none()
}
