use chrono::{DateTime, Utc};
use perch_jobs::PostId;
use perch_odds::settle::Grade;
use perch_store::{
    StoreError, execute_json, query_as,
    row::{readable_rows, time, undecodable},
    sql,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::{super::PickSighting, GameRow, Tracking, picks::grade, state_word};

/// The source of a settlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettleSource {
    /// Somebody stated how it ended.
    Stated,
    /// Somebody entered a score or a statistic.
    Score,
    /// A file was imported.
    Import,
    /// The results of games decided it.
    Results,
}

impl SettleSource {
    /// The word for it in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stated => "stated",
            Self::Score => "score",
            Self::Import => "import",
            Self::Results => "results",
        }
    }
}

/// Who settles a pick, and from which source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledBy {
    /// A person, an API key, or a part of the system.
    pub actor: String,
    /// The source.
    pub source: SettleSource,
}

/// The bet of one account on a settled pick.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettledBet {
    /// The handle in lower case.
    pub account: String,
    /// The post in which the account named the pick.
    pub post_id: PostId,
    /// When that post was written.
    pub posted_at: DateTime<Utc>,
    /// The sport; `None` for a parlay over several sports.
    pub sport: Option<String>,
    /// The kind of the pick, or `parlay`.
    pub market: String,
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

/// A settlement to write.
#[derive(Debug, Clone, PartialEq)]
pub struct PickSettlement {
    /// The key of the pick.
    pub key: String,
    /// How it ended; `None` to leave or make it open.
    pub grade: Option<Grade>,
    /// How the legs of a parlay ended.
    pub legs: Vec<Option<Grade>>,
    /// The odds when its game began, as they were entered.
    pub closing_odds: Option<String>,
    /// The source; `None` if the entry is not about the outcome, so that the stored settler and source stay.
    pub source: Option<SettleSource>,
    /// Whether results may not settle it until somebody settles it by hand.
    pub held: bool,
    /// When its game was over, if known.
    pub over_at: Option<DateTime<Utc>>,
    /// A note about it.
    pub note: Option<String>,
    /// The bets of the accounts that named it.
    pub bets: Vec<SettledBet>,
    /// The revision of the pick that this settlement was computed from, for optimistic concurrency control.
    pub seen_revision: i64,
}

/// A settlement in the history of a pick.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettlementRow {
    /// Counts the settlements of the pick, from 1.
    pub revision: i64,
    /// How the pick ended: its grade, or `open`.
    pub state: String,
    /// How the legs of a parlay ended.
    pub legs: Vec<Option<Grade>>,
    /// The odds when its game began.
    pub closing_odds: Option<String>,
    /// When.
    pub settled_at: DateTime<Utc>,
    /// By whom.
    pub settled_by: String,
    /// The source.
    pub source: String,
    /// A note about it.
    pub note: Option<String>,
}

impl FromRow<'_, PgRow> for SettlementRow {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let legs: serde_json::Value = row.try_get("legs")?;
        Ok(Self {
            revision: row.try_get("revision")?,
            state: state_word(grade(row, "state")?).to_owned(),
            legs: serde_json::from_value(legs).map_err(|error| undecodable("legs", error))?,
            closing_odds: row.try_get("closing_odds")?,
            settled_at: time(row, "settled_at")?,
            settled_by: row.try_get("settled_by")?,
            source: row.try_get("source")?,
            note: row.try_get("note")?,
        })
    }
}

#[derive(Serialize)]
struct ResultRow<'a> {
    pick_key: &'a str,
    state: &'static str,
    legs: &'a [Option<Grade>],
    closing_odds: &'a Option<String>,
    held: bool,
    over_at: Option<DateTime<Utc>>,
    note: &'a Option<String>,
    revision: i64,
    settled_by: &'a str,
    source: &'static str,
    said: bool,
}

#[derive(Serialize)]
struct KeyedBet<'a> {
    pick_key: &'a str,
    #[serde(flatten)]
    bet: &'a SettledBet,
}

#[derive(Serialize)]
struct KeyedGame<'a> {
    event: String,
    #[serde(flatten)]
    game: &'a GameRow,
    entered_by: &'a str,
    source: &'static str,
}

const GAMES: &str = sql!(
    2,
    "
    insert into picks.game_results (environment, sport, event, date, game, first, second, score_first, score_second, winner,
                              called_off, finished_at, players, source, entered_by)
    select distinct on (sport, event, date, coalesce(game, 1))
           $1, sport, event, date, coalesce(game, 1), first, second, score_first, score_second, winner, called_off, finished_at,
           players, source, entered_by
    from jsonb_to_recordset($2::jsonb)
         as r(sport text, event text, date date, game integer, first text, second text, score_first double precision,
              score_second double precision, winner text, called_off boolean, finished_at timestamptz, players jsonb,
              source text, entered_by text)
    order by sport, event, date, coalesce(game, 1), finished_at desc nulls last
    on conflict (environment, sport, event, date, game) do update set
        first = excluded.first, second = excluded.second, score_first = excluded.score_first,
        score_second = excluded.score_second, winner = excluded.winner, called_off = excluded.called_off,
        finished_at = coalesce(excluded.finished_at, game_results.finished_at),
        players = game_results.players || excluded.players, source = excluded.source, entered_by = excluded.entered_by,
        entered_at = clock_timestamp()
    where (game_results.first, game_results.second, game_results.score_first, game_results.score_second,
           game_results.winner, game_results.called_off, game_results.finished_at, game_results.players)
          is distinct from (excluded.first, excluded.second, excluded.score_first, excluded.score_second, excluded.winner,
                            excluded.called_off, coalesce(excluded.finished_at, game_results.finished_at),
                            game_results.players || excluded.players)"
);

// A settlement counts on the day on which the outcome was entered: closing odds or notes added later do not change `settled_at`.
const SETTLE: &str = sql!(
    2,
    "
    with r as (
        select * from jsonb_to_recordset($2::jsonb)
            as r(pick_key text, state text, legs jsonb, closing_odds text, held boolean, over_at timestamptz, note text,
                 revision bigint, settled_by text, source text, said boolean)
    ), done as (
        insert into picks.results as p
            (environment, pick_key, state, legs, closing_odds, held, over_at, settled_at, settled_by, source, note, revision)
        select $1, pick_key, state, legs, closing_odds, held, over_at, clock_timestamp(), settled_by, source, note, revision
        from r
        on conflict (environment, pick_key) do update set
            state = excluded.state, legs = excluded.legs, closing_odds = excluded.closing_odds, held = excluded.held,
            over_at = excluded.over_at, note = excluded.note, revision = excluded.revision,
            settled_at = case when (p.state, p.legs) is distinct from (excluded.state, excluded.legs)
                              then excluded.settled_at else p.settled_at end,
            settled_by = case when (select said from r where r.pick_key = p.pick_key)
                              then excluded.settled_by else p.settled_by end,
            source = case when (select said from r where r.pick_key = p.pick_key) then excluded.source else p.source end
        where p.revision = excluded.revision - 1
        returning pick_key
    ), gone as (
        delete from picks.settled_bets b using done where b.environment = $1 and b.pick_key = done.pick_key
    )
    insert into picks.settlements
        (environment, pick_key, revision, state, legs, closing_odds, settled_at, settled_by, source, note)
    select $1, pick_key, r.revision, r.state, r.legs, r.closing_odds, clock_timestamp(), r.settled_by, r.source, r.note
    from done join r using (pick_key)"
);

const BETS: &str = sql!(
    2,
    "
    insert into picks.settled_bets (environment, pick_key, account, post_id, posted_at, sport, market, grade, odds, odds_assumed,
                              closing, stake, stake_assumed, units)
    select $1, pick_key, account, post_id, posted_at, sport, market, grade, odds, odds_assumed, closing, stake,
           stake_assumed, units
    from jsonb_to_recordset($2::jsonb)
         as r(pick_key text, account text, post_id text, posted_at timestamptz, sport text, market text, grade text,
              odds double precision, odds_assumed boolean, closing double precision, stake double precision,
              stake_assumed boolean, units double precision)
    on conflict (environment, pick_key, account) do nothing"
);

const CORRECTED: &str = sql!(
    2,
    "
    insert into audit_log (environment, actor, action, object, details)
    select $1, $2::jsonb ->> 0, 'results.correct', 'results', $2::jsonb -> 1"
);

impl Tracking<'_> {
    /// Writes results of games and settlements of picks, and `corrections` to the audit log, in one transaction.
    ///
    /// False if one of the picks was settled by somebody else since it was read. Then nothing is written, and the caller has to compute
    /// everything again.
    pub async fn apply(
        &self,
        games: &[GameRow],
        settlements: &[PickSettlement],
        by: &SettledBy,
        corrections: Option<&serde_json::Value>,
    ) -> Result<bool, StoreError> {
        let env = self.0.env().as_str();
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on("settle picks"))?;
        let source = by.source.as_str();
        let rows: Vec<KeyedGame<'_>> =
            games.iter().map(|game| KeyedGame { event: game.event(), game, entered_by: &by.actor, source }).collect();
        execute_json(&mut tx, "store results of games", GAMES, env, &rows).await?;
        let rows: Vec<ResultRow<'_>> = settlements.iter().map(|settlement| row(settlement, by)).collect();
        let settled = execute_json(&mut tx, "settle picks", SETTLE, env, &rows).await?;
        if settled != settlements.len() as u64 {
            return Ok(false);
        }
        execute_json(&mut tx, "settle picks", BETS, env, &keyed(settlements)).await?;
        if let Some(corrections) = corrections {
            execute_json(&mut tx, "note a correction", CORRECTED, env, &json!([by.actor, corrections])).await?;
        }
        tx.commit().await.map_err(StoreError::on("settle picks"))?;
        Ok(true)
    }

    /// Adds bets of further accounts to settled picks. Returns how many were added.
    pub async fn add_bets(&self, settlements: &[PickSettlement]) -> Result<u64, StoreError> {
        execute_json(self.0.pool(), "add settled bets", BETS, self.0.env().as_str(), &keyed(settlements)).await
    }

    /// The settlements of a pick, oldest first.
    pub async fn history(&self, key: &str) -> Result<Vec<SettlementRow>, StoreError> {
        readable_rows(
            "read settlements",
            query_as!(
                "select * from picks.settlements where environment = $1 and pick_key = $2 order by revision limit 1000",
                self.0.env().as_str(),
                key
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// The first post of each account that named one of these picks, with the time at which it was written.
    pub async fn named_by(&self, keys: &[String]) -> Result<Vec<PickSighting>, StoreError> {
        readable_rows(
            "read who named picks",
            query_as!(
                "select distinct on (s.pick_key, lower(s.author))
                    s.pick_key, s.post_id, s.author, s.odds, s.units, coalesce(p.created_at, s.seen_at) as seen_at
             from picks.sightings s
             left join picks.posts p on p.environment = s.environment and p.id = s.post_id
             where s.environment = $1 and s.pick_key = any($2)
             order by s.pick_key, lower(s.author), coalesce(p.created_at, s.seen_at)",
                self.0.env().as_str(),
                keys
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }
}

fn row<'a>(settlement: &'a PickSettlement, by: &'a SettledBy) -> ResultRow<'a> {
    ResultRow {
        pick_key: &settlement.key,
        state: state_word(settlement.grade),
        legs: &settlement.legs,
        closing_odds: &settlement.closing_odds,
        held: settlement.held,
        over_at: settlement.over_at,
        note: &settlement.note,
        revision: settlement.seen_revision + 1,
        settled_by: &by.actor,
        source: settlement.source.unwrap_or(by.source).as_str(),
        said: settlement.source.is_some(),
    }
}

fn keyed(settlements: &[PickSettlement]) -> Vec<KeyedBet<'_>> {
    let bets = settlements.iter().flat_map(|one| one.bets.iter().map(|bet| (one.key.as_str(), bet)));
    bets.map(|(pick_key, bet)| KeyedBet { pick_key, bet }).collect()
}
