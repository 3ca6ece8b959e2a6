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
    tracking::{ContradictedPick, Import, LeftOpenPick, NamedGames, ResultEntry, SettledPick, TrackError, add_late_bets, import},
};

/// What one look at the results came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fetched {
    /// Results that the source gave.
    pub games: usize,
    /// Entries that could not be used, and why the first of them could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedEntries>,
    /// Picks that were settled, or of which further legs were graded.
    pub settled: usize,
    /// Picks that results had settled and that the results now settle otherwise.
    pub corrected: Vec<SettledPick>,
    /// Picks that somebody settled otherwise than the results say; they stay as they are.
    pub contradicted: Vec<ContradictedPick>,
    /// Open picks that a result is about without deciding them, and why.
    pub left_open: Vec<LeftOpenPick>,
    /// Results that are about no pick.
    pub unmatched: NamedGames,
    /// Results that may be of either of two games of one day; they are not kept.
    pub unclear: NamedGames,
    /// Picks that are still open.
    pub open: usize,
    /// Bets on settled picks of accounts whose posts came in late.
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

/// Fetches results from the configured source, if there is one, and settles the picks that the results decide which are known
/// by then; what a corrected result settled is settled again. An entry that cannot be used is told of and holds up no other.
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
