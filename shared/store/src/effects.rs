//! The effect ledger: what makes a thing done to the outside world happen once, though handlers run again.
//!
//! A handler claims the effect before the call and settles it after. The ledger cannot know what the outside service
//! did when an attempt ended in between: then the next attempt asks that service, and says what it learned.

mod decide;
mod model;

use std::time::Duration;

use perch_jobs::JobId;
use sqlx::{FromRow, PgConnection, Row as _};

use self::decide::Decision;
use crate::{Store, StoreError, json, picks::LONGEST_KEY};

pub use self::{
    decide::IN_FLIGHT,
    model::{Claim, EffectIntent, EffectState, Permit, StoredEffect, Takeover, request_digest},
};

/// The effect ledger.
#[derive(Debug, Clone, Copy)]
pub struct Effects<'a>(pub(crate) &'a Store);

impl Effects<'_> {
    /// Claims an effect before acting. Of any number of racing claims one is granted.
    pub async fn claim(&self, intent: &EffectIntent) -> Result<Claim, StoreError> {
        check(intent)?;
        let doing = "claim an effect";
        let fresh: Option<i64> = sqlx::query_scalar(
            "insert into effects (environment, key, kind, account, state, fence, digest, job_id, attempt, holder)
             values ($1, $2, $3, $4, 'intended', 1, $5, $6, $7, $8)
             on conflict (environment, key) do nothing
             returning fence",
        )
        .bind(self.0.env_name())
        .bind(&intent.key)
        .bind(&intent.kind)
        .bind(&intent.account)
        .bind(intent.digest.as_slice())
        .bind(intent.job.to_string())
        .bind(i64::from(intent.attempt))
        .bind(&intent.holder)
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        if let Some(fence) = fresh {
            return Ok(Claim::Granted(Permit { key: intent.key.clone(), fence }));
        }
        let mut tx = self.0.pool.begin().await.map_err(StoreError::on(doing))?;
        let claim = self.claim_existing(&mut tx, intent).await?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(claim)
    }

    async fn claim_existing(&self, conn: &mut PgConnection, intent: &EffectIntent) -> Result<Claim, StoreError> {
        let doing = "claim an effect";
        let row = sqlx::query(
            "select *, (extract(epoch from clock_timestamp() - intended_at) * 1000)::bigint as age_ms
             from effects where environment = $1 and key = $2
             for update",
        )
        .bind(self.0.env_name())
        .bind(&intent.key)
        .fetch_one(&mut *conn)
        .await
        .map_err(StoreError::on(doing))?;
        let effect = Box::new(StoredEffect::from_row(&row).map_err(StoreError::on(doing))?);
        let age_ms: i64 = row.try_get("age_ms").map_err(StoreError::on(doing))?;
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        Ok(match decide::decide(&effect, intent, age) {
            Decision::Grant => Claim::Granted(self.permit(conn, intent, effect.fence).await?),
            Decision::Done => Claim::Done(effect),
            Decision::Ask => {
                let takeover = Takeover { seen_fence: effect.fence, intent: intent.clone() };
                Claim::Unresolved { effect, takeover }
            }
            Decision::Wait(retry_after) => Claim::Busy { effect, retry_after },
            Decision::Stop => Claim::Superseded { effect },
            Decision::Mismatch => Claim::DigestMismatch { effect },
        })
    }

    /// Gives the next permit, if the effect is still at `seen_fence` and has not happened.
    async fn permit(
        &self,
        conn: &mut PgConnection,
        intent: &EffectIntent,
        seen_fence: i64,
    ) -> Result<Permit, StoreError> {
        let fence: Option<i64> = sqlx::query_scalar(
            "update effects
             set state = 'intended', fence = fence + 1, kind = $4, account = $5, digest = $6, job_id = $7,
                 attempt = $8, holder = $9, external_id = null, response = null, error = null,
                 intended_at = clock_timestamp(), settled_at = null
             where environment = $1 and key = $2 and fence = $3 and state <> 'confirmed'
             returning fence",
        )
        .bind(self.0.env_name())
        .bind(&intent.key)
        .bind(seen_fence)
        .bind(&intent.kind)
        .bind(&intent.account)
        .bind(intent.digest.as_slice())
        .bind(intent.job.to_string())
        .bind(i64::from(intent.attempt))
        .bind(&intent.holder)
        .fetch_optional(conn)
        .await
        .map_err(StoreError::on("give a permit"))?;
        fence
            .map(|fence| Permit { key: intent.key.clone(), fence })
            .ok_or_else(|| StoreError::EffectSuperseded { key: intent.key.clone() })
    }

    /// Records that the effect happened. May be repeated when the answer of Postgres was lost.
    pub async fn confirm(
        &self,
        permit: &Permit,
        external_id: Option<&str>,
        response: &serde_json::Value,
    ) -> Result<(), StoreError> {
        self.confirm_at(&permit.key, permit.fence, external_id, response).await.map(|_| ())
    }

    /// Records that the effect did not happen: the outside service refused. The next claim is granted.
    pub async fn fail(&self, permit: &Permit, error: &str) -> Result<(), StoreError> {
        self.settle(permit, EffectState::Failed, error).await
    }

    /// Records that the answer was lost: the effect may have happened. The next claim has to ask.
    pub async fn unknown(&self, permit: &Permit, error: &str) -> Result<(), StoreError> {
        self.settle(permit, EffectState::Unknown, error).await
    }

    async fn settle(&self, permit: &Permit, state: EffectState, error: &str) -> Result<(), StoreError> {
        let word = if state == EffectState::Failed { "failed" } else { "unknown" };
        let done = sqlx::query(
            "update effects set state = $4, error = $5, settled_at = clock_timestamp()
             where environment = $1 and key = $2 and fence = $3 and (state in ('intended', 'unknown') or state = $4)",
        )
        .bind(self.0.env_name())
        .bind(&permit.key)
        .bind(permit.fence)
        .bind(word)
        .bind(error.replace('\0', "\u{fffd}"))
        .execute(&self.0.pool)
        .await
        .map_err(StoreError::on("settle an effect"))?;
        if done.rows_affected() == 0 { Err(StoreError::EffectSuperseded { key: permit.key.clone() }) } else { Ok(()) }
    }

    /// Records that the outside service was asked and the effect had happened.
    pub async fn resolve_confirmed(
        &self,
        takeover: Takeover,
        external_id: Option<&str>,
        response: &serde_json::Value,
    ) -> Result<StoredEffect, StoreError> {
        self.confirm_at(&takeover.intent.key, takeover.seen_fence, external_id, response).await
    }

    /// Records that the outside service was asked and the effect had not happened; gives the permit to act.
    /// Of several attempts that asked, one gets it, the others get [`StoreError::EffectSuperseded`].
    pub async fn resolve_not_done(&self, takeover: Takeover) -> Result<Permit, StoreError> {
        let mut conn = self.0.pool.acquire().await.map_err(StoreError::on("connect"))?;
        self.permit(&mut conn, &takeover.intent, takeover.seen_fence).await
    }

    async fn confirm_at(
        &self,
        key: &str,
        fence: i64,
        external_id: Option<&str>,
        response: &serde_json::Value,
    ) -> Result<StoredEffect, StoreError> {
        let text = response.to_string();
        sqlx::query_as(
            "update effects
             set state = 'confirmed', external_id = $4, response = $5::jsonb, error = null,
                 settled_at = coalesce(case when state = 'confirmed' then settled_at end, clock_timestamp())
             where environment = $1 and key = $2 and fence = $3
               and (state in ('intended', 'unknown') or (state = 'confirmed' and external_id is not distinct from $4))
             returning *",
        )
        .bind(self.0.env_name())
        .bind(key)
        .bind(fence)
        .bind(external_id)
        .bind(json::without_nul(&text).as_ref())
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on("confirm an effect"))?
        .ok_or_else(|| StoreError::EffectSuperseded { key: key.to_owned() })
    }

    /// One effect.
    pub async fn get(&self, key: &str) -> Result<Option<StoredEffect>, StoreError> {
        sqlx::query_as("select * from effects where environment = $1 and key = $2")
            .bind(self.0.env_name())
            .bind(key)
            .fetch_optional(&self.0.pool)
            .await
            .map_err(StoreError::on("read an effect"))
    }

    /// The effects that a job was last permitted to have.
    pub async fn of_job(&self, id: JobId) -> Result<Vec<StoredEffect>, StoreError> {
        sqlx::query_as("select * from effects where environment = $1 and job_id = $2 order by created_at limit 1000")
            .bind(self.0.env_name())
            .bind(id.to_string())
            .fetch_all(&self.0.pool)
            .await
            .map_err(StoreError::on("read the effects of a job"))
    }

    /// Effects that are not settled, oldest first.
    pub async fn unsettled(&self, limit: u32) -> Result<Vec<StoredEffect>, StoreError> {
        sqlx::query_as(
            "select * from effects where environment = $1 and state in ('intended', 'unknown')
             order by intended_at limit $2",
        )
        .bind(self.0.env_name())
        .bind(i64::from(limit))
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on("read unsettled effects"))
    }
}

fn check(intent: &EffectIntent) -> Result<(), StoreError> {
    let refuse = |reason: String| Err(StoreError::Invalid { what: "the effect key", reason });
    if intent.key.is_empty() {
        return refuse("it is empty".into());
    }
    if intent.key.len() > LONGEST_KEY {
        return refuse(format!("it has {} bytes, {LONGEST_KEY} are allowed", intent.key.len()));
    }
    if intent.key.contains('\0') {
        return refuse("it contains the character U+0000".into());
    }
    Ok(())
}
