//! Settles picks by hand and by results of games, and computes the records.

mod by_score;
mod details;
mod entry;
mod games;
mod import;
mod matching;
mod names;
mod numbering;
mod review;
mod stakes;
mod table;

pub use details::PickDetails;
pub use entry::{EnteredOutcome, Entry, SettledPick, TrackError, settle};
pub use games::{InvalidResult, ResultEntry};
pub use import::{Import, Imported, NamedGames, add_late_bets, import};
pub use review::{ContradictedPick, LeftOpenPick};
pub use table::{BadLine, read_csv};

use perch_odds::{
    Odds,
    record::{GradedBet, GroupBy, Market, Record},
};
use perch_store::{Store, StoreError};

use crate::store::{BetFilter, BetRow, PicksStore as _};

/// The settled bets that match a filter, as input for a record.
pub async fn graded(store: &Store, filter: &BetFilter) -> Result<Vec<GradedBet>, StoreError> {
    Ok(store.tracking().bets(filter).await?.into_iter().map(of_row).collect())
}

/// The record of all bets that match a filter, and the record of each group.
pub async fn record(
    store: &Store,
    filter: &BetFilter,
    by: GroupBy,
) -> Result<(Record, Vec<(String, Record)>), StoreError> {
    let bets = graded(store, filter).await?;
    let groups = perch_odds::record::grouped(&bets, by).into_iter().collect();
    Ok((perch_odds::record::record(&bets), groups))
}

fn of_row(row: BetRow) -> GradedBet {
    let odds = |decimal: Option<f64>| decimal.and_then(|decimal| Odds::from_decimal(decimal).ok());
    GradedBet {
        number: row.number,
        account: row.account,
        sport: row.sport,
        market: market(&row.market),
        posted_at: row.posted_at,
        grade: row.grade,
        stake: row.stake,
        units: row.units,
        odds: odds(row.odds),
        closing: odds(row.closing).filter(|_| !row.odds_assumed),
    }
}

fn market(word: &str) -> Market {
    let all = [Market::Moneyline, Market::Spread, Market::Total, Market::Prop, Market::Future, Market::Parlay];
    all.into_iter().find(|market| market.as_str() == word).unwrap_or(Market::Future)
}
