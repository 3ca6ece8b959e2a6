use std::collections::HashMap;

use chrono::{DateTime, Utc};
use perch_jobs::{Pick, PickKind};
use perch_odds::{
    Odds,
    settle::{AssumedTerms, GameResult, Grade, Outcome, PlayerResult, SettleError, grade, in_units},
};
use perch_store::{Store, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    matching::LONGEST,
    stakes::{assumed, bets, whole},
};
use crate::{
    PicksSettings,
    store::{PickBody, PickLookup, PickSettlement, PicksStore as _, SettleSource, SettledBy, TrackedPick, state_word},
};

/// The outcome of a pick as somebody enters it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EnteredOutcome {
    /// It ended with this grade.
    Stated(Grade),
    /// It is reopened. Results do not settle it then, until somebody settles it by hand.
    Reopened,
    /// The scores of both sides: in the order of the pick's event, or the backed side first.
    Score(f64, f64),
    /// The value of the statistic for the player of a prop.
    Counted(f64),
}

/// An entry about a pick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// How it ended; `None` for an entry that only has closing odds or a note.
    pub outcome: Option<EnteredOutcome>,
    /// The leg of a parlay that the outcome is about, from 1.
    pub leg: Option<usize>,
    /// The odds when the game began, as people write them.
    pub closing: Option<String>,
    /// A note about it.
    pub note: Option<String>,
}

/// Why a pick was not settled.
#[derive(Debug, thiserror::Error)]
pub enum TrackError {
    /// Postgres failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entry does not decide the pick.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The entry does not fit the pick.
    #[error("{field}: {reason}")]
    Entry {
        /// The field.
        field: &'static str,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The same picks were settled by others at each of several tries.
    #[error("somebody else settles the same picks at this moment; look at them and try again")]
    Meanwhile,
}

/// A pick that was settled.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = SettledPick)]
pub struct SettledPick {
    /// Its number.
    pub number: u64,
    /// Its key.
    pub key: String,
    /// Its state: a grade, or `open`.
    pub state: String,
    /// Its state before.
    pub before: String,
    /// How many accounts have it in their record now.
    pub accounts: usize,
    /// The units won by the account that named it first, or lost when negative.
    pub units: Option<f64>,
    /// The change in units of the records of all accounts together.
    pub change: f64,
}

impl SettledPick {
    /// `before` is the sum of the units of all accounts before this settlement.
    pub(super) fn of(tracked: &TrackedPick, settlement: &PickSettlement, before: f64) -> Self {
        let author = tracked.author.to_lowercase();
        let units: f64 = settlement.bets.iter().map(|bet| bet.units).sum();
        Self {
            change: in_units(units - before),
            number: tracked.number,
            key: tracked.key.clone(),
            state: state_word(settlement.grade).to_owned(),
            before: state_word(tracked.grade).to_owned(),
            accounts: settlement.bets.len(),
            units: settlement.bets.iter().find(|bet| bet.account == author).map(|bet| bet.units),
        }
    }

    pub(super) fn count(&self) {
        metrics::counter!("perch_picks_settled_total", "state" => self.state.clone()).increment(1);
    }
}

/// How often a settlement is tried when somebody else settles the same pick at the same time.
pub(super) const TRIES: usize = 3;

/// Settles a pick by an entry. A settled pick can be settled again; the history keeps each settlement.
pub async fn settle(
    store: &Store,
    settings: &PicksSettings,
    pick: TrackedPick,
    entry: &Entry,
    actor: &str,
) -> Result<SettledPick, TrackError> {
    let mut pick = pick;
    let source = match entry.outcome {
        Some(EnteredOutcome::Score(..) | EnteredOutcome::Counted(_)) => SettleSource::Score,
        Some(EnteredOutcome::Stated(_) | EnteredOutcome::Reopened) | None => SettleSource::Stated,
    };
    let by = SettledBy { actor: actor.to_owned(), source };
    let assumed = assumed(&settings.tracking);
    for _ in 0..TRIES {
        let mut settlement = entered(&pick, entry, source, &assumed)?;
        fill(store, settings, std::slice::from_ref(&pick), std::slice::from_mut(&mut settlement)).await?;
        let before = store.tracking().units_of(std::slice::from_ref(&pick.key)).await?;
        if store.tracking().apply(&[], std::slice::from_ref(&settlement), &by, None).await? {
            let settled = SettledPick::of(&pick, &settlement, before.get(&pick.key).copied().unwrap_or(0.0));
            settled.count();
            return Ok(settled);
        }
        if let PickLookup::One(newer) = store.tracking().find(&pick.key).await? {
            pick = *newer;
        }
    }
    Err(TrackError::Meanwhile)
}

/// The settlement of a pick by an entry. Values that the entry does not have stay as they are.
pub(super) fn entered(
    pick: &TrackedPick,
    entry: &Entry,
    source: SettleSource,
    assumed: &AssumedTerms,
) -> Result<PickSettlement, TrackError> {
    if let Some(closing) = &entry.closing {
        Odds::parse(closing).map_err(|error| refused("closing", error.to_string()))?;
    }
    let (grade, legs) = match (entry.outcome, entry.leg) {
        (None, None) if entry.closing.is_some() || entry.note.is_some() => (pick.grade, pick.legs.clone()),
        (None, _) => return Err(refused("outcome", "say how the pick ended".into())),
        (Some(outcome), None) => of_whole(pick, outcome)?,
        (Some(outcome), Some(leg)) => of_leg(pick, outcome, leg, assumed)?,
    };
    Ok(PickSettlement {
        key: pick.key.clone(),
        source: entry.outcome.map(|_| source),
        // A parlay with a reopened leg stays held while its other legs are settled.
        held: entry.outcome == Some(EnteredOutcome::Reopened) || (pick.held && grade.is_none()),
        over_at: grade.map(|_| over_at(pick, Utc::now())),
        grade,
        legs,
        closing_odds: entry.closing.clone().or_else(|| pick.closing_odds.clone()),
        note: entry.note.clone().or_else(|| pick.note.clone()),
        bets: Vec::new(),
        seen_revision: pick.revision,
    })
}

/// When the game of a pick was over at the latest, if somebody settles it `now`.
fn over_at(pick: &TrackedPick, now: DateTime<Utc>) -> DateTime<Utc> {
    if let Some(known) = pick.over_at.or(pick.settled_at.filter(|_| pick.grade.is_some())) {
        return known;
    }
    let is_future = matches!(&pick.pick, PickBody::Single(single) if single.kind == PickKind::Future);
    let starts_at = pick.terms.as_ref().and_then(|terms| terms.starts_at).filter(|_| !is_future);
    // Not before the first post, so that the first post always has a bet.
    starts_at.map_or(now, |starts_at| (starts_at + LONGEST).max(pick.posted_at).min(now))
}

type Grades = (Option<Grade>, Vec<Option<Grade>>);

fn of_whole(tracked: &TrackedPick, outcome: EnteredOutcome) -> Result<Grades, TrackError> {
    match (outcome, &tracked.pick) {
        (EnteredOutcome::Stated(grade), _) => Ok((Some(grade), Vec::new())),
        (EnteredOutcome::Reopened, _) => Ok((None, Vec::new())),
        (outcome, PickBody::Single(pick)) => Ok((Some(graded(pick, outcome)?), Vec::new())),
        (_, PickBody::Parlay(parlay)) => {
            let legs = parlay.picks.len();
            Err(refused("leg", format!("a parlay is scored leg by leg: say which of the {legs} it is about")))
        }
    }
}

fn of_leg(
    tracked: &TrackedPick,
    outcome: EnteredOutcome,
    leg: usize,
    assumed: &AssumedTerms,
) -> Result<Grades, TrackError> {
    let PickBody::Parlay(parlay) = &tracked.pick else {
        return Err(refused("leg", "the pick is no parlay and has no legs".into()));
    };
    let Some(pick) = leg.checked_sub(1).and_then(|at| parlay.picks.get(at)) else {
        return Err(refused("leg", format!("it is {leg}; the parlay has legs 1 to {}", parlay.picks.len())));
    };
    let mut legs = tracked.legs.clone();
    legs.resize(parlay.picks.len(), None);
    legs[leg - 1] = match outcome {
        EnteredOutcome::Stated(grade) => Some(grade),
        EnteredOutcome::Reopened => None,
        scored => Some(graded(pick, scored)?),
    };
    Ok((whole(parlay, &legs, assumed), legs))
}

fn graded(pick: &Pick, outcome: EnteredOutcome) -> Result<Grade, TrackError> {
    let outcome = match outcome {
        EnteredOutcome::Stated(grade) => return Ok(grade),
        EnteredOutcome::Reopened => return Err(refused("outcome", "say how the pick ended".into())),
        EnteredOutcome::Score(first, second) => {
            let event = pick.event.as_deref().and_then(|event| event.split_once(" vs "));
            let (a, b) = match (event, pick.selection.as_deref()) {
                (Some(sides), _) => sides,
                (None, Some(own)) => (own, "the other side"),
                (None, None) => ("the first side", "the other side"),
            };
            Outcome::Game(GameResult::new(a, first, b, second))
        }
        EnteredOutcome::Counted(value) => {
            let player = pick.player.clone().unwrap_or_default();
            Outcome::Player(PlayerResult::new(player, pick.stat.clone().unwrap_or_default(), value))
        }
    };
    Ok(grade(pick, &outcome)?)
}

/// Computes the bets of the accounts that named the picks, and adds them to the settlements.
pub(super) async fn fill(
    store: &Store,
    settings: &PicksSettings,
    picks: &[TrackedPick],
    settlements: &mut [PickSettlement],
) -> Result<(), StoreError> {
    let assumed = assumed(&settings.tracking);
    let keys: Vec<String> = settlements.iter().map(|settlement| settlement.key.clone()).collect();
    let mut named: HashMap<String, Vec<_>> = HashMap::new();
    for sighting in store.tracking().named_by(&keys).await? {
        named.entry(sighting.pick_key.clone()).or_default().push(sighting);
    }
    for (pick, settlement) in picks.iter().zip(settlements) {
        if let (Some(grade), Some(named)) = (settlement.grade, named.get(&settlement.key)) {
            settlement.bets = bets(pick, grade, settlement, named, &assumed);
        }
    }
    Ok(())
}

pub(super) fn refused(field: &'static str, reason: String) -> TrackError {
    TrackError::Entry { field, reason }
}
