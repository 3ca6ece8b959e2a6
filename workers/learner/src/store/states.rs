//! What the health of bots is told by, of all of them in one query.

use chrono::{DateTime, Utc};
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, query_as,
    row::{count, readable_rows, time_option},
};
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::{LearnerBot, LearnerTables, slots::LearnerSlot};

/// A bot with what its health is told by.
#[derive(Debug, Clone, PartialEq)]
pub struct BotState {
    /// The bot.
    pub bot: LearnerBot,
    /// Its latest slot that is over.
    pub last: Option<LearnerSlot>,
    /// Its next slot, or one that is overdue.
    pub next: Option<DateTime<Utc>>,
    /// Candidates that can be chosen.
    pub candidates: u64,
    /// Rewards that it has.
    pub rewards: u64,
    /// Its policy: version and kind.
    pub policy: Option<String>,
}

impl FromRow<'_, PgRow> for BotState {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let has_slot = time_option(row, "slot_at")?.is_some();
        Ok(Self {
            bot: LearnerBot::from_row(row)?,
            last: has_slot.then(|| LearnerSlot::from_row(row)).transpose()?,
            next: time_option(row, "next_slot_at")?,
            candidates: count(row, "candidates")?,
            rewards: count(row, "rewards")?,
            policy: row.try_get("active_policy")?,
        })
    }
}

impl LearnerTables<'_> {
    /// The state of every learning poster, or of the one that is named.
    pub async fn states(&self, named: Option<&PersonaName>) -> Result<Vec<BotState>, StoreError> {
        readable_rows(
            "read the states of learning posters",
            query_as!(
                "select b.*, s.slot_at, s.state, s.propensity, s.reason, n.next_slot_at, coalesce(c.candidates, 0) as candidates,
                        coalesce(r.rewards, 0) as rewards, 'version ' || p.version || ', ' || (p.policy ->> 'kind') as active_policy
                 from learner.bot_config b
                 left join learner.policies p on p.environment = b.environment and p.bot_id = b.bot_id and p.state = 'active'
                 left join lateral (
                     select q.slot_at, q.state, q.propensity, q.reason from learner.slots q
                     where q.environment = b.environment and q.bot_id = b.bot_id and q.state in ('published', 'failed', 'missed')
                     order by q.slot_at desc limit 1
                 ) s on true
                 left join lateral (
                     select min(q.slot_at) as next_slot_at from learner.slots q
                     where q.environment = b.environment and q.bot_id = b.bot_id and q.state = 'planned'
                 ) n on true
                 left join lateral (
                     select count(*) as candidates from learner.candidates q
                     where q.environment = b.environment and q.bot_id = b.bot_id and q.state = 'ready'
                 ) c on true
                 left join lateral (
                     select count(*) as rewards from learner.rewards q
                     join learner.decisions d on d.environment = q.environment and d.id = q.decision_id
                     where q.environment = b.environment and d.bot_id = b.bot_id and q.reward is not null
                 ) r on true
                 where b.environment = $1 and ($2::text is null or b.bot_id = $2)
                 order by b.bot_id",
                self.0.env().as_str(),
                named.map(PersonaName::as_str)
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }
}
