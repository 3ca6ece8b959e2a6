use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use perch_jobs::PostId;
use perch_odds::settle::Grade;
use perch_store::{
    StoreError,
    row::{self, count, parsed, readable, time, time_option, undecodable, word},
};
use perch_store::{query, query_as};
use serde::{Serialize, Serializer};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::{super::PickBody, Tracking};
use crate::normal::BetTerms;

/// A pick and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrackedPick {
    /// Its number, short enough to be typed.
    pub number: u64,
    /// Its key.
    pub key: String,
    /// How it ended; open while nobody knows.
    #[serde(rename = "state", serialize_with = "state")]
    pub grade: Option<Grade>,
    /// How the legs of a parlay ended, as far as that is known; empty when nothing is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<Option<Grade>>,
    /// The pick.
    pub pick: PickBody,
    /// The post that had it first.
    pub source_post: PostId,
    /// The handle of that post's author.
    pub author: String,
    /// When that post was written.
    pub posted_at: DateTime<Utc>,
    /// When the pick was first seen.
    pub first_seen: DateTime<Utc>,
    /// Accounts that named it.
    pub accounts: u64,
    /// The stake of the account that named it first, once it is settled.
    pub stake: Option<f64>,
    /// The units that it came to for that account.
    pub units: Option<f64>,
    /// The odds when its game began, as they were entered.
    pub closing_odds: Option<String>,
    /// When it was settled.
    pub settled_at: Option<DateTime<Utc>>,
    /// By whom.
    pub settled_by: Option<String>,
    /// On what grounds: `stated`, `score`, `import` or `results`.
    pub source: Option<String>,
    /// Whether it was opened again by hand: results do not settle it until somebody does.
    pub held: bool,
    /// When what it is about was over; later posts have no bet on it. None where only the settlement tells.
    pub over_at: Option<DateTime<Utc>>,
    /// Its odds, stake and time in figures, as the first post has them.
    pub terms: Option<BetTerms>,
    /// The part of the game that it is about, such as a half or a set; none for the whole.
    #[serde(skip)]
    pub part: Option<String>,
    /// What was noted about it.
    pub note: Option<String>,
    /// How often it was settled.
    pub revision: i64,
    /// Who read it out of its post: a provider, or `rules`.
    pub read_by: Option<String>,
    /// Whether nothing is done about it yet, as only the rules have read it.
    pub unconfirmed: bool,
    /// Who confirmed what only the rules had read.
    pub confirmed_by: Option<String>,
    /// When.
    pub confirmed_at: Option<DateTime<Utc>>,
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn state<S: Serializer>(grade: &Option<Grade>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(state_word(*grade))
}

/// The word for how a pick stands: its grade, or `open`.
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

/// Which picks.
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

/// The pick that a text names.
#[derive(Debug, Clone, PartialEq)]
pub enum PickLookup {
    /// None.
    NotFound,
    /// This one.
    One(Box<TrackedPick>),
    /// Several; the first few of them.
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

    /// The pick with this number or key, or the one whose key begins so. No text at all names none.
    pub async fn find(&self, text: &str) -> Result<PickLookup, StoreError> {
        if text.trim().is_empty() {
            return Ok(PickLookup::NotFound);
        }
        let number: Option<i64> = text.strip_prefix('#').unwrap_or(text).parse().ok();
        let mut found: Vec<TrackedPick> = query_as!(
            "select * from picks.tracked
             where environment = $1 and (number = $2 or ($2::bigint is null and starts_with(pick_key, $3)))
             order by pick_key = $3 desc, number desc limit 4",
            self.0.env().as_str(),
            number,
            text
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("look for a pick"))
        .map(readable("look for a pick"))?;
        let is_exact = found.first().is_some_and(|first| first.key == text);
        Ok(match found.len() {
            0 => PickLookup::NotFound,
            1 => PickLookup::One(Box::new(found.remove(0))),
            _ if is_exact => PickLookup::One(Box::new(found.remove(0))),
            _ => PickLookup::Several(found),
        })
    }

    /// The open picks that were first seen from then on, the first one first: at most 50,000.
    pub async fn open(&self, since: DateTime<Utc>) -> Result<Vec<TrackedPick>, StoreError> {
        query_as!(
            "select * from picks.tracked
             where environment = $1 and state = 'open' and first_seen >= $2 order by first_seen limit 50000",
            self.0.env().as_str(),
            since
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read open picks"))
        .map(readable("read open picks"))
    }

    /// The settled picks that were first seen from then on, the first one first: at most 50,000.
    pub async fn settled(&self, since: DateTime<Utc>) -> Result<Vec<TrackedPick>, StoreError> {
        query_as!(
            "select * from picks.tracked
             where environment = $1 and state <> 'open' and first_seen >= $2 order by first_seen limit 50000",
            self.0.env().as_str(),
            since
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read settled picks"))
        .map(readable("read settled picks"))
    }
}
