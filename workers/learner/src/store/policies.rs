//! The versions of the policy of each bot. One is active; a version never changes what it is.

use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, json, query, query_as,
    row::{self, time, time_option, undecodable, word},
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row as _, postgres::PgRow, types::Json};
use utoipa::ToSchema;

use super::LearnerTables;
use crate::policy::Policy;

/// The state of a version of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyState {
    /// It waits to be promoted.
    Proposed,
    /// It chooses.
    Active,
    /// It chose before.
    Retired,
}

/// A version of the policy of a bot.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StoredPolicy {
    /// Its number, from 1 on for each bot.
    pub version: i32,
    /// What it is.
    #[schema(value_type = Object)]
    pub policy: Policy,
    /// The hash of what it is.
    pub hash: String,
    /// Its state.
    pub state: PolicyState,
    /// Why it was made.
    pub reason: String,
    /// The figures by which it was promoted, or refused the last time.
    pub figures: Option<serde_json::Value>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
    /// When it was last made active.
    pub activated_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for StoredPolicy {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Json(policy): Json<serde_json::Value> = row.try_get("policy")?;
        Ok(Self {
            version: row.try_get("version")?,
            policy: serde_json::from_value(policy).map_err(|error| undecodable("policy", error))?,
            hash: row.try_get("hash")?,
            state: word(row, "state")?,
            reason: row.try_get("reason")?,
            figures: row.try_get::<Option<Json<serde_json::Value>>, _>("figures")?.map(|Json(figures)| figures),
            created_at: time(row, "created_at")?,
            created_by: row.try_get("created_by")?,
            activated_at: time_option(row, "activated_at")?,
        })
    }
}

impl LearnerTables<'_> {
    /// The version that chooses for a bot. The first one is made active where there is none.
    pub async fn active_policy(&self, bot: &PersonaName, first: &Policy) -> Result<StoredPolicy, StoreError> {
        let doing = "read the policy of a bot";
        for _ in 0..2 {
            let active: Option<StoredPolicy> = query_as!(
                "select * from learner.policies where environment = $1 and bot_id = $2 and state = 'active'",
                self.0.env().as_str(),
                bot.as_str()
            )
            .fetch_optional(self.0.pool())
            .await
            .map_err(StoreError::on(doing))?;
            if let Some(active) = active {
                return Ok(active);
            }
            query!(
                "insert into learner.policies (environment, bot_id, version, policy, hash, state, reason, created_by, activated_at)
                 values ($1, $2, 1, $3::jsonb, $4, 'active', 'the first policy of the bot', 'perch', clock_timestamp())
                 on conflict do nothing",
                self.0.env().as_str(),
                bot.as_str(),
                policy_text(first)?,
                first.hash()
            )
            .execute(self.0.pool())
            .await
            .map_err(StoreError::on(doing))?;
        }
        Err(StoreError::Invalid { what: "the policies of a bot", reason: format!("none of {bot} is active") })
    }

    /// The versions of a bot, the latest first, page by page.
    pub async fn policies(&self, bot: &PersonaName, paging: &Paging) -> Result<Page<StoredPolicy>, StoreError> {
        const LIST: &str = "policies";
        let doing = "list policies";
        let before: Option<i32> = paging.place(LIST)?;
        let rows = query!(
            "select * from learner.policies
             where environment = $1 and bot_id = $2 and ($3::integer is null or version < $3)
             order by version desc limit $4",
            self.0.env().as_str(),
            bot.as_str(),
            before,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<i32, _>("version"))
    }

    /// One version of a bot.
    pub async fn policy(&self, bot: &PersonaName, version: i32) -> Result<Option<StoredPolicy>, StoreError> {
        query_as!(
            "select * from learner.policies where environment = $1 and bot_id = $2 and version = $3",
            self.0.env().as_str(),
            bot.as_str(),
            version
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read a policy"))
    }

    /// Adds a version that waits to be promoted, with a line in the audit log.
    pub async fn propose(
        &self,
        bot: &PersonaName,
        policy: &Policy,
        reason: &str,
        by: &str,
    ) -> Result<StoredPolicy, StoreError> {
        query_as!(
            "with locked as (
                 select pg_advisory_xact_lock(hashtext('perch learner policies'), hashtext($1 || ':' || $2))
             ), written as (
                 insert into learner.policies (environment, bot_id, version, policy, hash, state, reason, created_by)
                 select $1, $2, 1 + coalesce((select max(version) from learner.policies where environment = $1 and bot_id = $2), 0),
                        $3::jsonb, $4, 'proposed', $5, $6
                 from locked
                 returning *
             ), line as (
                 insert into audit_log (environment, actor, action, object, details)
                 select $1, $6, 'learn.propose', $2, jsonb_build_object('version', version, 'policy', policy, 'reason', reason)
                 from written
             )
             select * from written",
            self.0.env().as_str(),
            bot.as_str(),
            policy_text(policy)?,
            policy.hash(),
            reason.replace('\0', ""),
            by
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("add a policy"))
    }

    /// Makes a version the active one, with the figures that speak for it. `action` names it in the audit log.
    pub async fn activate(
        &self,
        bot: &PersonaName,
        version: i32,
        figures: &serde_json::Value,
        (action, by): (&str, &str),
    ) -> Result<bool, StoreError> {
        let doing = "activate a policy";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        query!(
            "select pg_advisory_xact_lock(hashtext('perch learner policies'), hashtext($1 || ':' || $2))",
            self.0.env().as_str(),
            bot.as_str()
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        query!(
            "update learner.policies set state = 'retired'
             where environment = $1 and bot_id = $2 and state = 'active' and version <> $3",
            self.0.env().as_str(),
            bot.as_str(),
            version
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let done = query!(
            "with changed as (
                 update learner.policies set state = 'active', activated_at = clock_timestamp(), figures = $4::jsonb
                 where environment = $1 and bot_id = $2 and version = $3 and state <> 'active'
                 returning version, hash
             )
             insert into audit_log (environment, actor, action, object, details)
             select $1, $6, $5, $2, jsonb_build_object('version', version, 'hash', hash, 'figures', $4::jsonb) from changed",
            self.0.env().as_str(),
            bot.as_str(),
            version,
            figures.to_string(),
            action,
            by
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(true)
    }

    /// Keeps the figures by which a version was not promoted, with a line in the audit log.
    pub async fn refuse(
        &self,
        bot: &PersonaName,
        version: i32,
        figures: &serde_json::Value,
        by: &str,
    ) -> Result<(), StoreError> {
        query!(
            "with changed as (
                 update learner.policies set figures = $4::jsonb
                 where environment = $1 and bot_id = $2 and version = $3
                 returning version
             )
             insert into audit_log (environment, actor, action, object, details)
             select $1, $5, 'learn.refuse', $2, jsonb_build_object('version', version, 'figures', $4::jsonb) from changed",
            self.0.env().as_str(),
            bot.as_str(),
            version,
            figures.to_string(),
            by
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("keep the figures of a policy"))
    }

    /// The version that was active before the one that is.
    pub async fn before_active(&self, bot: &PersonaName) -> Result<Option<StoredPolicy>, StoreError> {
        query_as!(
            "select * from learner.policies
             where environment = $1 and bot_id = $2 and state = 'retired' and activated_at is not null
             order by activated_at desc limit 1",
            self.0.env().as_str(),
            bot.as_str()
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read the policy before"))
    }
}

fn policy_text(policy: &Policy) -> Result<String, StoreError> {
    let text = serde_json::to_string(policy)
        .map_err(|error| StoreError::Invalid { what: "a policy", reason: error.to_string() })?;
    Ok(json::without_nul(&text).into_owned())
}
