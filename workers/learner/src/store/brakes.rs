//! What a bot stops itself over.

use chrono::{DateTime, Utc};
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, query, query_as, query_scalar,
    row::{count, unsigned},
};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::LearnerTables;

/// What readers did with the posts of a bot, and what those cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reactions {
    /// Posts that were published.
    pub posts: u64,
    /// Likes, replies, reposts and quotes of them.
    pub engagements: u64,
    /// What models and X were paid for the bot, in USD.
    pub usd: f64,
}

impl FromRow<'_, PgRow> for Reactions {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { posts: count(row, "posts")?, engagements: count(row, "engagements")?, usd: row.try_get("usd")? })
    }
}

/// Replies of others to posts of a bot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replies {
    /// All of them.
    pub all: u64,
    /// Those that the guard would not let pass.
    pub negative: u64,
}

impl LearnerTables<'_> {
    /// How many of the latest decisions of a bot in a row X refused for good, looking at `most` of those made since then. What never came to X,
    /// because the guard or the comparison with other accounts stopped it, counts neither way.
    pub async fn refused_in_a_row(
        &self,
        bot: &PersonaName,
        since: DateTime<Utc>,
        most: u32,
    ) -> Result<u64, StoreError> {
        let refused: i64 = query_scalar!(
            "with latest as (
                 select o.state, row_number() over (order by d.id desc) as place
                 from learner.decisions d
                 join learner.outcomes o on o.environment = d.environment and o.decision_id = d.id
                 where d.environment = $1 and d.bot_id = $2 and d.decided_at >= $3
                   and (o.state = 'published' or o.state = 'failed' and exists (
                            select from effects e
                            where e.environment = d.environment and e.state = 'failed' and e.error not like 'not begun:%'
                              and e.key in (d.effect_key, d.effect_key || ':part:1')
                              and not exists (
                                  select from jobs j
                                  where j.environment = d.environment and j.id = d.job_id and j.attempts > e.attempt)))
                 order by d.id desc limit $4
             )
             select count(*) from latest
             where place < coalesce((select min(place) from latest where state <> 'failed'), 9223372036854775807)",
            self.0.env().as_str(),
            bot.as_str(),
            since,
            i64::from(most)
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("count refusals"))?;
        Ok(unsigned(refused))
    }

    /// What readers did with the posts of a bot that were published since then, and what the bot cost since then.
    pub async fn reactions(&self, bot: &PersonaName, since: DateTime<Utc>) -> Result<Reactions, StoreError> {
        query_as!(
            "select count(*) as posts, coalesce(sum(e.engagements), 0)::bigint as engagements,
                    coalesce((select sum(s.micros) / 1e6 from spend s
                              join personas p on p.environment = s.environment and p.account = s.account and p.name = $2
                              where s.environment = $1 and s.bot = 'learner' and s.at >= $3), 0)::float8 as usd
             from learner.engagement e
             where e.environment = $1 and e.bot_id = $2 and e.posted_at >= $3",
            self.0.env().as_str(),
            bot.as_str(),
            since
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("read reactions"))
    }

    /// Notes a reply to a post of a bot, once.
    pub async fn note_reply(
        &self,
        bot: &PersonaName,
        (reply, post): (&str, &str),
        is_negative: bool,
    ) -> Result<(), StoreError> {
        query!(
            "insert into learner.replies (environment, reply_id, bot_id, post_id, negative) values ($1, $2, $3, $4, $5)
             on conflict do nothing",
            self.0.env().as_str(),
            reply,
            bot.as_str(),
            post,
            is_negative
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note a reply"))
    }

    /// The replies to posts of a bot since then.
    pub async fn replies(&self, bot: &PersonaName, since: DateTime<Utc>) -> Result<Replies, StoreError> {
        let (all, negative): (i64, i64) = query_as!(
            "select count(*) as replies, count(*) filter (where negative) as negative from learner.replies
             where environment = $1 and bot_id = $2 and observed_at >= $3",
            self.0.env().as_str(),
            bot.as_str(),
            since
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("count replies"))?;
        Ok(Replies { all: unsigned(all), negative: unsigned(negative) })
    }
}
