//! The switches that operators set for the bot of an account. They are stored in Postgres alone: polls and replies read Postgres anyway,
//! and a Redis that lost its data must not make a paused bot reply.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_jobs::AccountId;
use perch_store::{
    StoreError, query, query_scalar,
    row::{time_option, unsigned},
};
use serde::Serialize;
use sqlx::{Row as _, postgres::PgRow};

use super::{MentionControl, signed};

/// The switches that operators set for the bot of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MentionSwitches {
    /// Whether reading its mentions is stopped.
    pub stopped: bool,
    /// How often mentions are read, where it was set at run time.
    #[serde(skip)]
    pub interval: Option<Duration>,
    /// Whether replying is paused; mentions wait.
    pub paused: bool,
    /// Who changed a switch last.
    pub by: Option<String>,
    /// When.
    pub at: Option<DateTime<Utc>>,
}

impl MentionControl {
    /// The switches of an account.
    pub async fn switches(&self, account: &AccountId) -> Result<MentionSwitches, StoreError> {
        let doing = "read the switches of mentions";
        let row = query!(
            "select polling, replying, interval_ms, changed_by, changed_at from mentions.switches
             where environment = $1 and account = $2",
            self.store.env().as_str(),
            account.as_str()
        )
        .fetch_optional(self.store.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row.as_ref().map_or(Ok(MentionSwitches::default()), switches).map_err(StoreError::on(doing))
    }

    /// Starts or stops the reading of mentions. False when it was so before.
    pub async fn set_polling(&self, account: &AccountId, runs: bool, by: &str) -> Result<bool, StoreError> {
        query_scalar!(
            "with before as (select polling from mentions.switches where environment = $1 and account = $2)
             insert into mentions.switches (environment, account, polling, changed_by) values ($1, $2, $3, $4)
             on conflict (environment, account) do update
             set polling = excluded.polling, changed_by = excluded.changed_by, changed_at = clock_timestamp()
             returning coalesce((select polling from before), true) <> $3 as changed",
            self.store.env().as_str(),
            account.as_str(),
            runs,
            by
        )
        .fetch_one(self.store.pool())
        .await
        .map_err(StoreError::on("set a switch of mentions"))
    }

    /// Resumes or pauses replying. False when it was so before.
    pub async fn set_replying(&self, account: &AccountId, runs: bool, by: &str) -> Result<bool, StoreError> {
        query_scalar!(
            "with before as (select replying from mentions.switches where environment = $1 and account = $2)
             insert into mentions.switches (environment, account, replying, changed_by) values ($1, $2, $3, $4)
             on conflict (environment, account) do update
             set replying = excluded.replying, changed_by = excluded.changed_by, changed_at = clock_timestamp()
             returning coalesce((select replying from before), true) <> $3 as changed",
            self.store.env().as_str(),
            account.as_str(),
            runs,
            by
        )
        .fetch_one(self.store.pool())
        .await
        .map_err(StoreError::on("set a switch of mentions"))
    }

    /// Sets how often mentions are read; the next poll is that long after the last.
    pub async fn set_interval(&self, account: &AccountId, interval: Duration, by: &str) -> Result<(), StoreError> {
        query!(
            "insert into mentions.switches (environment, account, interval_ms, changed_by) values ($1, $2, $3, $4)
             on conflict (environment, account) do update
             set interval_ms = excluded.interval_ms, changed_by = excluded.changed_by, changed_at = clock_timestamp()",
            self.store.env().as_str(),
            account.as_str(),
            signed(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)),
            by
        )
        .execute(self.store.pool())
        .await
        .map_err(StoreError::on("set a switch of mentions"))?;
        self.next_after(account, interval).await
    }

    /// Resets how often mentions are read to the interval of the configuration, `configured`; the next poll is that long after the last.
    pub async fn reset_interval(&self, account: &AccountId, configured: Duration, by: &str) -> Result<(), StoreError> {
        query!(
            "update mentions.switches set interval_ms = null, changed_by = $3, changed_at = clock_timestamp()
             where environment = $1 and account = $2 and interval_ms is not null",
            self.store.env().as_str(),
            account.as_str(),
            by
        )
        .execute(self.store.pool())
        .await
        .map_err(StoreError::on("set a switch of mentions"))?;
        self.next_after(account, configured).await
    }

    async fn next_after(&self, account: &AccountId, interval: Duration) -> Result<(), StoreError> {
        match self.poll(account).await?.last {
            Some(last) => self.set_next(account, last, last + interval).await,
            None => Ok(()),
        }
    }
}

fn switches(row: &PgRow) -> Result<MentionSwitches, sqlx::Error> {
    let interval: Option<i64> = row.try_get("interval_ms")?;
    Ok(MentionSwitches {
        stopped: !row.try_get::<bool, _>("polling")?,
        interval: interval.map(|millis| Duration::from_millis(unsigned(millis))),
        paused: !row.try_get::<bool, _>("replying")?,
        by: row.try_get("changed_by")?,
        at: time_option(row, "changed_at")?,
    })
}
