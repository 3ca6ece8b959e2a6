//! The learning posters. Each change and its line in the audit log are written in one transaction.

use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, json, query, query_as, query_scalar,
    row::{self, count, parsed, readable_rows, time, undecodable},
};
use serde::Serialize;
use sqlx::{FromRow, Row as _, postgres::PgRow, types::Json};
use utoipa::ToSchema;

use super::LearnerTables;
use crate::spec::LearnerSpec;

/// A learning poster with its history.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LearnerBot {
    /// The persona that it posts as.
    #[schema(value_type = String)]
    pub bot: PersonaName,
    /// Whether it posts. It also needs a persona that does.
    pub enabled: bool,
    /// How it learns.
    #[serde(flatten)]
    pub spec: LearnerSpec,
    /// Goes up with each change.
    pub version: u64,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Who changed it last.
    pub updated_by: String,
}

impl FromRow<'_, PgRow> for LearnerBot {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let Json(spec): Json<serde_json::Value> = row.try_get("config")?;
        Ok(Self {
            bot: parsed(row, "bot_id")?,
            enabled: row.try_get("enabled")?,
            spec: serde_json::from_value(spec).map_err(|error| undecodable("config", error))?,
            version: count(row, "version")?,
            created_at: time(row, "created_at")?,
            updated_at: time(row, "updated_at")?,
            updated_by: row.try_get("updated_by")?,
        })
    }
}

/// Which learning posters. A field that is not set matches all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BotFilter {
    /// Only those that post, or only those that do not.
    pub enabled: Option<bool>,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum BotChange {
    /// It is there now, and was not before.
    Added(LearnerBot),
    /// It is changed.
    Changed(LearnerBot),
    /// It was so before.
    Unchanged(LearnerBot),
    /// It has another version than the caller has seen; this is how it stands.
    Conflict(LearnerBot),
    /// There is none.
    Unknown,
}

impl LearnerTables<'_> {
    /// One learning poster.
    pub async fn bot(&self, bot: &PersonaName) -> Result<Option<LearnerBot>, StoreError> {
        query_as!(
            "select * from learner.bot_config where environment = $1 and bot_id = $2",
            self.0.env().as_str(),
            bot.as_str()
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read a learning poster"))
    }

    /// All that post, by name. One that cannot be read is left out, and counted.
    pub async fn enabled(&self) -> Result<Vec<LearnerBot>, StoreError> {
        readable_rows(
            "read the learning posters",
            query_as!(
                "select * from learner.bot_config where environment = $1 and enabled order by bot_id",
                self.0.env().as_str()
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Learning posters by name, page by page.
    pub async fn bots(&self, filter: BotFilter, paging: &Paging) -> Result<Page<LearnerBot>, StoreError> {
        const LIST: &str = "learners";
        let doing = "list learning posters";
        let after: Option<String> = paging.place(LIST)?;
        let rows = query!(
            "select * from learner.bot_config
             where environment = $1 and ($2::boolean is null or enabled = $2) and ($3::text is null or bot_id > $3)
             order by bot_id limit $4",
            self.0.env().as_str(),
            filter.enabled,
            after,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<String, _>("bot_id"))
    }

    /// Adds a learning poster, or replaces what it is. `seen` is the version that the caller has read: with another one nothing is changed,
    /// and with 0 there must be none yet. The caller has checked `spec`.
    pub async fn put_bot(
        &self,
        bot: &PersonaName,
        spec: &LearnerSpec,
        seen: Option<u64>,
        by: &str,
    ) -> Result<BotChange, StoreError> {
        let text = serde_json::to_string(spec)
            .map_err(|error| StoreError::Invalid { what: "a learning poster", reason: error.to_string() })?;
        let written: Option<LearnerBot> = query_as!(
            "with before as (select config from learner.bot_config where environment = $1 and bot_id = $2),
             written as (
                 insert into learner.bot_config as b (environment, bot_id, config, updated_by)
                 select $1, $2, $3::jsonb, $4
                 where coalesce($5::bigint, 0) = 0 or exists (select from before)
                 on conflict (environment, bot_id) do update
                 set config = excluded.config, version = b.version + 1, updated_at = clock_timestamp(),
                     updated_by = excluded.updated_by
                 where ($5::bigint is null or b.version = $5) and b.config is distinct from excluded.config
                 returning *
             ), line as (
                 insert into audit_log (environment, actor, action, object, details)
                 select $1, $4, case when version = 1 then 'learn.add' else 'learn.edit' end, $2,
                        jsonb_build_object('version', version, 'before', (select config from before), 'after', config)
                 from written
             )
             select * from written",
            self.0.env().as_str(),
            bot.as_str(),
            json::without_nul(&text).as_ref(),
            by,
            seen.map(|version| i64::try_from(version).unwrap_or(i64::MAX))
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("write a learning poster"))?;
        if let Some(bot) = written {
            return Ok(if bot.version == 1 { BotChange::Added(bot) } else { BotChange::Changed(bot) });
        }
        Ok(match self.bot(bot).await? {
            None => BotChange::Unknown,
            Some(bot) if seen.is_some_and(|seen| seen != bot.version) => BotChange::Conflict(bot),
            Some(bot) => BotChange::Unchanged(bot),
        })
    }

    /// Has a learning poster post, or not. `why` is kept in the audit log.
    pub async fn set_enabled(
        &self,
        bot: &PersonaName,
        enabled: bool,
        why: Option<&str>,
        by: &str,
    ) -> Result<BotChange, StoreError> {
        let changed: Option<LearnerBot> = query_as!(
            "with changed as (
                 update learner.bot_config
                 set enabled = $3, version = version + 1, updated_at = clock_timestamp(), updated_by = $4
                 where environment = $1 and bot_id = $2 and enabled <> $3
                 returning *
             ), line as (
                 insert into audit_log (environment, actor, action, object, details)
                 select $1, $4, case when $3 then 'learn.resume' else 'learn.pause' end, $2,
                        jsonb_strip_nulls(jsonb_build_object('version', version, 'why', $5::text))
                 from changed
             )
             select * from changed",
            self.0.env().as_str(),
            bot.as_str(),
            enabled,
            by,
            why
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("switch a learning poster"))?;
        Ok(match changed {
            Some(bot) => BotChange::Changed(bot),
            None => self.bot(bot).await?.map_or(BotChange::Unknown, BotChange::Unchanged),
        })
    }

    /// Removes a learning poster; its log of decisions and its rewards stay. False when there was none.
    pub async fn remove_bot(&self, bot: &PersonaName, by: &str) -> Result<bool, StoreError> {
        query_scalar!(
            "with gone as (
                 delete from learner.bot_config where environment = $1 and bot_id = $2 returning config, version
             ), line as (
                 insert into audit_log (environment, actor, action, object, details)
                 select $1, $3, 'learn.remove', $2, jsonb_build_object('version', version, 'before', config) from gone
             )
             select exists (select from gone)",
            self.0.env().as_str(),
            bot.as_str(),
            by
        )
        .fetch_one(self.0.pool())
        .await
        .map_err(StoreError::on("remove a learning poster"))
    }
}
