//! The effect ledger: what makes a thing done to the outside world happen once, though handlers run again.
//!
//! A handler claims the effect before the call and settles it after. The ledger cannot know what the outside service
//! did when an attempt ended in between: then the next attempt asks that service, and says what it learned.

mod decide;

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_jobs::JobId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection, Row as _, postgres::PgRow};

use self::decide::Decision;
use crate::{
    Store, StoreError, json,
    picks::LONGEST_KEY,
    record::{parsed, small_count, word},
};

pub use self::decide::IN_FLIGHT;

/// How far an effect has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// Somebody was permitted to act and has not said what came of it.
    Intended,
    /// It happened.
    Confirmed,
    /// It did not happen, and the outside service said so.
    Failed,
    /// The answer was lost: it may have happened.
    Unknown,
}

/// An effect that an attempt wants to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectIntent {
    /// What makes it one of a kind, for example `retweet:main:1234`. At most 512 bytes.
    pub key: String,
    /// What it is, for example `post`.
    pub kind: String,
    /// The account that acts.
    pub account: String,
    /// What is asked of the outside service, as [`request_digest`] gives it.
    pub digest: [u8; 32],
    /// The job.
    pub job: JobId,
    /// Its attempt, counted from 1.
    pub attempt: u32,
    /// The worker.
    pub holder: String,
}

/// SHA-256 over the parts of a request; where one part ends and the next begins counts.
pub fn request_digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// An effect as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredEffect {
    /// What makes it one of a kind.
    pub key: String,
    /// What it is.
    pub kind: String,
    /// The account that acts.
    pub account: String,
    /// How far it has come.
    pub state: EffectState,
    /// Grows with every permit.
    pub fence: i64,
    /// What was asked of the outside service.
    #[serde(skip)]
    pub digest: Vec<u8>,
    /// The job that was last permitted to act.
    pub job_id: JobId,
    /// Its attempt.
    pub attempt: u32,
    /// Its worker.
    pub holder: String,
    /// The id that the outside service gave it.
    pub external_id: Option<String>,
    /// What the outside service answered.
    pub response: Option<serde_json::Value>,
    /// What went wrong.
    pub error: Option<String>,
    /// When it was first claimed.
    pub created_at: DateTime<Utc>,
    /// When the last permit was given.
    pub intended_at: DateTime<Utc>,
    /// When it was confirmed, failed or became unknown.
    pub settled_at: Option<DateTime<Utc>>,
}

impl FromRow<'_, PgRow> for StoredEffect {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            key: row.try_get("key")?,
            kind: row.try_get("kind")?,
            account: row.try_get("account")?,
            state: word(row, "state")?,
            fence: row.try_get("fence")?,
            digest: row.try_get("digest")?,
            job_id: parsed(row, "job_id")?,
            attempt: small_count(row, "attempt")?,
            holder: row.try_get("holder")?,
            external_id: row.try_get("external_id")?,
            response: row.try_get("response")?,
            error: row.try_get("error")?,
            created_at: row.try_get("created_at")?,
            intended_at: row.try_get("intended_at")?,
            settled_at: row.try_get("settled_at")?,
        })
    }
}

/// The right to act, once. Only the ledger makes one; it is void as soon as another attempt takes the effect over.
#[derive(Debug)]
#[must_use = "a permit is given to act on; afterwards the effect has to be settled"]
pub struct Permit {
    key: String,
    fence: i64,
}

impl Permit {
    /// The key of the effect.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The key of the effect, under the name that service clients ask for.
    pub fn effect_key(&self) -> &str {
        &self.key
    }

    /// The number of the permit; a higher one of the same effect makes it void.
    pub fn fence(&self) -> i64 {
        self.fence
    }
}

/// The right to settle an effect that an earlier attempt left open, after asking the outside service.
#[derive(Debug)]
#[must_use = "the outside service has to be asked, and its answer to be recorded"]
pub struct Takeover {
    seen_fence: i64,
    intent: EffectIntent,
}

impl Takeover {
    /// The key of the effect.
    pub fn key(&self) -> &str {
        &self.intent.key
    }
}

/// The ledger's answer to a claim.
#[derive(Debug)]
pub enum Claim {
    /// Act now, then settle the permit.
    Granted(Permit),
    /// It happened already: use the stored answer and call nobody.
    Done(Box<StoredEffect>),
    /// An earlier attempt may have had it. Ask the outside service, then call [`Effects::resolve_confirmed`] or
    /// [`Effects::resolve_not_done`].
    Unresolved {
        /// What is known of it.
        effect: Box<StoredEffect>,
        /// For the resolution.
        takeover: Takeover,
    },
    /// Another job is at it at this moment. Try again after this time.
    Busy {
        /// What is known of it.
        effect: Box<StoredEffect>,
        /// When it can be judged.
        retry_after: Duration,
    },
    /// A later attempt of the same job is at it: this attempt has lost its lease and must stop.
    Superseded {
        /// What is known of it.
        effect: Box<StoredEffect>,
    },
    /// The key was used for another request, which happened or may have happened. A person has to look.
    DigestMismatch {
        /// What is known of it.
        effect: Box<StoredEffect>,
    },
}

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
