use std::collections::HashMap;

use chrono::{DateTime, Utc};
use perch_odds::settle::Grade;
use perch_store::{
    StoreError, query_as,
    row::{count, readable_rows, time, word},
};
use serde::Serialize;
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::{TrackedPick, Tracking};

/// Which settled bets to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BetFilter {
    /// Only of this account, in any case.
    pub account: Option<String>,
    /// Only of this sport.
    pub sport: Option<String>,
    /// Only of this market.
    pub market: Option<String>,
    /// Only posted from then on.
    pub since: Option<DateTime<Utc>>,
    /// Only posted before.
    pub until: Option<DateTime<Utc>>,
}

/// The bet of one account on a settled pick.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BetRow {
    /// The number of the pick.
    pub number: u64,
    /// Its key.
    pub pick_key: String,
    /// The handle in lower case.
    pub account: String,
    /// The sport; `None` for a parlay over several sports.
    pub sport: Option<String>,
    /// The kind of the pick, or `parlay`.
    pub market: String,
    /// When the account posted it.
    pub posted_at: DateTime<Utc>,
    /// How it ended.
    pub grade: Grade,
    /// The decimal odds: what a winning stake of one unit returns.
    pub odds: Option<f64>,
    /// Whether the odds are assumed because the post names none.
    pub odds_assumed: bool,
    /// The decimal odds when the game began; `None` if the odds are assumed, or a leg of the parlay was neither won nor lost.
    pub closing: Option<f64>,
    /// The stake in units.
    pub stake: f64,
    /// Whether the stake is assumed because the post names none.
    pub stake_assumed: bool,
    /// Units won, or lost when negative.
    pub units: f64,
}

impl FromRow<'_, PgRow> for BetRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: count(row, "number")?,
            pick_key: row.try_get("pick_key")?,
            account: row.try_get("account")?,
            sport: row.try_get("sport")?,
            market: row.try_get("market")?,
            posted_at: time(row, "posted_at")?,
            grade: word(row, "grade")?,
            odds: row.try_get("odds")?,
            odds_assumed: row.try_get("odds_assumed")?,
            closing: row.try_get("closing")?,
            stake: row.try_get("stake")?,
            stake_assumed: row.try_get("stake_assumed")?,
            units: row.try_get("units")?,
        })
    }
}

impl Tracking<'_> {
    /// Settled bets, oldest first: at most 500,000.
    pub async fn bets(&self, filter: &BetFilter) -> Result<Vec<BetRow>, StoreError> {
        readable_rows(
            "read settled bets",
            query_as!(
                "select b.*, p.number from picks.settled_bets b
             join picks.picks p on p.environment = b.environment and p.pick_key = b.pick_key
             where b.environment = $1 and ($2::text is null or b.account = lower($2))
               and ($3::text is null or b.sport = lower($3)) and ($4::text is null or b.market = lower($4))
               and ($5::timestamptz is null or b.posted_at >= $5) and ($6::timestamptz is null or b.posted_at < $6)
             order by b.posted_at limit 500000",
                self.0.env().as_str(),
                &filter.account,
                &filter.sport,
                &filter.market,
                filter.since,
                filter.until
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// The units of each of these picks, for all accounts together. A pick without a bet is not in the map.
    pub async fn units_of(&self, keys: &[String]) -> Result<HashMap<String, f64>, StoreError> {
        let sums: Vec<(String, f64)> = query_as!(
            "select pick_key, sum(units) from picks.settled_bets
             where environment = $1 and pick_key = any($2) group by pick_key",
            self.0.env().as_str(),
            keys
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("add up settled bets"))?;
        Ok(sums.into_iter().collect())
    }

    /// The bets on one pick, one for each account that named it.
    pub async fn bets_of(&self, key: &str) -> Result<Vec<BetRow>, StoreError> {
        readable_rows(
            "read settled bets",
            query_as!(
                "select b.*, p.number from picks.settled_bets b
             join picks.picks p on p.environment = b.environment and p.pick_key = b.pick_key
             where b.environment = $1 and b.pick_key = $2 order by b.posted_at limit 10000",
                self.0.env().as_str(),
                key
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Settled picks with missing bets: an account named the pick before the end of the game (or before the settlement, if only that is
    /// known), but its post was read after the settlement. At most 1,000.
    pub async fn lacking_bets(&self) -> Result<Vec<TrackedPick>, StoreError> {
        readable_rows("look for bets that are missing", query_as!(
            "select * from picks.tracked t
             where t.environment = $1 and t.state <> 'open' and exists (
                 select 1 from picks.sightings s
                 left join picks.posts p on p.environment = s.environment and p.id = s.post_id
                 where s.environment = $1 and s.pick_key = t.pick_key
                   and coalesce(p.created_at, s.seen_at) <= coalesce(t.over_at, t.settled_at)
                   and not exists (select 1 from picks.settled_bets b
                                   where b.environment = $1 and b.pick_key = s.pick_key and b.account = lower(s.author)))
             order by t.number desc limit 1000",
            self.0.env().as_str()
        ).fetch_all(self.0.pool())).await
    }
}
