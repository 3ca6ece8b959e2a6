use perch_jobs::FetchResults;
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Picks,
    store::{GameRow, SettleSource, SettledBy},
    tracking::{
        ContradictedPick, Import, LeftOpenPick, NamedGames, ResultEntry, SettledPick, TrackError, add_late_bets, import,
    },
};

/// The outcome of one fetch of results.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fetched {
    /// Results that the source returned.
    pub games: usize,
    /// Entries that could not be used, and why the first of them could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedEntries>,
    /// Picks that were settled, or of which further legs were graded.
    pub settled: usize,
    /// Picks that results had settled and that changed results now settle differently.
    pub corrected: Vec<SettledPick>,
    /// Picks that a person settled differently from the results; they stay as they are.
    pub contradicted: Vec<ContradictedPick>,
    /// Open picks whose game has a result that does not decide them, and why.
    pub left_open: Vec<LeftOpenPick>,
    /// Results that match no pick.
    pub unmatched: NamedGames,
    /// Results that could belong to either of two games of one day; they are not stored.
    pub unclear: NamedGames,
    /// Picks that are still open.
    pub open: usize,
    /// Bets added to settled picks for accounts whose posts were read late.
    pub late: u64,
}

/// Entries that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedEntries {
    /// How many.
    pub entries: usize,
    /// What is wrong with the first of them.
    pub first: String,
}

/// Fetches results from the configured source, if there is one, and settles the picks that all known results decide. Picks that a
/// corrected result had settled are settled again. An entry that cannot be used is reported and does not hold up the others.
pub async fn fetch_results(_: FetchResults, bot: Data<Picks>) -> HandlerResult<Fetched> {
    let entries = match &bot.results {
        Some(source) => source.fetch().await?,
        None => Vec::new(),
    };
    let (games, refused) = rows(entries);
    if let Some(RefusedEntries { entries, first }) = &refused {
        tracing::warn!(entries, first, "the source of results gave entries that cannot be used");
    }
    let by = SettledBy { actor: "fetch_results".into(), source: SettleSource::Results };
    let given = Import { games, entries: Vec::new() };
    let imported = import(&bot.store, &bot.settings, &given, &by, false).await.map_err(failed)?;
    let late = add_late_bets(&bot.store, &bot.settings).await?;
    Ok(Fetched {
        games: imported.games,
        refused,
        settled: imported.settled.len(),
        corrected: imported.corrected,
        contradicted: imported.contradicted,
        left_open: imported.left_open,
        unmatched: imported.unmatched,
        unclear: imported.unclear,
        open: imported.open,
        late,
    })
}

fn rows(entries: Vec<Value>) -> (Vec<GameRow>, Option<RefusedEntries>) {
    let mut rows = Vec::with_capacity(entries.len());
    let mut refused: Option<RefusedEntries> = None;
    for entry in entries {
        match ResultEntry::from_source(entry).and_then(ResultEntry::into_row) {
            Ok(row) => rows.push(row),
            Err(error) => {
                refused.get_or_insert_with(|| RefusedEntries { entries: 0, first: error.to_string() }).entries += 1;
            }
        }
    }
    (rows, refused)
}

fn failed(error: TrackError) -> Fail {
    match error {
        TrackError::Store(error) => error.into(),
        TrackError::Meanwhile => Fail::Retry(error.to_string()),
        TrackError::Settle(_) | TrackError::Entry { .. } => Fail::Dead(error.to_string()),
    }
}
