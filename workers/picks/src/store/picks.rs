use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use perch_jobs::{Bet, Parlay, Pick, PostId};
use perch_store::{
    ActionRecord, Recorded, Store, StoreError, millis, query, query_as,
    row::{parsed, readable_rows, time, undecodable},
    sql,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use crate::normal::BetTerms;

/// A pick on its own, or a parlay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PickBody {
    /// Several bets that win or lose as one.
    Parlay(Parlay),
    /// One bet.
    Single(Pick),
}

impl From<Bet> for PickBody {
    fn from(bet: Bet) -> Self {
        match bet {
            Bet::Parlay(parlay) => Self::Parlay(parlay),
            Bet::Single(pick) => Self::Single(pick),
        }
    }
}

impl PickBody {
    /// The key of the bet by its words only (see [`Pick::identity`] and [`Parlay::identity`]).
    pub fn key(&self) -> String {
        pick_key(&self.identity())
    }

    /// The key of the bet on its game: by its words and its occasion (see [`crate::occasion`]).
    pub fn key_on(&self, occasion: &str) -> String {
        pick_key(&format!("{}@{occasion}", self.identity()))
    }

    fn identity(&self) -> String {
        match self {
            Self::Single(pick) => pick.identity(),
            Self::Parlay(parlay) => parlay.identity(),
        }
    }
}

/// The longest key in bytes, since an entry of a Postgres index may have at most a third of a page.
const LONGEST_KEY: usize = 512;

/// The identity of a bet as a key: itself, or its SHA-256 when it is longer than 512 bytes.
pub fn pick_key(identity: &str) -> String {
    if identity.len() <= LONGEST_KEY {
        return identity.replace('\0', "\u{fffd}");
    }
    let mut key = String::from("sha256:");
    for byte in Sha256::digest(identity.as_bytes()) {
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// A pick and the post that had it first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PickRecord {
    /// Its key, from [`PickBody::key_on`].
    pub key: String,
    /// The pick.
    pub pick: PickBody,
    /// The post that had it first.
    pub source_post: PostId,
    /// The handle of that post's author.
    pub author: String,
    /// When it was first seen. Kept to the millisecond.
    #[serde(with = "millis")]
    pub first_seen: DateTime<Utc>,
    /// Its odds, stake and time as numbers, from that post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<BetTerms>,
    /// Who read it in the post: a provider, or `rules`. `None` in records from before this field existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_by: Option<String>,
    /// The actions to take once it is confirmed, if only the rules have read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Vec<ActionRecord>>,
}

impl PickRecord {
    /// A pick that a post has first.
    pub fn new(pick: PickBody, source_post: PostId, author: String, first_seen: DateTime<Utc>) -> Self {
        Self { key: pick.key(), pick, source_post, author, first_seen, terms: None, read_by: None, planned: None }
    }

    /// Sets the key to that of an occasion.
    #[must_use]
    pub fn on(self, occasion: &str) -> Self {
        Self { key: self.pick.key_on(occasion), ..self }
    }

    /// Sets the terms.
    #[must_use]
    pub fn with_terms(self, terms: BetTerms) -> Self {
        Self { terms: Some(terms), ..self }
    }
}

impl Recorded for PickRecord {
    const FAMILY: &'static str = "picks.picks";
    const DOING: &'static str = "store picks";
    // The first post keeps the pick; another post only adds a sighting. A reading by the rules does not replace a reading by a model.
    const SQL: &'static str = sql!(
        2,
        "
        with r as (
            select * from jsonb_to_recordset($2::jsonb)
                as r(key text, pick jsonb, source_post text, author text, first_seen timestamptz, terms jsonb,
                     read_by text, planned jsonb, version_ms bigint, version_seq bigint)
        ), seen as (
            insert into picks.sightings
                (environment, pick_key, post_id, author, odds, units, seen_at, version_ms, version_seq)
            select $1, key, source_post, author, pick ->> 'odds', (pick ->> 'units')::float8, first_seen,
                   version_ms, version_seq
            from r
            on conflict (environment, pick_key, post_id) do nothing
        )
        insert into picks.picks (environment, pick_key, pick, kind, sport, event, selection, line, side, player, stat, odds,
                           units, source_post, author, first_seen, terms, read_by, planned, version_ms, version_seq)
        select distinct on (key)
               $1, key, pick, pick ->> 'type', pick ->> 'sport', pick ->> 'event', pick ->> 'selection',
               (pick ->> 'line')::float8, pick ->> 'side', pick ->> 'player', pick ->> 'stat', pick ->> 'odds',
               (pick ->> 'units')::float8, source_post, author, first_seen, terms, read_by, nullif(planned, 'null'),
               version_ms, version_seq
        from r
        order by key, version_ms, version_seq
        on conflict (environment, pick_key) do update set
            pick = excluded.pick, kind = excluded.kind, sport = excluded.sport, event = excluded.event,
            selection = excluded.selection, line = excluded.line, side = excluded.side, player = excluded.player,
            stat = excluded.stat, odds = excluded.odds, units = excluded.units, author = excluded.author,
            terms = excluded.terms, read_by = excluded.read_by, planned = excluded.planned,
            version_ms = excluded.version_ms, version_seq = excluded.version_seq
        where picks.source_post = excluded.source_post
          and (excluded.planned is null or picks.planned is not null)
          and (excluded.version_ms, excluded.version_seq) > (picks.version_ms, picks.version_seq)"
    );

    fn key(&self) -> String {
        format!("{} {}", self.source_post, self.key)
    }
}

impl FromRow<'_, PgRow> for PickRecord {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let pick: serde_json::Value = row.try_get("pick")?;
        let terms: Option<serde_json::Value> = row.try_get("terms")?;
        let planned: Option<serde_json::Value> = row.try_get("planned")?;
        Ok(Self {
            key: row.try_get("pick_key")?,
            pick: serde_json::from_value(pick).map_err(|error| undecodable("pick", error))?,
            source_post: parsed(row, "source_post")?,
            author: row.try_get("author")?,
            first_seen: time(row, "first_seen")?,
            terms: terms.map(serde_json::from_value).transpose().map_err(|error| undecodable("terms", error))?,
            read_by: row.try_get("read_by")?,
            planned: planned.map(serde_json::from_value).transpose().map_err(|error| undecodable("planned", error))?,
        })
    }
}

/// The post that has a pick first, and whether the pick is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickStanding {
    /// The post that had it first.
    pub source_post: PostId,
    /// Whether only the rules have read it, and nobody has confirmed it.
    pub unconfirmed: bool,
}

impl FromRow<'_, PgRow> for PickStanding {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { source_post: parsed(row, "source_post")?, unconfirmed: row.try_get("unconfirmed")? })
    }
}

/// A post that has a pick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PickSighting {
    /// The key of the pick.
    pub pick_key: String,
    /// The post.
    pub post_id: PostId,
    /// The handle of its author.
    pub author: String,
    /// The odds in this post.
    pub odds: Option<String>,
    /// The stake in this post.
    pub units: Option<f64>,
    /// When it was seen. Kept to the millisecond.
    #[serde(with = "millis")]
    pub seen_at: DateTime<Utc>,
}

impl Recorded for PickSighting {
    const FAMILY: &'static str = "picks.sightings";
    const DOING: &'static str = "store sightings";
    const SQL: &'static str = sql!(
        2,
        "
        insert into picks.sightings
            (environment, pick_key, post_id, author, odds, units, seen_at, version_ms, version_seq)
        select $1, pick_key, post_id, author, odds, units, seen_at, version_ms, version_seq
        from jsonb_to_recordset($2::jsonb)
             as r(pick_key text, post_id text, author text, odds text, units double precision, seen_at timestamptz,
                  version_ms bigint, version_seq bigint)
        on conflict (environment, pick_key, post_id) do update set
            author = excluded.author, odds = excluded.odds, units = excluded.units, seen_at = excluded.seen_at,
            version_ms = excluded.version_ms, version_seq = excluded.version_seq
        where (excluded.version_ms, excluded.version_seq) > (sightings.version_ms, sightings.version_seq)"
    );

    fn key(&self) -> String {
        format!("{} {}", self.post_id, self.pick_key)
    }
}

impl FromRow<'_, PgRow> for PickSighting {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            pick_key: row.try_get("pick_key")?,
            post_id: parsed(row, "post_id")?,
            author: row.try_get("author")?,
            odds: row.try_get("odds")?,
            units: row.try_get("units")?,
            seen_at: time(row, "seen_at")?,
        })
    }
}

/// The table of picks. Written through [`Store::record`] or the hot state.
#[derive(Debug, Clone, Copy)]
pub struct PickTable<'a>(pub(crate) &'a Store);

impl PickTable<'_> {
    /// One pick by its key.
    pub async fn get(&self, key: &str) -> Result<Option<PickRecord>, StoreError> {
        query_as!(
            "select pick_key, pick, source_post, author, first_seen, terms, read_by, planned
             from picks.picks where environment = $1 and pick_key = $2",
            self.0.env().as_str(),
            key
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read a pick"))
    }

    /// The picks of these posts, whether first there or not; at most 1,000.
    pub async fn of_posts(&self, posts: &[PostId]) -> Result<Vec<PickRecord>, StoreError> {
        let ids: Vec<&str> = posts.iter().map(PostId::as_str).collect();
        query_as!(
            "select distinct p.pick_key, p.pick, s.post_id as source_post, p.author, p.first_seen, p.terms, p.read_by, p.planned
             from picks.sightings s
             join picks.picks p on p.environment = s.environment and p.pick_key = s.pick_key
             where s.environment = $1 and s.post_id = any($2)
             limit 1000",
            self.0.env().as_str(),
            &ids
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read the picks of posts"))
    }

    /// The post that has a pick first, and whether the pick is confirmed.
    pub async fn standing(&self, key: &str) -> Result<Option<PickStanding>, StoreError> {
        query_as!(
            "select source_post, planned is not null and confirmed_at is null as unconfirmed
             from picks.picks where environment = $1 and pick_key = $2",
            self.0.env().as_str(),
            key
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("look for a pick"))
    }

    /// The latest picks by when they were first seen, newest first.
    pub async fn latest(&self, limit: u32) -> Result<Vec<PickRecord>, StoreError> {
        readable_rows(
            "read picks",
            query_as!(
                "select pick_key, pick, source_post, author, first_seen, terms, read_by, planned
             from picks.picks where environment = $1 order by first_seen desc limit $2",
                self.0.env().as_str(),
                i64::from(limit)
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Records who confirmed a pick that only the rules had read. True if it was not confirmed before.
    pub async fn confirm(&self, key: &str, by: &str) -> Result<bool, StoreError> {
        let done = query!(
            "update picks.picks set confirmed_by = $3, confirmed_at = now()
             where environment = $1 and pick_key = $2 and planned is not null and confirmed_at is null",
            self.0.env().as_str(),
            key,
            by
        )
        .execute(self.0.pool())
        .await
        .map_err(StoreError::on("confirm a pick"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Every post that has a pick, the first one first.
    pub async fn sightings(&self, key: &str) -> Result<Vec<PickSighting>, StoreError> {
        readable_rows(
            "read sightings",
            query_as!(
                "select pick_key, post_id, author, odds, units, seen_at
             from picks.sightings where environment = $1 and pick_key = $2 order by seen_at limit 1000",
                self.0.env().as_str(),
                key
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// The actions on a pick, oldest first.
    pub async fn actions_of(&self, key: &str) -> Result<Vec<ActionRecord>, StoreError> {
        readable_rows(
            "read actions",
            query_as!(
                "select * from actions_shown
             where environment = $1
               and (subject = $2 or (kind = 'retweet' and source_post =
                    (select p.source_post from picks.picks p where p.environment = $1 and p.pick_key = $2)))
             order by created_at limit 1000",
                self.0.env().as_str(),
                key
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_fits_into_an_index_however_long_the_identity_is() {
        assert_eq!(pick_key("moneyline|nba"), "moneyline|nba");
        let long = "x".repeat(10_000);
        assert_eq!(pick_key(&long).len(), "sha256:".len() + 64);
        assert_ne!(pick_key(&long), pick_key(&"y".repeat(10_000)));
    }
}
