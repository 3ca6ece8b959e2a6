//! Applies the results to open and settled picks. Decisions only; no I/O.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use perch_odds::settle::{AssumedTerms, Grade};
use serde::Serialize;
use utoipa::ToSchema;

use super::matching::{Games, PickDecision};
use crate::store::{PickSettlement, SettleSource, TrackedPick, state_word};

/// The most picks that are reported in one list.
const MOST_TOLD: usize = 50;

/// A pick that a person settled differently from the results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ContradictedPick)]
pub struct ContradictedPick {
    /// Its number.
    pub number: u64,
    /// Its key.
    pub key: String,
    /// Its state.
    pub state: String,
    /// Who settled it.
    pub settled_by: Option<String>,
    /// Its state according to the results.
    pub results: String,
}

/// An open pick whose game has results that do not decide it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LeftOpenPick)]
pub struct LeftOpenPick {
    /// Its number.
    pub number: u64,
    /// Its key.
    pub key: String,
    /// Why they do not decide it.
    pub why: String,
}

/// The result of applying results to picks.
#[derive(Debug, Default)]
pub(super) struct Review {
    /// The new settlements, each with its pick.
    pub settlements: Vec<(TrackedPick, PickSettlement)>,
    pub contradicted: Vec<ContradictedPick>,
    pub left_open: Vec<LeftOpenPick>,
    /// The results that are about a pick, by index.
    pub used: BTreeSet<usize>,
}

/// Applies the results to picks.
///
/// Picks that results had settled follow changed results. Picks settled by hand and legs graded by hand stay as they are. Picks reopened
/// by hand are not settled by results.
pub(super) fn review(games: &Games, picks: &[TrackedPick], assumed: &AssumedTerms) -> Review {
    let mut review = Review::default();
    for pick in picks {
        let by_results = pick.source.as_deref() == Some(SettleSource::Results.as_str());
        // A pick settled by hand is judged anew only to see whether the results agree.
        let decision = games.decide(pick, by_results || pick.grade.is_some(), assumed);
        let is_news = games.are_given(&decision.by);
        review.used.extend(&decision.by);
        if pick.grade.is_some() && !by_results {
            review.contradicted.extend(contradiction(pick, &decision).filter(|_| is_news));
            continue;
        }
        let why = if pick.held {
            decision.grades.as_ref().map(|_| "it was reopened by hand".to_owned())
        } else {
            decision.why.clone()
        };
        if let (None, Some(why), true) = (pick.grade, why, is_news) {
            review.left_open.push(LeftOpenPick { number: pick.number, key: pick.key.clone(), why });
        }
        let over_at = decision.over_at;
        if let Some((grade, legs)) = decision.grades.filter(|(grade, legs)| !pick.held && is_change(pick, *grade, legs))
        {
            let by_hand = !by_results && pick.legs.iter().any(Option::is_some);
            let settled = PickSettlement {
                source: (!by_hand).then_some(SettleSource::Results),
                over_at: grade.and_then(|_| over(pick, over_at, Utc::now())),
                ..settlement(pick, grade, legs)
            };
            review.settlements.push((pick.clone(), settled));
        }
    }
    review.contradicted.truncate(MOST_TOLD);
    review.left_open.truncate(MOST_TOLD);
    review
}

/// Whether the results change a pick. A grade for an open leg of a settled parlay is not a change, since it no longer matters.
fn is_change(pick: &TrackedPick, grade: Option<Grade>, legs: &[Option<Grade>]) -> bool {
    if grade != pick.grade {
        return true;
    }
    let known = |leg: usize| pick.legs.get(leg).copied().flatten();
    let differs = |leg: usize| legs[leg] != known(leg) && (grade.is_none() || known(leg).is_some());
    (0..legs.len()).any(differs)
}

fn contradiction(pick: &TrackedPick, decision: &PickDecision) -> Option<ContradictedPick> {
    let (grade, _) = decision.grades.as_ref()?;
    let differs = grade.is_some() && *grade != pick.grade;
    differs.then(|| ContradictedPick {
        number: pick.number,
        key: pick.key.clone(),
        state: state_word(pick.grade).to_owned(),
        settled_by: pick.settled_by.clone(),
        results: state_word(*grade).to_owned(),
    })
}

/// A settlement of a pick that changes its grades and nothing else.
pub(super) fn settlement(pick: &TrackedPick, grade: Option<Grade>, legs: Vec<Option<Grade>>) -> PickSettlement {
    PickSettlement {
        key: pick.key.clone(),
        grade,
        legs,
        closing_odds: pick.closing_odds.clone(),
        source: None,
        held: false,
        over_at: pick.over_at,
        note: pick.note.clone(),
        bets: Vec::new(),
        seen_revision: pick.revision,
    }
}

/// When a pick was over: by its game, but not later than known before, and not in the future.
fn over(pick: &TrackedPick, over_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    [over_at, pick.over_at, Some(now)].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::{super::stakes::tests::tracked, *};

    const LEG: &str = r#"{"type":"moneyline","sport":"nba","event":null,"selection":"Utah Jazz","line":null,"side":null,"player":null,"stat":null,"odds":"-110","units":null}"#;

    #[test]
    fn a_leg_that_no_longer_matters_settles_no_parlay_again_and_one_that_ended_otherwise_does() {
        use Grade::{Lost, Push, Won};
        let parlay = tracked(&format!(r#"{{"type":"parlay","picks":[{LEG},{LEG}],"odds":null}}"#));
        let stands = |grade, legs: [Option<Grade>; 2]| TrackedPick { grade, legs: legs.to_vec(), ..parlay.clone() };
        let lost = stands(Some(Lost), [None, Some(Lost)]);
        assert!(!is_change(&lost, Some(Lost), &[Some(Won), Some(Lost)]));
        assert!(is_change(&lost, None, &[None, Some(Won)]));
        let won = stands(Some(Won), [Some(Won), Some(Won)]);
        assert!(is_change(&won, Some(Won), &[Some(Won), Some(Push)]), "it is paid otherwise");
        assert!(!is_change(&won, Some(Won), &[Some(Won), Some(Won)]));
        assert!(is_change(&stands(None, [None, None]), None, &[Some(Won), None]));
    }

    #[test]
    fn a_pick_is_over_no_later_than_it_was_known_to_be() {
        let (now, hour) = (Utc::now(), TimeDelta::hours(1));
        let known = TrackedPick { over_at: Some(now - hour * 2), ..tracked(LEG) };
        assert_eq!(over(&known, Some(now - hour), now), Some(now - hour * 2));
        assert_eq!(over(&tracked(LEG), Some(now + hour), now), Some(now));
        assert_eq!(over(&tracked(LEG), Some(now - hour), now), Some(now - hour));
    }
}
