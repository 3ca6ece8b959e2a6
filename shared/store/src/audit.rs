use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use serde::Serialize;
use sqlx::{FromRow, Row as _};

use crate::{
    Store, StoreError, json, query, query_as, query_scalar,
    row::{self, Moment},
};

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct AuditEntry {
    /// Grows with every line.
    pub id: i64,
    /// When.
    #[sqlx(try_from = "Moment")]
    pub at: DateTime<Utc>,
    /// Who: a person, an API key, or a part of the system.
    pub actor: String,
    /// What was done, for example `dead.replay`.
    pub action: String,
    /// To what, for example a queue or a job.
    pub object: String,
    /// The particulars.
    pub details: serde_json::Value,
}

/// Which lines of the audit log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only about this object.
    pub object: Option<String>,
    /// Only by this actor.
    pub actor: Option<String>,
}

/// The audit log.
#[derive(Debug, Clone, Copy)]
pub struct Audit<'a>(pub(crate) &'a Store);

impl Store {
    /// The audit log.
    pub fn audit(&self) -> Audit<'_> {
        Audit(self)
    }
}

impl Audit<'_> {
    /// Writes one line and returns its number.
    pub async fn record(
        &self,
        actor: &str,
        action: &str,
        object: &str,
        details: &serde_json::Value,
    ) -> Result<i64, StoreError> {
        let details = details.to_string();
        query_scalar!(
            "insert into audit_log (environment, actor, action, object, details)
             values ($1, $2, $3, $4, $5::jsonb) returning id",
            self.0.env_name(),
            actor,
            action,
            object,
            json::without_nul(&details).as_ref()
        )
        .fetch_one(&self.0.pool)
        .await
        .map_err(StoreError::on("write the audit log"))
    }

    /// Writes one line and returns its number and time. The time is later than `after` and than every line about the same object,
    /// whatever the clocks say. Lines about one object are written one at a time.
    pub(crate) async fn record_after(
        &self,
        actor: &str,
        action: &str,
        object: &str,
        details: &serde_json::Value,
        after: Option<DateTime<Utc>>,
    ) -> Result<(i64, DateTime<Utc>), StoreError> {
        let doing = "write the audit log";
        let mut tx = self.0.pool.begin().await.map_err(StoreError::on(doing))?;
        query!(
            "select pg_advisory_xact_lock(hashtext('perch audit'), hashtext($1 || ':' || $2))",
            self.0.env_name(),
            object
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let (line, Moment(at)) = query_as!(
            "insert into audit_log (environment, actor, action, object, details, at)
             select $1, $2, $3, $4, $5::jsonb,
                    greatest(clock_timestamp(), $6::timestamptz + interval '1 millisecond',
                             (select max(at) from audit_log where environment = $1 and object = $4) + interval '1 millisecond')
             returning id, at",
            self.0.env_name(),
            actor,
            action,
            object,
            json::without_nul(&details.to_string()).as_ref(),
            after
        )
        .fetch_one(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok((line, at))
    }

    /// Lines of the log, newest first, page by page.
    pub async fn list(&self, filter: &AuditFilter, paging: &Paging) -> Result<Page<AuditEntry>, StoreError> {
        const LIST: &str = "audit";
        let doing = "read the audit log";
        let before: Option<i64> = paging.place(LIST)?;
        let rows = query!(
            "select id, at, actor, action, object, details
             from audit_log
             where environment = $1 and ($2::text is null or object = $2) and ($3::text is null or actor = $3)
               and ($4::bigint is null or id < $4)
             order by id desc limit $5",
            self.0.env_name(),
            &filter.object,
            &filter.actor,
            before,
            paging.rows()
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<i64, _>("id"))
    }
}
