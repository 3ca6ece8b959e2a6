//! Rebuilding effects that Postgres has lost, from the records of acts, which the sync writes again from Redis.

use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use serde_json::json;
use sqlx::{FromRow, Row as _, postgres::PgRow};

use super::{EffectEventKind, Effects, StoredEffect};
use crate::{ActionRecord, StoreError, query, query_as, row::readable_rows};

/// An effect that is known, from another source than the ledger, to have happened.
#[derive(Debug, Clone)]
pub struct KnownEffect {
    /// Its key.
    pub key: String,
    /// Its kind in the ledger.
    pub kind: &'static str,
    /// The account that acted.
    pub account: String,
    /// The [`request_digest`](crate::request_digest) of the request to the outside service.
    pub digest: [u8; 32],
    /// The job.
    pub job: JobId,
    /// The id that the outside service gave it.
    pub external_id: Option<String>,
    /// When it was confirmed.
    pub at: DateTime<Utc>,
}

/// An effect that happened and has no record as an act.
#[derive(Debug)]
pub struct UnrecordedEffect {
    /// The effect.
    pub effect: StoredEffect,
    /// The kind of its job.
    pub job_kind: String,
    /// The payload of its job, as JSON.
    pub payload: String,
}

impl FromRow<'_, PgRow> for UnrecordedEffect {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (job_kind, payload) = (row.try_get("job_kind")?, row.try_get("payload")?);
        Ok(Self { effect: StoredEffect::from_row(row)?, job_kind, payload })
    }
}

/// Rows read by one statement.
const AT_ONCE: i64 = 1_000;

impl Effects<'_> {
    /// Acts of the last day that are recorded as published but not confirmed in the ledger, oldest first; at most 1,000.
    pub async fn lost(&self) -> Result<Vec<ActionRecord>, StoreError> {
        let doing = "look for effects that are lost";
        readable_rows(
            doing,
            query_as!(
                "select a.* from actions a left join effects e on e.environment = a.environment and e.key = a.key
             where a.environment = $1 and a.state = 'published' and a.created_at > clock_timestamp() - interval '1 day'
               and e.state is distinct from 'confirmed' and a.job_id is not null
             order by a.created_at limit $2",
                self.0.env_name(),
                AT_ONCE
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }

    /// Effects of the last day that happened in the outside world, have no record as an act, and whose job has ended, so that no
    /// attempt will still record them. Oldest first; at most 1,000.
    pub async fn unrecorded(&self) -> Result<Vec<UnrecordedEffect>, StoreError> {
        let doing = "look for effects without a record";
        readable_rows(
            doing,
            query_as!(
                "select e.*, j.kind as job_kind, j.payload::text as payload
             from effects e
             join jobs j on j.environment = e.environment and j.id = e.job_id
             left join actions a on a.environment = e.environment and a.key = e.key
             where e.environment = $1 and e.state = 'confirmed' and coalesce(e.live, true)
               and e.settled_at > clock_timestamp() - interval '1 day'
               and j.state in ('done', 'dead', 'cancelled', 'discarded') and j.payload is not null
               and a.state is distinct from 'published'
             order by e.settled_at limit $2",
                self.0.env_name(),
                AT_ONCE
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }

    /// Confirms effects that happened but are missing or unconfirmed in the ledger, and voids their permits. Effects that are
    /// confirmed already do not change. Returns how many were written.
    pub async fn rebuild(&self, happened: &[KnownEffect]) -> Result<u64, StoreError> {
        if happened.is_empty() {
            return Ok(0);
        }
        let column = |of: fn(&KnownEffect) -> String| happened.iter().map(of).collect::<Vec<_>>();
        let details = json!({ "because": "it is on record as published; Postgres had lost what it was told of it" });
        query!(
            "with given as (
                 select * from unnest($2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::timestamptz[])
                     as g(key, kind, account, digest, job_id, external_id, at)
             ), rebuilt as (
                 insert into effects (environment, key, kind, account, state, fence, digest, job_id, attempt, holder, live,
                                      external_id, response, created_at, intended_at, settled_at)
                 select $1, key, kind, account, 'confirmed', 1, digest, job_id, 1, '', true, external_id, '{}', at, at,
                        clock_timestamp()
                 from given
                 on conflict (environment, key) do update
                     set state = 'confirmed', fence = effects.fence + 1, external_id = excluded.external_id,
                         response = excluded.response, error = null, settled_at = excluded.settled_at
                     where effects.state <> 'confirmed'
                 returning key, fence, job_id
             )
             insert into effect_history (environment, key, event, fence, job_id, details)
             select $1, key, $9, fence, job_id, $10::jsonb from rebuilt",
            self.0.env_name(),
            column(|effect| effect.key.clone()),
            column(|effect| effect.kind.to_owned()),
            column(|effect| effect.account.clone()),
            happened.iter().map(|effect| effect.digest.to_vec()).collect::<Vec<_>>(),
            column(|effect| effect.job.to_string()),
            happened.iter().map(|effect| effect.external_id.clone()).collect::<Vec<_>>(),
            happened.iter().map(|effect| effect.at).collect::<Vec<_>>(),
            EffectEventKind::Confirmed.as_str(),
            details.to_string()
        )
        .execute(&self.0.pool)
        .await
        .map(|done| done.rows_affected())
        .map_err(StoreError::on("make effects good"))
    }
}
