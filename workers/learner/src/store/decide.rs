//! Decides a slot: the log has the decision before anything is done. A slot, its decision and its candidate are written in one transaction,
//! one at a time for each bot.

use chrono::{DateTime, Utc};
use perch_jobs::{JobId, PersonaName};
use perch_store::{StoreError, Tx, json, query, query_as, row::readable_rows};
use sqlx::FromRow;

use super::{Candidate, LearnerTables, SlotState, slots::LearnerSlot};

/// The most candidates that are chosen from.
const CHOICE: i64 = 200;

/// A choice for a slot, as it goes into the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Slotted {
    /// The candidate.
    pub candidate: i64,
    /// Its arm.
    pub arm: String,
    /// The version of the policy that chose.
    pub policy: i32,
    /// The hash of that policy.
    pub policy_hash: String,
    /// The probability with which it was chosen.
    pub propensity: f64,
    /// Everything that was weighed.
    pub decision: serde_json::Value,
}

/// What became of a slot.
#[derive(Debug, Clone, PartialEq)]
pub enum Decided {
    /// This candidate was chosen now, by this decision.
    Chosen {
        /// The number of the decision.
        decision: i64,
        /// The candidate.
        candidate: Box<Candidate>,
    },
    /// There is nothing to choose from.
    Nothing,
    /// It was decided or given up before.
    Before(SlotState),
    /// There is no such slot.
    Unknown,
}

impl LearnerTables<'_> {
    /// Decides a slot with what `choose` picks of the candidates that can be chosen, given the slot.
    pub async fn decide<E: From<StoreError>>(
        &self,
        bot: &PersonaName,
        slot_at: DateTime<Utc>,
        (effect_key, job): (&str, JobId),
        choose: impl FnOnce(&LearnerSlot, &[Candidate]) -> Result<Option<Slotted>, E> + Send,
    ) -> Result<Decided, E> {
        let doing = "decide a slot";
        let mut tx = self.0.pool().begin().await.map_err(StoreError::on(doing))?;
        query!(
            "select pg_advisory_xact_lock(hashtext('perch learner slots'), hashtext($1 || ':' || $2))",
            self.0.env().as_str(),
            bot.as_str()
        )
        .execute(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let slot: Option<LearnerSlot> = query_as!(
            "select slot_at, state, propensity, reason from learner.slots
             where environment = $1 and bot_id = $2 and slot_at = $3",
            self.0.env().as_str(),
            bot.as_str(),
            slot_at
        )
        .fetch_optional(&mut tx)
        .await
        .map_err(StoreError::on(doing))?;
        let Some(slot) = slot else { return Ok(Decided::Unknown) };
        if slot.state != SlotState::Planned {
            return Ok(Decided::Before(slot.state));
        }
        let ready: Vec<Candidate> = readable_rows(
            doing,
            query_as!(
                "select * from learner.candidates
                 where environment = $1 and bot_id = $2 and state = 'ready' and expires_at > clock_timestamp()
                 order by id limit $3 for update skip locked",
                self.0.env().as_str(),
                bot.as_str(),
                CHOICE
            )
            .fetch_all(&mut tx),
        )
        .await?;
        let Some(chosen) = choose(&slot, &ready)? else { return Ok(Decided::Nothing) };
        let Some(candidate) = ready.into_iter().find(|candidate| candidate.id == chosen.candidate) else {
            return Ok(Decided::Nothing);
        };
        let decision =
            self.log(&mut tx, bot, &slot, (effect_key, job), &chosen).await.map_err(StoreError::on(doing))?;
        tx.commit().await.map_err(StoreError::on(doing))?;
        Ok(Decided::Chosen { decision, candidate: Box::new(candidate) })
    }

    async fn log(
        &self,
        tx: &mut Tx,
        bot: &PersonaName,
        slot: &LearnerSlot,
        (effect_key, job): (&str, JobId),
        chosen: &Slotted,
    ) -> Result<i64, sqlx::Error> {
        #[derive(FromRow)]
        struct Logged {
            id: i64,
        }
        let Logged { id } = query_as!(
            "with decided as (
                 insert into learner.decisions (environment, bot_id, slot_at, policy, policy_hash, arm, candidate_id, propensity,
                                                slot_propensity, decision, effect_key, job_id)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12)
                 returning id
             ), outcome as (
                 insert into learner.outcomes (environment, decision_id, state) select $1, id, 'decided' from decided
             ), slot as (
                 update learner.slots set state = 'decided' where environment = $1 and bot_id = $2 and slot_at = $3
             ), candidate as (
                 update learner.candidates set state = 'chosen', updated_at = clock_timestamp()
                 where environment = $1 and id = $7
             )
             select id from decided",
            self.0.env().as_str(),
            bot.as_str(),
            slot.slot_at,
            chosen.policy,
            &chosen.policy_hash,
            &chosen.arm,
            chosen.candidate,
            chosen.propensity,
            slot.propensity,
            json::without_nul(&chosen.decision.to_string()).as_ref(),
            effect_key,
            job.to_string()
        )
        .fetch_one(&mut *tx)
        .await?;
        Ok(id)
    }
}
