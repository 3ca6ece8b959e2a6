//! Rewards: one a post, frozen once.

use chrono::{DateTime, Utc};
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, json, query, query_as,
    row::{parsed, readable_rows, time},
};
use serde::Serialize;
use sqlx::{FromRow, Row as _, postgres::PgRow};
use utoipa::ToSchema;

use super::LearnerTables;

/// A published post without a reward.
#[derive(Debug, Clone, PartialEq)]
pub struct Unrewarded {
    /// The decision.
    pub decision: i64,
    /// The bot.
    pub bot: PersonaName,
    /// Its id on X.
    pub post_id: String,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// The first measurement at the age asked for, or later.
    pub measured: Option<Measured>,
}

/// A measurement of a post.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// When.
    pub at: DateTime<Utc>,
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
    /// Follows from it, as the account itself is told.
    pub follows: Option<i64>,
    /// Links opened.
    pub url_clicks: Option<i64>,
    /// The post opened.
    pub detail_expands: Option<i64>,
}

impl FromRow<'_, PgRow> for Unrewarded {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let measured = |at| -> Result<Measured, sqlx::Error> {
            Ok(Measured {
                at,
                likes: row.try_get("likes")?,
                replies: row.try_get("replies")?,
                reposts: row.try_get("reposts")?,
                quotes: row.try_get("quotes")?,
                impressions: row.try_get("impressions")?,
                follows: row.try_get("follows")?,
                url_clicks: row.try_get("url_clicks")?,
                detail_expands: row.try_get("detail_expands")?,
            })
        };
        Ok(Self {
            decision: row.try_get("decision_id")?,
            bot: parsed(row, "bot_id")?,
            post_id: row.try_get("external_id")?,
            published_at: time(row, "published_at")?,
            measured: perch_store::row::time_option(row, "observed_at")?.map(measured).transpose()?,
        })
    }
}

/// A reward to be frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenReward {
    /// The decision.
    pub decision: i64,
    /// The post.
    pub post_id: String,
    /// The version of the weights.
    pub version: String,
    /// The figures; why there are none, otherwise.
    pub figures: Result<RewardRow, String>,
}

/// The figures of a reward.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RewardRow {
    /// Seconds from its publication to its measurement.
    pub age: i64,
    /// What readers did.
    #[schema(value_type = Object)]
    pub counts: serde_json::Value,
    /// Impressions.
    pub impressions: i64,
    /// The logarithmic odds of its engagement.
    pub log_odds: f64,
    /// What the account expected of the hour, on the same scale.
    pub expected: f64,
    /// Follows from it, where X says them.
    pub follows: Option<i64>,
}

impl RewardRow {
    /// The reward.
    pub fn reward(&self) -> f64 {
        self.log_odds - self.expected
    }
}

impl LearnerTables<'_> {
    /// Published posts of all bots that are older than `age` seconds and have no reward, the oldest first, at most 200; each with its first
    /// measurement of at least that age.
    pub async fn unrewarded(&self, age: i64) -> Result<Vec<Unrewarded>, StoreError> {
        readable_rows(
            "look for posts without a reward",
            query_as!(
                "select o.decision_id, d.bot_id, o.external_id, o.published_at, m.observed_at, m.likes, m.replies, m.reposts, m.quotes,
                        coalesce(m.impressions, a.impressions) as impressions, a.follows, a.url_clicks, a.detail_expands
                 from learner.outcomes o
                 join learner.decisions d on d.environment = o.environment and d.id = o.decision_id
                 left join lateral (
                     select * from post_metrics m
                     where m.environment = o.environment and m.post_id = o.external_id
                       and m.observed_at >= o.published_at + $2::bigint * interval '1 second'
                     order by m.observed_at limit 1
                 ) m on true
                 left join lateral (
                     select * from learner.post_analytics a
                     where a.environment = o.environment and a.post_id = o.external_id
                     order by abs(extract(epoch from a.observed_at - m.observed_at)) limit 1
                 ) a on true
                 where o.environment = $1 and o.state = 'published' and o.external_id is not null
                   and o.published_at <= clock_timestamp() - $2::bigint * interval '1 second'
                   and not exists (select from learner.rewards r where r.environment = o.environment and r.decision_id = o.decision_id)
                 order by o.published_at limit 200",
                self.0.env().as_str(),
                age
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Freezes a reward, unless the post or the decision has one. Answers whether it was new.
    pub async fn freeze(&self, reward: &FrozenReward) -> Result<bool, StoreError> {
        let figures = reward.figures.as_ref().ok();
        let done = query!(
            "insert into learner.rewards (environment, decision_id, post_id, version, age, counts, impressions, log_odds, expected,
                                          reward, follows, reason)
             values ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9, $10, $11, $12)
             on conflict do nothing",
            self.0.env().as_str(),
            reward.decision,
            &reward.post_id,
            &reward.version,
            figures.map(|row| row.age),
            figures.map(|row| json::without_nul(&row.counts.to_string()).into_owned()),
            figures.map(|row| row.impressions),
            figures.map(|row| row.log_odds),
            figures.map(|row| row.expected),
            figures.map(RewardRow::reward),
            figures.and_then(|row| row.follows),
            reward.figures.as_ref().err()
        )
        .execute(self.0.pool())
        .await
        .map_err(StoreError::on("freeze a reward"))?;
        Ok(done.rows_affected() > 0)
    }

    /// The hours and logarithmic odds of the rewarded posts of a bot, the oldest first, at most the latest 3,000.
    pub async fn history(&self, bot: &PersonaName) -> Result<Vec<(DateTime<Utc>, f64)>, StoreError> {
        let doing = "read the history of a bot";
        let rows = query!(
            "select * from (
                 select d.id, o.published_at, r.log_odds
                 from learner.rewards r
                 join learner.decisions d on d.environment = r.environment and d.id = r.decision_id
                 join learner.outcomes o on o.environment = r.environment and o.decision_id = r.decision_id
                 where r.environment = $1 and d.bot_id = $2 and r.log_odds is not null and o.published_at is not null
                 order by d.id desc limit 3000
             ) as latest order by id",
            self.0.env().as_str(),
            bot.as_str()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        let one = |row: &PgRow| Ok((time(row, "published_at")?, row.try_get("log_odds")?));
        rows.iter().map(one).collect::<Result<_, sqlx::Error>>().map_err(StoreError::on(doing))
    }
}
