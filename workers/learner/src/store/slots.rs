//! The plan of each day, and its slots.

use chrono::{DateTime, NaiveDate, Utc};
use perch_base::{Page, Paging};
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, query, query_as,
    row::{self, readable_rows, time, word},
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow};
use utoipa::ToSchema;

use super::LearnerTables;

/// The state of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// Its time comes, or there is no candidate for it yet.
    Planned,
    /// A candidate is chosen, which is to be published.
    Decided,
    /// Its post is published.
    Published,
    /// Its post could not be published.
    Failed,
    /// Its time passed without a post.
    Missed,
}

/// A slot of a learning poster.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LearnerSlot {
    /// When.
    pub slot_at: DateTime<Utc>,
    /// Its state.
    pub state: SlotState,
    /// The probability with which the plan of its day had this hour.
    pub propensity: f64,
    /// Why it was missed or failed.
    pub reason: Option<String>,
}

impl FromRow<'_, PgRow> for LearnerSlot {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            slot_at: time(row, "slot_at")?,
            state: word(row, "state")?,
            propensity: row.try_get("propensity")?,
            reason: row.try_get("reason")?,
        })
    }
}

impl LearnerTables<'_> {
    /// Whether a day of a bot is planned.
    pub async fn is_planned(&self, bot: &PersonaName, day: NaiveDate) -> Result<bool, StoreError> {
        let found = query!(
            "select 1 as found from learner.plans where environment = $1 and bot_id = $2 and day = $3",
            self.0.env().as_str(),
            bot.as_str(),
            day
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("look for a plan"))?;
        Ok(found.is_some())
    }

    /// Keeps the plan of a day with its slots, unless the day is planned already. Answers whether it was kept.
    pub async fn plan(
        &self,
        bot: &PersonaName,
        day: NaiveDate,
        policy: i32,
        plan: &serde_json::Value,
        slots: &[(DateTime<Utc>, f64)],
    ) -> Result<bool, StoreError> {
        let (at, propensities): (Vec<DateTime<Utc>>, Vec<f64>) = slots.iter().copied().unzip();
        let done = query!(
            "with planned as (
                 insert into learner.plans (environment, bot_id, day, policy, plan) values ($1, $2, $3, $4, $5::jsonb)
                 on conflict do nothing returning day
             )
             insert into learner.slots (environment, bot_id, slot_at, day, propensity, state)
             select $1, $2, u.slot_at, planned.day, u.propensity, 'planned'
             from planned, unnest($6::timestamptz[], $7::float8[]) as u(slot_at, propensity)
             on conflict do nothing",
            self.0.env().as_str(),
            bot.as_str(),
            day,
            policy,
            plan.to_string(),
            at,
            propensities
        )
        .execute(self.0.pool())
        .await
        .map_err(StoreError::on("keep a plan"))?;
        Ok(done.rows_affected() > 0)
    }

    /// The slots of a bot up to `until` that are planned and not decided, the oldest first.
    pub async fn planned(&self, bot: &PersonaName, until: DateTime<Utc>) -> Result<Vec<LearnerSlot>, StoreError> {
        readable_rows(
            "look for slots",
            query_as!(
                "select slot_at, state, propensity, reason from learner.slots
                 where environment = $1 and bot_id = $2 and state = 'planned' and slot_at <= $3
                 order by slot_at limit 200",
                self.0.env().as_str(),
                bot.as_str(),
                until
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Gives slots up that were not decided in time. Answers how many.
    pub async fn miss(&self, bot: &PersonaName, before: DateTime<Utc>, reason: &str) -> Result<u64, StoreError> {
        query!(
            "update learner.slots set state = 'missed', reason = $4, settled_at = clock_timestamp()
             where environment = $1 and bot_id = $2 and state = 'planned' and slot_at < $3",
            self.0.env().as_str(),
            bot.as_str(),
            before,
            reason
        )
        .execute(self.0.pool())
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::on("give slots up"))
    }

    /// The slots of a bot, the latest first, page by page.
    pub async fn slots(&self, bot: &PersonaName, paging: &Paging) -> Result<Page<LearnerSlot>, StoreError> {
        const LIST: &str = "learner-slots";
        let doing = "list slots";
        let before: Option<i64> = paging.place(LIST)?;
        let rows = query!(
            "select slot_at, state, propensity, reason, extract(epoch from slot_at)::bigint as second from learner.slots
             where environment = $1 and bot_id = $2 and ($3::bigint is null or slot_at < to_timestamp($3))
             order by slot_at desc limit $4",
            self.0.env().as_str(),
            bot.as_str(),
            before,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<i64, _>("second"))
    }
}
