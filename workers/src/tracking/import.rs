use std::collections::HashMap;

use chrono::{TimeDelta, Utc};
use perch_base::Settings;
use perch_store::{Found, GameRow, PickSettlement, SettledBy, Store, StoreError, TrackedPick};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    entry::{Entry, Settled, TRIES, TrackError, entered, fill, refused},
    matching::Games,
};

/// Results that came in together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Import {
    /// Results of games.
    pub games: Vec<GameRow>,
    /// What was said of single picks, by their numbers or keys.
    pub entries: Vec<(String, Entry)>,
}

/// What an import came to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Imported {
    /// Results of games that were given.
    pub games: usize,
    /// Picks that are settled by them, or of which further legs are graded.
    pub settled: Vec<Settled>,
    /// Picks that are still open.
    pub open: usize,
    /// True when nothing was written.
    pub dry_run: bool,
}

/// Keeps results of games and settles by them, by those that were known before, and by what was said of single picks: all of
/// it or nothing.
///
/// Picks that are settled already are settled again only where something was said of them.
pub async fn import(
    store: &Store,
    settings: &Settings,
    import: &Import,
    by: &SettledBy,
    dry_run: bool,
) -> Result<Imported, TrackError> {
    for _ in 0..TRIES {
        let open = open(store, settings).await?;
        let (picks, mut settlements) = work_out(store, import, &open).await?;
        fill(store, settings, &picks, &mut settlements).await?;
        let settled: Vec<Settled> =
            picks.iter().zip(&settlements).map(|(pick, settlement)| Settled::of(pick, settlement)).collect();
        let closed = picks.iter().zip(&settlements).filter(|(pick, one)| pick.grade.is_none() && one.grade.is_some());
        let open = open.len().saturating_sub(closed.count());
        let imported = Imported { games: import.games.len(), settled, open, dry_run };
        if dry_run {
            return Ok(imported);
        }
        if store.tracking().apply(&import.games, &settlements, by).await? {
            imported.settled.iter().for_each(Settled::count);
            return Ok(imported);
        }
    }
    Err(TrackError::Meanwhile)
}

async fn open(store: &Store, settings: &Settings) -> Result<Vec<TrackedPick>, StoreError> {
    let open_for = TimeDelta::from_std(settings.picks.tracking.open_for).unwrap_or(TimeDelta::days(30));
    store.tracking().open(Utc::now() - open_for).await
}

async fn work_out(
    store: &Store,
    import: &Import,
    open: &[TrackedPick],
) -> Result<(Vec<TrackedPick>, Vec<PickSettlement>), TrackError> {
    let mut worked: HashMap<String, (TrackedPick, PickSettlement)> = HashMap::new();
    let since = open.iter().map(|pick| pick.posted_at).min().unwrap_or_else(Utc::now) - TimeDelta::days(1);
    let known = store.tracking().games(since.date_naive()).await?;
    let games = Games::new(known.into_iter().chain(import.games.iter().cloned()));
    for pick in open {
        if let Some((grade, legs)) = games.decide(pick) {
            worked.insert(pick.key.clone(), (pick.clone(), settlement(pick, grade, legs)));
        }
    }
    // What somebody says of a pick goes before what the games say.
    for (name, entry) in &import.entries {
        let pick = one(store, name).await?;
        let pick = match worked.remove(&pick.key) {
            Some((seen, earlier)) if entry.leg.is_some() => TrackedPick { legs: earlier.legs, ..seen },
            _ => pick,
        };
        let settlement = entered(&pick, entry)?;
        worked.insert(pick.key.clone(), (pick, settlement));
    }
    let mut worked: Vec<(TrackedPick, PickSettlement)> = worked.into_values().collect();
    worked.sort_by_key(|(pick, _)| pick.number);
    Ok(worked.into_iter().unzip())
}

fn settlement(
    pick: &TrackedPick,
    grade: Option<perch_picks::settle::Grade>,
    legs: Vec<Option<perch_picks::settle::Grade>>,
) -> PickSettlement {
    PickSettlement {
        key: pick.key.clone(),
        grade,
        legs,
        closing_odds: pick.closing_odds.clone(),
        note: pick.note.clone(),
        bets: Vec::new(),
        seen_revision: pick.revision,
    }
}

async fn one(store: &Store, name: &str) -> Result<TrackedPick, TrackError> {
    let shown: String = name.chars().take(80).collect();
    match store.tracking().find(name).await? {
        Found::One(pick) => Ok(*pick),
        Found::Nothing => Err(refused("pick", format!("there is no pick {shown:?}"))),
        Found::Several(_) => {
            Err(refused("pick", format!("several picks begin with {shown:?}; give the number of one")))
        }
    }
}

/// Adds what settled picks came to for accounts whose posts came in after the settlement. Answers how many bets there are
/// more.
pub async fn add_late_bets(store: &Store, settings: &Settings) -> Result<u64, StoreError> {
    let picks = store.tracking().lacking_bets().await?;
    let mut settlements: Vec<PickSettlement> =
        picks.iter().map(|pick| settlement(pick, pick.grade, pick.legs.clone())).collect();
    fill(store, settings, &picks, &mut settlements).await?;
    store.tracking().add_bets(&settlements).await
}
