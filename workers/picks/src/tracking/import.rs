use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{TimeDelta, Utc};
use perch_odds::settle::AssumedTerms;
use perch_store::{Store, StoreError};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    entry::{Entry, SettledPick, TRIES, TrackError, entered, fill, refused},
    matching::Games,
    numbering::numbered,
    review::{ContradictedPick, LeftOpenPick, Review, review, settlement},
    stakes::assumed,
};
use crate::{
    PicksSettings,
    store::{GameRow, PickLookup, PickSettlement, PicksStore as _, SettleSource, SettledBy, TrackedPick},
};

/// Results to import together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Import {
    /// Results of games.
    pub games: Vec<GameRow>,
    /// Entries about single picks, by their numbers or keys.
    pub entries: Vec<(String, Entry)>,
}

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Imported {
    /// How many results of games were given.
    pub games: usize,
    /// Picks that are settled, or of which further legs are graded.
    pub settled: Vec<SettledPick>,
    /// Picks that results had settled and that changed results now settle differently.
    pub corrected: Vec<SettledPick>,
    /// Picks that a person settled differently from the results; they stay as they are. At most 50.
    pub contradicted: Vec<ContradictedPick>,
    /// Open picks whose game has a result that does not decide them, and why. At most 50.
    pub left_open: Vec<LeftOpenPick>,
    /// Results that match no pick.
    pub unmatched: NamedGames,
    /// Results that could belong to either of two games of one day; they are not stored.
    pub unclear: NamedGames,
    /// Picks that are still open.
    pub open: usize,
    /// True when nothing was written.
    pub dry_run: bool,
}

/// Some of the results that were given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct NamedGames {
    /// How many.
    pub games: usize,
    /// The first 20 of them by name.
    pub names: Vec<String>,
}

impl NamedGames {
    fn of<'a>(rows: impl IntoIterator<Item = &'a GameRow>) -> Self {
        let name = |row: &GameRow| format!("{} vs {} ({}, {})", row.first, row.second, row.sport, row.date);
        let names: Vec<String> = rows.into_iter().map(name).collect();
        Self { games: names.len(), names: names.into_iter().take(20).collect() }
    }
}

/// Stores results of games, and settles picks by all known results and by the entries about single picks, in one transaction.
///
/// A corrected result settles again the picks that results had settled, which is written to the audit log. A pick that was settled by
/// hand is settled again only by an entry about it.
pub async fn import(
    store: &Store,
    settings: &PicksSettings,
    import: &Import,
    by: &SettledBy,
    dry_run: bool,
) -> Result<Imported, TrackError> {
    let assumed = assumed(&settings.tracking);
    for _ in 0..TRIES {
        let plan = plan_import(store, settings, import, by.source, &assumed).await?;
        let (picks, mut settlements): (Vec<TrackedPick>, Vec<PickSettlement>) = plan.settlements.into_iter().unzip();
        fill(store, settings, &picks, &mut settlements).await?;
        let keys: Vec<String> = picks.iter().map(|pick| pick.key.clone()).collect();
        let before = store.tracking().units_of(&keys).await?;
        let all = picks.iter().zip(&settlements).map(|(pick, settlement)| {
            let before = before.get(&pick.key).copied().unwrap_or(0.0);
            (plan.corrected.contains(&pick.key), SettledPick::of(pick, settlement, before))
        });
        let (corrected, settled): (Vec<_>, Vec<_>) = all.partition(|(is_corrected, _)| *is_corrected);
        let picks_of = |all: Vec<(bool, SettledPick)>| all.into_iter().map(|(_, settled)| settled).collect::<Vec<_>>();
        let change =
            |pick: &TrackedPick, one: &PickSettlement| i64::from(one.grade.is_none()) - i64::from(pick.grade.is_none());
        let more_open: i64 = picks.iter().zip(&settlements).map(|(pick, one)| change(pick, one)).sum();
        let imported = Imported {
            games: import.games.len(),
            settled: picks_of(settled),
            corrected: picks_of(corrected),
            contradicted: plan.contradicted,
            left_open: plan.left_open,
            unmatched: plan.unmatched,
            unclear: plan.unclear,
            open: usize::try_from(more_open + i64::try_from(plan.open).unwrap_or(0)).unwrap_or(0),
            dry_run,
        };
        if dry_run {
            return Ok(imported);
        }
        let corrections = (!imported.corrected.is_empty()).then(|| {
            let change: f64 = imported.corrected.iter().map(|one| one.change).sum();
            json!({ "picks": imported.corrected, "change": change })
        });
        if store.tracking().apply(&plan.games, &settlements, by, corrections.as_ref()).await? {
            imported.settled.iter().chain(&imported.corrected).for_each(SettledPick::count);
            return Ok(imported);
        }
    }
    Err(TrackError::Meanwhile)
}

/// What an import is going to write and report.
struct ImportPlan {
    /// The results to store.
    games: Vec<GameRow>,
    settlements: Vec<(TrackedPick, PickSettlement)>,
    /// The keys of picks that were already settled and are now settled differently.
    corrected: BTreeSet<String>,
    contradicted: Vec<ContradictedPick>,
    left_open: Vec<LeftOpenPick>,
    unmatched: NamedGames,
    unclear: NamedGames,
    open: usize,
}

async fn plan_import(
    store: &Store,
    settings: &PicksSettings,
    import: &Import,
    source: SettleSource,
    assumed: &AssumedTerms,
) -> Result<ImportPlan, TrackError> {
    let open_for = TimeDelta::from_std(settings.tracking.open_for).unwrap_or(TimeDelta::days(30));
    let since = Utc::now() - open_for;
    let mut picks = store.tracking().open(since).await?;
    let open = picks.len();
    // New results may correct settled picks.
    if !import.games.is_empty() {
        picks.extend(store.tracking().settled(since).await?);
    }
    let posted = picks.iter().map(|pick| pick.posted_at).min().unwrap_or_else(Utc::now) - TimeDelta::days(1);
    let first_day = import.games.iter().map(|row| row.date).chain([posted.date_naive()]).min().unwrap_or_default();
    let known: Vec<GameRow> = store.tracking().games(first_day).await?.into_iter().map(super::names::of_game).collect();
    let (given, unclear) = numbered(&known, &import.games);
    let games = Games::new(known, given.iter().cloned());
    let Review { settlements, contradicted, left_open, used } = review(&games, &picks, assumed);
    let corrected = settlements.iter().filter(|(pick, _)| pick.grade.is_some()).map(|(pick, _)| pick.key.clone());
    let mut corrected: BTreeSet<String> = corrected.collect();
    let by_key = settlements.into_iter().map(|(pick, settlement)| (pick.key.clone(), (pick, settlement)));
    let mut planned: HashMap<String, (TrackedPick, PickSettlement)> = by_key.collect();
    // An entry about a pick overrides the results.
    for (name, entry) in &import.entries {
        let pick = one(store, name).await?;
        let pick = match planned.remove(&pick.key) {
            // Several entries about the legs of one parlay are combined.
            Some((seen, earlier)) => TrackedPick {
                legs: if entry.leg.is_some() { earlier.legs } else { seen.legs.clone() },
                closing_odds: earlier.closing_odds,
                note: earlier.note,
                held: earlier.held,
                ..seen
            },
            None => pick,
        };
        corrected.remove(&pick.key);
        let settlement = entered(&pick, entry, source, assumed)?;
        planned.insert(pick.key.clone(), (pick, settlement));
    }
    let sorted: BTreeMap<u64, (TrackedPick, PickSettlement)> =
        planned.into_values().map(|(pick, settlement)| (pick.number, (pick, settlement))).collect();
    Ok(ImportPlan {
        settlements: sorted.into_values().collect(),
        corrected,
        contradicted,
        left_open,
        unmatched: NamedGames::of(games.given_besides(&used)),
        unclear: NamedGames::of(&unclear),
        open,
        games: given,
    })
}

async fn one(store: &Store, name: &str) -> Result<TrackedPick, TrackError> {
    let shown: String = name.chars().take(80).collect();
    match store.tracking().find(name).await? {
        PickLookup::One(pick) => Ok(*pick),
        PickLookup::NotFound => Err(refused("pick", format!("there is no pick {shown:?}"))),
        PickLookup::Several(_) => {
            Err(refused("pick", format!("several picks begin with {shown:?}; give the number of one")))
        }
    }
}

/// Adds bets to settled picks for accounts whose posts were written before the end of the game but read after the settlement. Returns
/// how many bets were added.
pub async fn add_late_bets(store: &Store, settings: &PicksSettings) -> Result<u64, StoreError> {
    let picks = store.tracking().lacking_bets().await?;
    let late = |pick: &TrackedPick| {
        let over_at = pick.over_at.or(pick.settled_at);
        PickSettlement { over_at, ..settlement(pick, pick.grade, pick.legs.clone()) }
    };
    let mut settlements: Vec<PickSettlement> = picks.iter().map(late).collect();
    fill(store, settings, &picks, &mut settlements).await?;
    store.tracking().add_bets(&settlements).await
}
