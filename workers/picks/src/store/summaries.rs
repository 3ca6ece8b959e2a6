use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use perch_store::{
    Store, StoreError, query_as,
    row::{count, day, readable_rows, time, undecodable},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{FromRow, Row as _, postgres::PgRow};

/// The summary of a day in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DailySummary {
    /// The day.
    pub date: NaiveDate,
    /// Posts that X returned to polls.
    pub posts_read: u64,
    /// Of these, handed on to extraction.
    pub posts_taken: u64,
    /// The others, by the reason for skipping them.
    pub posts_left: BTreeMap<String, u64>,
    /// Picks that no post had before.
    pub picks_new: u64,
    /// Further posts with a known pick.
    pub picks_again: u64,
    /// The actions, counted by kind and then by state.
    pub actions: BTreeMap<String, BTreeMap<String, u64>>,
    /// Of these, replies that are not about a pick but to people who addressed a bot.
    pub replies: u64,
    /// Bets settled on that day, by how they ended.
    pub results: BTreeMap<String, u64>,
    /// Units staked on these bets, without the void ones.
    pub staked: f64,
    /// Units that they won, or lost when negative.
    pub units: f64,
    /// Money spent by provider, in millionths of a US dollar.
    pub spend: BTreeMap<String, u64>,
    /// When this was made.
    pub made_at: DateTime<Utc>,
}

impl DailySummary {
    /// Whether it was made after the end of the day, so that it is complete.
    pub fn is_whole(&self) -> bool {
        self.made_at.date_naive() > self.date
    }
}

impl FromRow<'_, PgRow> for DailySummary {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            date: day(row, "date")?,
            posts_read: count(row, "posts_read")?,
            posts_taken: count(row, "posts_taken")?,
            posts_left: json(row, "posts_left")?,
            picks_new: count(row, "picks_new")?,
            picks_again: count(row, "picks_again")?,
            actions: json(row, "actions")?,
            replies: count(row, "replies")?,
            results: json(row, "results")?,
            staked: row.try_get("staked")?,
            units: row.try_get("units")?,
            spend: json(row, "spend")?,
            made_at: time(row, "made_at")?,
        })
    }
}

fn json<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    let value: serde_json::Value = row.try_get(column)?;
    serde_json::from_value(value).map_err(|error| undecodable(column, error))
}

/// The table of daily summaries.
#[derive(Debug, Clone, Copy)]
pub struct Summaries<'a>(pub(crate) &'a Store);

impl Summaries<'_> {
    /// Summarises a day and stores the summary. Doing it again replaces the stored one.
    pub async fn make(&self, date: NaiveDate) -> Result<DailySummary, StoreError> {
        query_as!(
            "with day as (
                 select $2::date::timestamp at time zone 'UTC' as begins,
                        ($2::date + 1)::timestamp at time zone 'UTC' as ends
             ), polls as (
                 select result from jobs, day
                 where environment = $1 and kind = 'poll_account' and state = 'done'
                   and finished_at >= day.begins and finished_at < day.ends
             ), left_out as (
                 select reason, sum(posts::bigint)::bigint as posts
                 from polls, jsonb_each_text(coalesce(result -> 'skipped', '{}')) as s(reason, posts)
                 group by reason
             ), done as (
                 select kind, state, subject from actions, day
                 where environment = $1 and created_at >= day.begins and created_at < day.ends
             ), done_by_kind as (
                 select kind, jsonb_object_agg(state, n) as states
                 from (select kind, state, count(*) as n from done group by kind, state) counted
                 group by kind
             ), bets as (
                 select b.grade, b.stake, b.units
                 from picks.results r
                 join picks.settled_bets b on b.environment = r.environment and b.pick_key = r.pick_key, day
                 where r.environment = $1 and r.settled_at >= day.begins and r.settled_at < day.ends
             ), paid as (
                 select provider, sum(micros)::bigint as micros from spend, day
                 where environment = $1 and at >= day.begins and at < day.ends
                 group by provider
             ), seen as (
                 select (select count(*) from picks.picks, day
                         where environment = $1 and first_seen >= day.begins and first_seen < day.ends) as first,
                        (select count(*) from picks.sightings, day
                         where environment = $1 and seen_at >= day.begins and seen_at < day.ends) as all_of_them
             )
             insert into picks.daily_summaries (environment, date, posts_read, posts_taken, posts_left, picks_new, picks_again,
                                          actions, replies, results, staked, units, spend, made_at)
             select $1, $2,
                    (select coalesce(sum((result ->> 'read')::bigint), 0)::bigint from polls),
                    (select coalesce(sum((result ->> 'taken')::bigint), 0)::bigint from polls),
                    (select coalesce(jsonb_object_agg(reason, posts), '{}') from left_out),
                    seen.first, greatest(seen.all_of_them - seen.first, 0),
                    (select coalesce(jsonb_object_agg(kind, states), '{}') from done_by_kind),
                    (select count(*) from done
                     where kind = 'comment' and subject is null and state in ('published', 'simulated')),
                    (select coalesce(jsonb_object_agg(grade, n), '{}')
                     from (select grade, count(*) as n from bets group by grade) counted),
                    (select coalesce(sum(stake) filter (where grade <> 'void'), 0) from bets),
                    (select coalesce(sum(units), 0) from bets),
                    (select coalesce(jsonb_object_agg(provider, micros), '{}') from paid),
                    clock_timestamp()
             from seen
             on conflict (environment, date) do update set
                 posts_read = excluded.posts_read, posts_taken = excluded.posts_taken, posts_left = excluded.posts_left,
                 picks_new = excluded.picks_new, picks_again = excluded.picks_again, actions = excluded.actions,
                 replies = excluded.replies, results = excluded.results, staked = excluded.staked, units = excluded.units,
                 spend = excluded.spend, made_at = excluded.made_at
             returning *",
            self.0.env().as_str(),
            date
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("add up a day"))
    }

    /// The stored summary of a day.
    pub async fn get(&self, date: NaiveDate) -> Result<Option<DailySummary>, StoreError> {
        query_as!(
            "select * from picks.daily_summaries where environment = $1 and date = $2",
            self.0.env().as_str(),
            date
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read a day"))
    }

    /// The latest stored summaries, the last day first.
    pub async fn latest(&self, limit: u32) -> Result<Vec<DailySummary>, StoreError> {
        readable_rows(
            "read days",
            query_as!(
                "select * from picks.daily_summaries where environment = $1 order by date desc limit $2",
                self.0.env().as_str(),
                i64::from(limit)
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }
}
