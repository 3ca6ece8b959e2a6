use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use perch_jobs::PostId;
use perch_odds::settle::Grade;
use perch_store::{
    StoreError, query, query_as,
    row::{self, count, parsed, readable_rows, time, time_option, undecodable, word},
};
use serde::{Serialize, Serializer};
use sqlx::{FromRow, Row as _, postgres::PgRow};
use utoipa::ToSchema;

use super::{super::PickBody, Tracking};
use crate::normal::BetTerms;

/// A pick and its state.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TrackedPick {
    /// Its number, for people to type.
    pub number: u64,
    /// Its key.
    pub key: String,
    /// How it ended; `None` while it is open.
    #[serde(rename = "state", serialize_with = "state")]
    #[schema(value_type = String)]
    pub grade: Option<Grade>,
    /// How the legs of a parlay ended, as far as known; empty if nothing is known.
    #[schema(value_type = Vec<Option<String>>)]
    pub legs: Vec<Option<Grade>>,
    /// The pick.
    #[schema(value_type = Object)]
    pub pick: PickBody,
    /// The post that had it first.
    #[schema(value_type = String)]
    pub source_post: PostId,
    /// The handle of that post's author.
    pub author: String,
    /// When that post was written.
    pub posted_at: DateTime<Utc>,
    /// When the pick was first seen.
    pub first_seen: DateTime<Utc>,
    /// Accounts that named it.
    pub accounts: u64,
    /// The stake of the account that named it first, once the pick is settled.
    pub stake: Option<f64>,
    /// The units that this account won, or lost when negative.
    pub units: Option<f64>,
    /// The odds when its game began, as they were entered.
    pub closing_odds: Option<String>,
    /// When it was settled.
    pub settled_at: Option<DateTime<Utc>>,
    /// By whom.
    pub settled_by: Option<String>,
    /// The source of the settlement: `stated`, `score`, `import` or `results`.
    pub source: Option<String>,
    /// Whether it was reopened by hand. Results do not settle it then, until somebody settles it by hand.
    pub held: bool,
    /// When its game was over; later posts have no bet on it. `None` if only the time of the settlement is known.
    pub over_at: Option<DateTime<Utc>>,
    /// Its odds, stake and time as numbers, from the first post.
    #[schema(value_type = Option<Object>)]
    pub terms: Option<BetTerms>,
    /// The part of the game that it is about, such as a half or a set; `None` for the whole game.
    #[serde(skip)]
    pub part: Option<String>,
    /// A note about it.
    pub note: Option<String>,
    /// How often it was settled.
    pub revision: i64,
    /// Who read it in its post: a provider, or `rules`.
    pub read_by: Option<String>,
    /// Whether it waits for confirmation before it is acted on, because only the rules have read it.
    pub unconfirmed: bool,
    /// Who confirmed it, if only the rules had read it.
    pub confirmed_by: Option<String>,
    /// When.
    pub confirmed_at: Option<DateTime<Utc>>,
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn state<S: Serializer>(grade: &Option<Grade>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(state_word(*grade))
}

/// The word for the state of a pick: its grade, or `open`.
pub fn state_word(grade: Option<Grade>) -> &'static str {
    grade.map_or("open", Grade::as_str)
}

pub(super) fn grade(row: &PgRow, column: &str) -> Result<Option<Grade>, sqlx::Error> {
    let state: String = row.try_get(column)?;
    if state == "open" { Ok(None) } else { word(row, column).map(Some) }
}

impl FromRow<'_, PgRow> for TrackedPick {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let pick: serde_json::Value = row.try_get("pick")?;
        let legs: serde_json::Value = row.try_get("legs")?;
        let terms: Option<serde_json::Value> = row.try_get("terms")?;
        let part = terms.as_ref().and_then(|terms| terms.get("part")?.as_str().map(str::to_owned));
        let terms = terms.map(serde_json::from_value).transpose().map_err(|error| undecodable("terms", error))?;
        Ok(Self {
            number: count(row, "number")?,
            key: row.try_get("pick_key")?,
            grade: grade(row, "state")?,
            legs: serde_json::from_value(legs).map_err(|error| undecodable("legs", error))?,
            pick: serde_json::from_value(pick).map_err(|error| undecodable("pick", error))?,
            source_post: parsed(row, "source_post")?,
            author: row.try_get("author")?,
            posted_at: time(row, "posted_at")?,
            first_seen: time(row, "first_seen")?,
            accounts: count(row, "accounts")?,
            stake: row.try_get("stake")?,
            units: row.try_get("units")?,
            closing_odds: row.try_get("closing_odds")?,
            settled_at: time_option(row, "settled_at")?,
            settled_by: row.try_get("settled_by")?,
            source: row.try_get("source")?,
            held: row.try_get("held")?,
            over_at: time_option(row, "over_at")?,
            terms,
            part,
            note: row.try_get("note")?,
            revision: row.try_get("revision")?,
            read_by: row.try_get("read_by")?,
            unconfirmed: row.try_get("unconfirmed")?,
            confirmed_by: row.try_get("confirmed_by")?,
            confirmed_at: row.try_get("confirmed_at")?,
        })
    }
}

/// Which picks to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PickFilter {
    /// Only open ones, or only settled ones.
    pub open: Option<bool>,
    /// Only those that this account named, in any case.
    pub account: Option<String>,
    /// Only of this sport; parlays with a leg of it too.
    pub sport: Option<String>,
    /// Only of this market: the kind of a pick, or `parlay`.
    pub market: Option<String>,
    /// Only those that only the rules have read and nobody has confirmed.
    pub unconfirmed: bool,
    /// Only first seen from then on.
    pub since: Option<DateTime<Utc>>,
    /// Only first seen before.
    pub until: Option<DateTime<Utc>>,
}

/// The result of looking up a pick by number or key.
#[derive(Debug, Clone, PartialEq)]
pub enum PickLookup {
    /// No pick matches.
    NotFound,
    /// One pick matches.
    One(Box<TrackedPick>),
    /// Several picks match; the first few of them.
    Several(Vec<TrackedPick>),
}

impl Tracking<'_> {
    /// Picks, the last one first, page by page.
    pub async fn list(&self, filter: &PickFilter, paging: &Paging) -> Result<Page<TrackedPick>, StoreError> {
        const LIST: &str = "picks";
        let before: Option<i64> = paging.place(LIST)?;
        let rows = query!(
            "select * from picks.tracked t
             where t.environment = $1 and ($2::boolean is null or (t.state = 'open') = $2)
               and ($3::text is null or exists (
                        select 1 from picks.sightings s
                        where s.environment = $1 and s.pick_key = t.pick_key and lower(s.author) = lower($3)))
               and ($4::text is null or t.sport = lower($4) or exists (
                        select 1 from jsonb_array_elements(coalesce(t.pick -> 'picks', '[]')) leg
                        where leg ->> 'sport' = lower($4)))
               and ($5::text is null or t.market = lower($5))
               and ($6::timestamptz is null or t.first_seen >= $6) and ($7::timestamptz is null or t.first_seen < $7)
               and ($8::bigint is null or t.number < $8) and (t.unconfirmed or not $10)
             order by t.number desc limit $9",
            self.0.env().as_str(),
            filter.open,
            &filter.account,
            &filter.sport,
            &filter.market,
            filter.since,
            filter.until,
            before,
            paging.rows(),
            filter.unconfirmed
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("list picks"))?;
        row::page("list picks", LIST, paging, rows, |row| row.try_get::<i64, _>("number"))
    }

    /// The pick with this number, key, or beginning of a key. An empty text matches none.
    pub async fn find(&self, text: &str) -> Result<PickLookup, StoreError> {
        if text.trim().is_empty() {
            return Ok(PickLookup::NotFound);
        }
        let number: Option<i64> = text.strip_prefix('#').unwrap_or(text).parse().ok();
        let mut found: Vec<TrackedPick> = readable_rows(
            "look for a pick",
            query_as!(
                "select * from picks.tracked
             where environment = $1 and (number = $2 or ($2::bigint is null and starts_with(pick_key, $3)))
             order by pick_key = $3 desc, number desc limit 4",
                self.0.env().as_str(),
                number,
                text
            )
            .fetch_all(self.0.pool()),
        )
        .await?;
        let is_exact = found.first().is_some_and(|first| first.key == text);
        Ok(match found.len() {
            0 => PickLookup::NotFound,
            1 => PickLookup::One(Box::new(found.remove(0))),
            _ if is_exact => PickLookup::One(Box::new(found.remove(0))),
            _ => PickLookup::Several(found),
        })
    }

    /// The open picks first seen since then, oldest first: at most 50,000.
    pub async fn open(&self, since: DateTime<Utc>) -> Result<Vec<TrackedPick>, StoreError> {
        readable_rows(
            "read open picks",
            query_as!(
                "select * from picks.tracked
             where environment = $1 and state = 'open' and first_seen >= $2 order by first_seen limit 50000",
                self.0.env().as_str(),
                since
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// The settled picks first seen since then, oldest first: at most 50,000.
    pub async fn settled(&self, since: DateTime<Utc>) -> Result<Vec<TrackedPick>, StoreError> {
        readable_rows(
            "read settled picks",
            query_as!(
                "select * from picks.tracked
             where environment = $1 and state <> 'open' and first_seen >= $2 order by first_seen limit 50000",
                self.0.env().as_str(),
                since
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }
}
