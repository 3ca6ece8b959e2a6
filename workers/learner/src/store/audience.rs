//! What X tells the account itself: followers, and what readers did with its posts.

use chrono::{DateTime, NaiveDate, Utc};
use perch_jobs::{AccountId, PersonaName};
use perch_store::{
    StoreError, query, query_as, query_scalar,
    row::{day, readable_rows, unsigned},
};
use serde::Serialize;
use sqlx::{FromRow, Row as _, postgres::PgRow};
use utoipa::ToSchema;

use super::LearnerTables;

/// What X tells the account itself of a post. `None` is what it did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct OwnAnalytics {
    /// Impressions.
    pub impressions: Option<u64>,
    /// Everything that readers did with it.
    pub engagements: Option<u64>,
    /// Follows from it.
    pub follows: Option<u64>,
    /// Links opened.
    pub url_clicks: Option<u64>,
    /// The profile opened.
    pub profile_clicks: Option<u64>,
    /// The post opened.
    pub detail_expands: Option<u64>,
    /// Shares.
    pub shares: Option<u64>,
}

/// The followers of an account on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct FollowerDay {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// Followers.
    pub followers: u64,
}

impl FromRow<'_, PgRow> for FollowerDay {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { day: day(row, "day")?, followers: unsigned(row.try_get("followers")?) })
    }
}

fn signed(count: Option<u64>) -> Option<i64> {
    count.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

impl LearnerTables<'_> {
    /// The posts of a bot, and the parts of its threads, that were published since then; the latest first, at most 100.
    pub async fn published_since(&self, bot: &PersonaName, since: DateTime<Utc>) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = query_as!(
            "select e.external_id
             from learner.decisions d
             join effects e on e.environment = d.environment and e.state = 'confirmed' and e.external_id is not null
                           and (e.key = d.effect_key or e.key = d.effect_key || ':part:1')
             where d.environment = $1 and d.bot_id = $2 and e.settled_at >= $3
             order by e.settled_at desc limit 100",
            self.0.env().as_str(),
            bot.as_str(),
            since
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read published posts"))?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Keeps what X tells of a post now.
    pub async fn keep_analytics(&self, post: &str, at: DateTime<Utc>, of: &OwnAnalytics) -> Result<(), StoreError> {
        query!(
            "insert into learner.post_analytics (environment, post_id, observed_at, impressions, engagements, follows, url_clicks,
                                                 profile_clicks, detail_expands, shares)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             on conflict (environment, post_id, observed_at) do nothing",
            self.0.env().as_str(),
            post,
            at,
            signed(of.impressions),
            signed(of.engagements),
            signed(of.follows),
            signed(of.url_clicks),
            signed(of.profile_clicks),
            signed(of.detail_expands),
            signed(of.shares)
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("keep analytics"))
    }

    /// Whether the followers of an account were read today.
    pub async fn has_followers_of_today(&self, account: &AccountId) -> Result<bool, StoreError> {
        query_scalar!(
            "select exists (select from learner.followers
                            where environment = $1 and account = $2 and day = (clock_timestamp() at time zone 'UTC')::date)",
            self.0.env().as_str(),
            account.as_str()
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("look for followers"))
    }

    /// Keeps the followers of an account today; the last count of a day stays.
    pub async fn keep_followers(&self, account: &AccountId, followers: u64) -> Result<(), StoreError> {
        query!(
            "insert into learner.followers as f (environment, account, day, followers)
             values ($1, $2, (clock_timestamp() at time zone 'UTC')::date, $3)
             on conflict (environment, account, day) do update
             set followers = excluded.followers, observed_at = excluded.observed_at",
            self.0.env().as_str(),
            account.as_str(),
            i64::try_from(followers).unwrap_or(i64::MAX)
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("keep followers"))
    }

    /// The followers of an account, the oldest first, at most the latest 400 days.
    pub async fn followers(&self, account: &AccountId) -> Result<Vec<FollowerDay>, StoreError> {
        let mut days: Vec<FollowerDay> = readable_rows(
            "read followers",
            query_as!(
                "select day, followers from learner.followers where environment = $1 and account = $2 order by day desc limit 400",
                self.0.env().as_str(),
                account.as_str()
            )
            .fetch_all(self.0.pool()),
        )
        .await?;
        days.reverse();
        Ok(days)
    }
}
