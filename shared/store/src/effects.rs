//! The effect ledger: it makes an effect on the outside world happen once, although handlers may run again.
//!
//! A handler claims the effect before the call and settles it after. When an attempt ends in between, the ledger cannot know what
//! the outside service did: the next attempt asks that service and records the answer.

mod decide;
mod history;
mod model;
mod operate;
mod rebuild;

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use perch_jobs::{AccountId, JobId};
use perch_queue::Lease;
use serde_json::json;
use sqlx::{FromRow, PgExecutor, Row as _};

use crate::{query, query_as, query_scalar};

pub(crate) use self::model::DualInstant;
use self::{
    decide::{AcceptedAt, Decision},
    history::{EffectEvents, with_effect_events},
};
use crate::{
    KnownAct, PlaceKind, Store, StoreError, json,
    pool::Tx,
    row::{Moment, readable_rows, time_option},
};

pub use self::{
    decide::IN_FLIGHT,
    history::{EffectEvent, EffectEventKind, Evidence},
    model::{
        ACT_WITHIN, Claim, EffectIntent, EffectState, Permit, PermitDeadline, StoredEffect, Takeover, request_digest,
    },
    operate::{EffectFilter, Resolution, ResolveOutcome},
    rebuild::{KnownEffect, UnrecordedEffect},
};

/// Longest key in bytes; an index entry of Postgres holds a third of a page.
const LONGEST_KEY: usize = 512;

/// The effect ledger.
#[derive(Debug, Clone, Copy)]
pub struct Effects<'a>(pub(crate) &'a Store);

impl Store {
    /// The effect ledger.
    pub fn effects(&self) -> Effects<'_> {
        Effects(self)
    }
}

impl Effects<'_> {
    /// Claims an effect before acting. Of concurrent claims exactly one is granted.
    pub async fn claim(&self, intent: &EffectIntent) -> Result<Claim, StoreError> {
        check(intent)?;
        let doing = "claim an effect";
        let asked = DualInstant::now();
        let fresh: Option<(i64, Option<Moment>, Option<Moment>)> = query_as!(
            "with fresh as (
                 insert into effects
                     (environment, key, kind, account, state, fence, digest, job_id, attempt, holder, live)
                 values ($1, $2, $3, $4, 'intended', 1, $5, $6, $7, $8, $9)
                 on conflict (environment, key) do nothing
                 returning fence
             ), told as (
                 insert into effect_history (environment, key, event, fence, job_id, attempt, holder)
                 select $1, $2, 'claimed', fence, $6, $7, $8 from fresh
             )
             select fence, lost_at,
                    case when lost_at is not null then (
                        select created_at from outbox
                        where environment = $1 and id = $6 and created_at between '0001-01-01Z' and clock_timestamp()
                    ) end
             from fresh cross join (select perch_lost_at($1) as lost_at offset 0) as noted",
            self.0.env_name(),
            &intent.key,
            &intent.kind,
            &intent.account,
            intent.digest.as_slice(),
            intent.job.to_string(),
            i32::try_from(intent.attempt).unwrap_or(i32::MAX),
            &intent.holder,
            intent.live
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on(doing))?;
        if let Some((fence, lost_at, kept_at)) = fresh {
            let accepted = accepted(intent, kept_at.map(|Moment(at)| at));
            let lost_at = lost_at.map(|Moment(at)| at).filter(|at| accepted.is_before(*at, Utc::now()));
            return Ok(Claim::Granted(Permit { lost_at, ..Permit::new(&intent.key, fence, asked) }));
        }
        let mut tx = self.0.pool.begin().await.map_err(StoreError::on(doing))?;
        let claim = self.claim_existing(&mut tx, intent, asked).await?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(claim)
    }

    async fn claim_existing(
        &self,
        tx: &mut Tx,
        intent: &EffectIntent,
        asked: DualInstant,
    ) -> Result<Claim, StoreError> {
        let doing = "claim an effect";
        let row = query!(
            "select *,
                    (extract(epoch from clock_timestamp()
                             - coalesce(case when state = 'unknown' then settled_at end, intended_at)) * 1000)::bigint
                        as quiet_ms,
                    perch_lost_at($1) as lost_at,
                    (select o.created_at from outbox o
                     where o.environment = $1 and o.id = $3
                       and o.created_at between '0001-01-01Z' and clock_timestamp()) as kept_at
             from effects where environment = $1 and key = $2
             for update",
            self.0.env_name(),
            &intent.key,
            intent.job.to_string()
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(StoreError::on(doing))?;
        let effect = Box::new(StoredEffect::from_row(&row).map_err(StoreError::on(doing))?);
        let quiet: i64 = row.try_get("quiet_ms").map_err(StoreError::on(doing))?;
        let quiet = Duration::from_millis(u64::try_from(quiet).unwrap_or(0));
        let accepted = accepted(intent, time_option(&row, "kept_at").map_err(StoreError::on(doing))?);
        let lost_at = time_option(&row, "lost_at").map_err(StoreError::on(doing))?;
        let lost_at = lost_at.filter(|at| accepted.is_before(*at, Utc::now()));
        Ok(match decide::decide(&effect, intent, quiet) {
            Decision::Grant => {
                let events = EffectEvents::by(intent).and(EffectEventKind::Claimed, &json!({}));
                Claim::Granted(Permit { lost_at, ..self.permit(tx, intent, effect.fence, asked, &events).await? })
            }
            Decision::Done => Claim::Done(effect),
            Decision::Ask => {
                let earliest = accepted.earliest(effect.intended_at, Utc::now());
                let takeover = Takeover { seen_fence: effect.fence, intent: intent.clone(), quiet, lost_at, earliest };
                Claim::Unresolved { effect, takeover }
            }
            Decision::Wait(retry_after) => Claim::Busy { effect, retry_after },
            Decision::Stop => Claim::Superseded { effect },
            Decision::Mismatch => Claim::DigestMismatch { effect },
        })
    }

    /// Issues the next permit, if the effect is still at `seen_fence` and not confirmed.
    async fn permit(
        &self,
        conn: impl PgExecutor<'_>,
        intent: &EffectIntent,
        seen_fence: i64,
        asked: DualInstant,
        events: &EffectEvents<'_>,
    ) -> Result<Permit, StoreError> {
        let fence: Option<i64> = with_effect_events!(
            query_scalar,
            "with changed as (
                 update effects
                 set state = 'intended', fence = fence + 1, kind = $10, account = $11, digest = $4, job_id = $7,
                     attempt = $8, holder = $9, live = $12, external_id = null, response = null, error = null,
                     intended_at = clock_timestamp(), settled_at = null
                 where environment = $1 and key = $2 and fence = $3 and state <> 'confirmed'
                 returning *
             ), ",
            "true",
            " select fence from changed",
            self.0.env_name(),
            &intent.key,
            seen_fence,
            intent.digest.as_slice(),
            events.kinds(),
            events.details(),
            events.job(),
            events.attempt(),
            events.holder(),
            &intent.kind,
            &intent.account,
            intent.live
        )
        .fetch_optional(conn)
        .await
        .map_err(StoreError::on("give a permit"))?;
        fence
            .map(|fence| Permit::new(&intent.key, fence, asked))
            .ok_or_else(|| StoreError::EffectSuperseded { key: intent.key.clone() })
    }

    /// Records that the effect happened. Idempotent: may be repeated when the answer of Postgres was lost.
    pub async fn confirm(
        &self,
        permit: &Permit,
        external_id: Option<&str>,
        response: &serde_json::Value,
    ) -> Result<StoredEffect, StoreError> {
        let events = EffectEvents::default().asked(&permit.evidence);
        self.confirm_at(&permit.key, permit.fence, external_id, response, events).await
    }

    /// Records that the effect did not happen: the outside service refused. The next claim is granted.
    pub async fn fail(&self, permit: &Permit, error: &str) -> Result<(), StoreError> {
        self.settle(permit, EffectState::Failed, EffectEventKind::Failed, error).await
    }

    /// Records that the answer was lost: the effect may have happened. The next claim has to ask the outside service.
    pub async fn unknown(&self, permit: &Permit, error: &str) -> Result<(), StoreError> {
        self.settle(permit, EffectState::Unknown, EffectEventKind::Unknown, error).await
    }

    async fn settle(
        &self,
        permit: &Permit,
        state: EffectState,
        event: EffectEventKind,
        error: &str,
    ) -> Result<(), StoreError> {
        let events = EffectEvents::default().asked(&permit.evidence).and(event, &json!({ "error": error }));
        let settled: Option<i64> = with_effect_events!(
            query_scalar,
            "with before as (
                 select state from effects where environment = $1 and key = $2
             ), changed as (
                 update effects set state = $4, error = $10, settled_at = clock_timestamp()
                 where environment = $1 and key = $2 and fence = $3
                   and (state in ('intended', 'unknown') or state = $4)
                 returning *
             ), ",
            "(select state from before) <> changed.state",
            " select fence from changed",
            self.0.env_name(),
            &permit.key,
            permit.fence,
            state.as_str(),
            events.kinds(),
            events.details(),
            events.job(),
            events.attempt(),
            events.holder(),
            error.replace('\0', "\u{fffd}")
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on("settle an effect"))?;
        settled.map(|_| ()).ok_or_else(|| StoreError::EffectSuperseded { key: permit.key.clone() })
    }

    /// Records that the outside service was asked and the effect had happened.
    pub async fn resolve_confirmed(
        &self,
        takeover: Takeover,
        evidence: &Evidence,
        external_id: Option<&str>,
        response: &serde_json::Value,
    ) -> Result<StoredEffect, StoreError> {
        let events = EffectEvents::by(&takeover.intent).asked(std::slice::from_ref(evidence));
        self.confirm_at(&takeover.intent.key, takeover.seen_fence, external_id, response, events).await
    }

    /// Records that the outside service was asked and the effect had not happened, and issues the permit to act.
    /// Of several attempts that asked, one gets the permit, the others get [`StoreError::EffectSuperseded`].
    pub async fn resolve_not_done(&self, takeover: Takeover, evidence: &Evidence) -> Result<Permit, StoreError> {
        let asked = DualInstant::now();
        let events = EffectEvents::by(&takeover.intent)
            .asked(std::slice::from_ref(evidence))
            .and(EffectEventKind::TakenOver, &json!({}));
        self.permit(&self.0.pool, &takeover.intent, takeover.seen_fence, asked, &events).await
    }

    async fn confirm_at(
        &self,
        key: &str,
        fence: i64,
        external_id: Option<&str>,
        response: &serde_json::Value,
        events: EffectEvents<'_>,
    ) -> Result<StoredEffect, StoreError> {
        let details = json!({ "external_id": external_id, "response": response });
        let events = events.and(EffectEventKind::Confirmed, &details);
        let text = response.to_string();
        with_effect_events!(
            query_as,
            "with before as (
                 select state from effects where environment = $1 and key = $2
             ), changed as (
                 update effects
                 set state = 'confirmed', external_id = $4, response = $10::jsonb, error = null,
                     settled_at = coalesce(case when state = 'confirmed' then settled_at end, clock_timestamp())
                 where environment = $1 and key = $2 and fence = $3
                   and (state in ('intended', 'unknown')
                        or (state = 'confirmed' and external_id is not distinct from $4))
                 returning *
             ), ",
            "(select state from before) <> changed.state",
            " select * from changed",
            self.0.env_name(),
            key,
            fence,
            external_id,
            events.kinds(),
            events.details(),
            events.job(),
            events.attempt(),
            events.holder(),
            json::without_nul(&text).as_ref()
        )
        .fetch_optional(&self.0.pool)
        .await
        .map_err(StoreError::on("confirm an effect"))?
        .ok_or_else(|| StoreError::EffectSuperseded { key: key.to_owned() })
    }

    /// One effect.
    pub async fn get(&self, key: &str) -> Result<Option<StoredEffect>, StoreError> {
        query_as!("select * from effects where environment = $1 and key = $2", self.0.env_name(), key)
            .fetch_optional(&self.0.pool)
            .await
            .map_err(StoreError::on("read an effect"))
    }

    /// The effects whose last permit went to a job; the first 1000.
    pub async fn of_job(&self, id: JobId) -> Result<Vec<StoredEffect>, StoreError> {
        readable_rows(
            "read the effects of a job",
            query_as!(
                "select * from effects where environment = $1 and job_id = $2 order by created_at limit 1000",
                self.0.env_name(),
                id.to_string()
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }

    /// The acts that an account made, or may have made, since `since`: the latest 10,000, latest first.
    pub async fn acts_since(&self, account: &AccountId, since: DateTime<Utc>) -> Result<Vec<KnownAct>, StoreError> {
        let rows: Vec<(String, String, Moment)> = query_as!(
            "select key, kind, intended_at from effects
             where environment = $1 and account = $2 and intended_at >= $3 and state <> 'failed' and kind <> 'deletion'
             order by intended_at desc limit 10000",
            self.0.env_name(),
            account.as_str(),
            since
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on("read what an account did"))?;
        let act =
            |(key, kind, Moment(at)): (String, String, _)| KnownAct { key, kind: PlaceKind::of_effect(&kind), at };
        Ok(rows.into_iter().map(act).collect())
    }

    /// The accounts that have acted since `since` in attempts without Redis, which Redis may not count yet.
    pub async fn accounts_without_redis(&self, since: DateTime<Utc>) -> Result<Vec<AccountId>, StoreError> {
        let accounts: Vec<String> = query_scalar!(
            "select distinct account from effects
             where environment = $1 and intended_at >= $2 and attempt = $3 and state <> 'failed' and kind <> 'deletion'",
            self.0.env_name(),
            since,
            without_redis()
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on("read what was done without Redis"))?;
        Ok(accounts.iter().filter_map(|account| account.parse().ok()).collect())
    }

    /// Those of `jobs` that have done an act in an attempt without Redis.
    pub async fn acted_without_redis(&self, jobs: &[JobId]) -> Result<HashSet<JobId>, StoreError> {
        let acted: Vec<String> = query_scalar!(
            "select distinct job_id from effects
             where environment = $1 and job_id = any($2) and attempt = $3 and state = 'confirmed'",
            self.0.env_name(),
            jobs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            without_redis()
        )
        .fetch_all(&self.0.pool)
        .await
        .map_err(StoreError::on("read what was done without Redis"))?;
        Ok(acted.iter().filter_map(|job| job.parse().ok()).collect())
    }

    /// Effects that are not settled, oldest first.
    pub async fn unsettled(&self, limit: u32) -> Result<Vec<StoredEffect>, StoreError> {
        readable_rows(
            "read unsettled effects",
            query_as!(
                "select * from effects where environment = $1 and state in ('intended', 'unknown')
             order by intended_at limit $2",
                self.0.env_name(),
                i64::from(limit)
            )
            .fetch_all(&self.0.pool),
        )
        .await
    }
}

/// The number of an attempt without Redis, as Postgres has it.
fn without_redis() -> i32 {
    i32::try_from(Lease::WITHOUT_REDIS).unwrap_or_default()
}

fn accepted(intent: &EffectIntent, kept_at: Option<DateTime<Utc>>) -> AcceptedAt {
    AcceptedAt { kept_at, by_id: intent.job.created_at() }
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
