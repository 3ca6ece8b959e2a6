//! Reads the log of decisions.

use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use perch_jobs::{JobId, PersonaName};
use perch_store::{
    StoreError, query, query_as,
    row::{self, parsed, readable_rows, time, time_option, unsigned, word},
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow, types::Json};
use utoipa::ToSchema;

use super::LearnerTables;
use crate::learning::thompson::Moments;

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum OutcomeState {
    /// It is to be published.
    Decided,
    /// It is published, or only rendered where nothing is sent.
    Published,
    /// It could not be published.
    Failed,
    /// It could not be published in time.
    Missed,
}

impl OutcomeState {
    /// Its name in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Published => "published",
            Self::Failed => "failed",
            Self::Missed => "missed",
        }
    }
}

/// A decision with its outcome and, once it is frozen, its reward.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LoggedDecision {
    /// Its number.
    pub id: i64,
    /// The bot.
    #[schema(value_type = String)]
    pub bot: PersonaName,
    /// The slot.
    pub slot_at: DateTime<Utc>,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// The version of the policy.
    pub policy: i32,
    /// The arm that was chosen.
    pub arm: String,
    /// The candidate that was chosen.
    pub candidate_id: i64,
    /// Its parts.
    pub parts: Vec<String>,
    /// The probability with which it was chosen.
    pub propensity: f64,
    /// The probability with which the plan of the day had its hour.
    pub slot_propensity: f64,
    /// Everything that was weighed.
    #[schema(value_type = Object)]
    pub decision: serde_json::Value,
    /// The key of the effect.
    pub effect_key: String,
    /// The job that publishes it.
    #[schema(value_type = String)]
    pub job_id: JobId,
    /// What became of it.
    pub state: OutcomeState,
    /// Its id on X; of a thread, that of its first part.
    pub external_id: Option<String>,
    /// Whether it was only rendered.
    pub simulated: bool,
    /// When it was published.
    pub published_at: Option<DateTime<Utc>>,
    /// Why it failed or was missed.
    pub reason: Option<String>,
    /// Its reward, once that is frozen.
    pub reward: Option<f64>,
    /// Follows from it until then, where X says them.
    pub follows: Option<u64>,
}

impl FromRow<'_, PgRow> for LoggedDecision {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            bot: parsed(row, "bot_id")?,
            slot_at: time(row, "slot_at")?,
            decided_at: time(row, "decided_at")?,
            policy: row.try_get("policy")?,
            arm: row.try_get("arm")?,
            candidate_id: row.try_get("candidate_id")?,
            parts: row.try_get("parts")?,
            propensity: row.try_get("propensity")?,
            slot_propensity: row.try_get("slot_propensity")?,
            decision: row.try_get::<Json<serde_json::Value>, _>("decision")?.0,
            effect_key: row.try_get("effect_key")?,
            job_id: parsed(row, "job_id")?,
            state: word(row, "state")?,
            external_id: row.try_get("external_id")?,
            simulated: row.try_get("simulated")?,
            published_at: time_option(row, "published_at")?,
            reason: row.try_get("reason")?,
            reward: row.try_get("reward")?,
            follows: row.try_get::<Option<i64>, _>("follows")?.map(unsigned),
        })
    }
}

/// Which decisions. A field that is not set matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Of this bot.
    pub bot: Option<PersonaName>,
    /// With this outcome.
    pub state: Option<OutcomeState>,
    /// For this arm.
    pub arm: Option<String>,
}

impl LearnerTables<'_> {
    /// Decisions, the latest first, page by page.
    pub async fn decisions(
        &self,
        filter: &DecisionFilter,
        paging: &Paging,
    ) -> Result<Page<LoggedDecision>, StoreError> {
        const LIST: &str = "decisions";
        let doing = "list decisions";
        let before: Option<i64> = paging.place(LIST)?;
        let rows = query!(
            "select d.*, o.state, o.external_id, o.simulated, o.published_at, o.reason, r.reward, r.follows,
                    coalesce(c.parts, '{}') as parts
             from learner.decisions d
             join learner.outcomes o on o.environment = d.environment and o.decision_id = d.id
             left join learner.rewards r on r.environment = d.environment and r.decision_id = d.id
             left join learner.candidates c on c.environment = d.environment and c.id = d.candidate_id
             where d.environment = $1 and ($2::text is null or d.bot_id = $2) and ($3::text is null or o.state = $3)
               and ($4::text is null or d.arm = $4) and ($5::bigint is null or d.id < $5)
             order by d.id desc limit $6",
            self.0.env().as_str(),
            filter.bot.as_ref().map(PersonaName::as_str),
            filter.state.map(OutcomeState::as_str),
            &filter.arm,
            before,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<i64, _>("id"))
    }

    /// The decision with this number, this id on X, or this key of its effect.
    pub async fn decision(&self, named: &str) -> Result<Option<LoggedDecision>, StoreError> {
        query_as!(
            "select d.*, o.state, o.external_id, o.simulated, o.published_at, o.reason, r.reward, r.follows,
                    coalesce(c.parts, '{}') as parts
             from learner.decisions d
             join learner.outcomes o on o.environment = d.environment and o.decision_id = d.id
             left join learner.rewards r on r.environment = d.environment and r.decision_id = d.id
             left join learner.candidates c on c.environment = d.environment and c.id = d.candidate_id
             where d.environment = $1 and (o.external_id = $2 or d.effect_key = $2 or d.id::text = $2)
             order by o.external_id = $2 desc nulls last limit 1",
            self.0.env().as_str(),
            named
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read a decision"))
    }

    /// What each arm of the other bots has earned.
    pub async fn moments_of_others(&self, bot: &PersonaName) -> Result<Vec<Moments>, StoreError> {
        let rows: Vec<(i64, f64, f64)> = query_as!(
            "select count(*) as posts, avg(r.reward) as mean, var_samp(r.reward) * (count(*) - 1) as squares
             from learner.rewards r
             join learner.decisions d on d.environment = r.environment and d.id = r.decision_id
             where r.environment = $1 and d.bot_id <> $2 and r.reward is not null
             group by d.bot_id, d.arm having count(*) >= 2 limit 1000",
            self.0.env().as_str(),
            bot.as_str()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("read what other bots earned"))?;
        let one = |(count, mean, squares): (i64, f64, f64)| Moments {
            count: f64::from(i32::try_from(count).unwrap_or(i32::MAX)),
            mean,
            squares,
        };
        Ok(rows.into_iter().map(one).collect())
    }

    /// The latest decisions of a bot that have a reward, the oldest first, at most `limit`.
    pub async fn rewarded(&self, bot: &PersonaName, limit: u32) -> Result<Vec<LoggedDecision>, StoreError> {
        let mut latest: Vec<LoggedDecision> = readable_rows(
            "read the log of decisions",
            query_as!(
                "select d.*, o.state, o.external_id, o.simulated, o.published_at, o.reason, r.reward, r.follows,
                        coalesce(c.parts, '{}') as parts
                 from learner.decisions d
                 join learner.outcomes o on o.environment = d.environment and o.decision_id = d.id
                 join learner.rewards r on r.environment = d.environment and r.decision_id = d.id and r.reward is not null
                 left join learner.candidates c on c.environment = d.environment and c.id = d.candidate_id
                 where d.environment = $1 and d.bot_id = $2
                 order by d.id desc limit $3",
                self.0.env().as_str(),
                bot.as_str(),
                i64::from(limit)
            )
            .fetch_all(self.0.pool()),
        )
        .await?;
        latest.reverse();
        Ok(latest)
    }
}
