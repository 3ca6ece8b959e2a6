//! Figures of a bot: by arm, by day, by week.

use chrono::{DateTime, NaiveDate, Utc};
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, query_as,
    row::{count, day, readable_rows, time},
};
use serde::Serialize;
use sqlx::{FromRow, Row as _, postgres::PgRow};
use utoipa::ToSchema;

use super::LearnerTables;

/// What an arm has earned.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ArmStats {
    /// The arm.
    pub arm: String,
    /// Posts that were published.
    pub posts: u64,
    /// Those whose reward is frozen.
    pub rewarded: u64,
    /// The mean of their rewards.
    pub mean_reward: Option<f64>,
    /// Likes, replies, reposts and quotes.
    pub engagements: u64,
    /// Impressions.
    pub impressions: u64,
}

impl FromRow<'_, PgRow> for ArmStats {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            arm: row.try_get("arm")?,
            posts: count(row, "posts")?,
            rewarded: count(row, "rewarded")?,
            mean_reward: row.try_get("mean_reward")?,
            engagements: count(row, "engagements")?,
            impressions: count(row, "impressions")?,
        })
    }
}

/// A day of a bot, in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DaySummary {
    /// The day.
    pub day: NaiveDate,
    /// Posts.
    pub posts: u64,
    /// Likes, replies, reposts and quotes.
    pub engagements: u64,
    /// Impressions, where X says them.
    pub impressions: Option<i64>,
    /// The mean reward of the posts that have one.
    pub mean_reward: Option<f64>,
    /// What their texts cost, in USD.
    pub cost: Option<f64>,
    /// Followers at the end of the day.
    pub followers: Option<i64>,
    /// Followers more than the day before.
    pub followers_gained: Option<i64>,
}

impl FromRow<'_, PgRow> for DaySummary {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            day: day(row, "day")?,
            posts: count(row, "posts")?,
            engagements: count(row, "engagements")?,
            impressions: row.try_get("impressions")?,
            mean_reward: row.try_get("mean_reward")?,
            cost: row.try_get("cost")?,
            followers: row.try_get("followers")?,
            followers_gained: row.try_get("followers_gained")?,
        })
    }
}

/// A week of a bot: what the policy chose against what it chose only to explore.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CurvePoint {
    /// The Monday of the week, in UTC.
    pub week: NaiveDate,
    /// The mean reward of what the policy chose.
    pub learned: Option<f64>,
    /// How many posts these are.
    pub learned_posts: u64,
    /// The mean reward of what was chosen uniformly.
    pub uniform: Option<f64>,
    /// How many posts these are.
    pub uniform_posts: u64,
}

impl FromRow<'_, PgRow> for CurvePoint {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            week: day(row, "week")?,
            learned: row.try_get("learned")?,
            learned_posts: count(row, "learned_posts")?,
            uniform: row.try_get("uniform")?,
            uniform_posts: count(row, "uniform_posts")?,
        })
    }
}

impl LearnerTables<'_> {
    /// The arms of a bot by their mean reward, the best first.
    pub async fn by_arm(&self, bot: &PersonaName) -> Result<Vec<ArmStats>, StoreError> {
        readable_rows(
            "read the arms of a bot",
            query_as!(
                "select arm, count(*) as posts, count(reward) as rewarded, avg(reward) as mean_reward,
                        sum(engagements)::bigint as engagements, coalesce(sum(impressions), 0)::bigint as impressions
                 from learner.engagement where environment = $1 and bot_id = $2
                 group by arm order by avg(reward) desc nulls last, arm",
                self.0.env().as_str(),
                bot.as_str()
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// The days of a bot, the latest first, at most 90.
    pub async fn days(&self, bot: &PersonaName) -> Result<Vec<DaySummary>, StoreError> {
        readable_rows(
            "read the days of a bot",
            query_as!(
                "select day, posts, engagements, impressions, mean_reward, cost, followers, followers_gained
                 from learner.daily_summaries where environment = $1 and bot_id = $2 order by day desc limit 90",
                self.0.env().as_str(),
                bot.as_str()
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// The learning curve of a bot, the oldest week first.
    pub async fn curve(&self, bot: &PersonaName) -> Result<Vec<CurvePoint>, StoreError> {
        readable_rows(
            "read the learning curve of a bot",
            query_as!(
                "select week, learned, learned_posts, uniform, uniform_posts
                 from learner.learning_curve where environment = $1 and bot_id = $2 order by week",
                self.0.env().as_str(),
                bot.as_str()
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }
}

/// A reading of the metrics of a post.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MetricChange {
    /// The post.
    pub post_id: String,
    /// Its arm.
    pub arm: String,
    /// When it was read.
    pub observed_at: DateTime<Utc>,
    /// Seconds from its publication to the reading.
    pub age: i64,
    /// Likes.
    pub likes: i64,
    /// Replies.
    pub replies: i64,
    /// Reposts.
    pub reposts: i64,
    /// Quotes.
    pub quotes: i64,
    /// Impressions, where X says them.
    pub impressions: Option<i64>,
}

impl FromRow<'_, PgRow> for MetricChange {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            post_id: row.try_get("post_id")?,
            arm: row.try_get("arm")?,
            observed_at: time(row, "observed_at")?,
            age: row.try_get("age")?,
            likes: row.try_get("likes")?,
            replies: row.try_get("replies")?,
            reposts: row.try_get("reposts")?,
            quotes: row.try_get("quotes")?,
            impressions: row.try_get("impressions")?,
        })
    }
}

impl LearnerTables<'_> {
    /// The readings of the posts of a bot after `since`, the oldest first, at most 200.
    pub async fn metric_changes(
        &self,
        bot: &PersonaName,
        since: DateTime<Utc>,
    ) -> Result<Vec<MetricChange>, StoreError> {
        readable_rows(
            "read changes of metrics",
            query_as!(
                "select m.post_id, d.arm, m.observed_at, extract(epoch from m.observed_at - o.published_at)::bigint as age,
                        m.likes, m.replies, m.reposts, m.quotes, m.impressions
                 from post_metrics m
                 join learner.outcomes o on o.environment = m.environment and o.external_id = m.post_id
                 join learner.decisions d on d.environment = o.environment and d.id = o.decision_id
                 where m.environment = $1 and d.bot_id = $2 and m.observed_at > $3 and o.published_at is not null
                 order by m.observed_at limit 200",
                self.0.env().as_str(),
                bot.as_str(),
                since
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }
}
