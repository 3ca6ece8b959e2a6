//! Scores the candidates for a slot, chooses one, and hands it over.

use chrono::TimeDelta;
use perch_base::clock;
use perch_clients::text::weighted_length;
use perch_core::personas::Persona;
use perch_jobs::ScoreCandidates;
use perch_queue::{
    Fail,
    worker::{Data, HandlerResult, JobContext},
};
use perch_safety::{Guard, GuardVerdict};
use serde::Serialize;
use serde_json::json;

use super::{
    Taught,
    hand_over::{HandOver, hand_over, identity},
    seed_of,
};
use crate::{
    Learner,
    policy::{Offer, choose},
    run::count,
    store::{Candidate, Decided, LearnerSlot, LearnerStore as _, Slotted},
};

/// What scoring has done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", untagged)]
pub enum Scored {
    /// Nothing was to be done.
    Idle {
        /// Why.
        idle: &'static str,
    },
    /// A candidate was chosen.
    Chosen {
        /// The number of the decision.
        decision: i64,
        /// The candidate.
        candidate: i64,
        /// Its arm.
        arm: String,
    },
}

/// Scores the candidates for a slot that is due, writes the decision into the log, and only then hands the post over.
pub async fn score_candidates(job: ScoreCandidates, cx: JobContext, bot: Data<Learner>) -> HandlerResult<Scored> {
    let idle = |idle| Ok(Scored::Idle { idle });
    let Some((learner, persona)) = bot.running(&job.bot).await? else { return idle("not_running") };
    let grace = TimeDelta::from_std(bot.settings.grace).unwrap_or_default();
    if job.slot_at + grace < clock::now() {
        return idle("too_late");
    }
    let taught = Taught::of(&bot, &learner, &persona).await?;
    let (key, id) = identity(&job.bot, job.slot_at);
    let decided_at = clock::now();
    let decided = bot
        .store
        .learner()
        .decide(&job.bot, job.slot_at, (&key, id), |slot, ready| {
            let seed = seed_of(&job.bot, &slot.slot_at.to_rfc3339());
            slotted(&bot.guard, &persona, &taught, (slot, ready), seed)
        })
        .await?;
    match decided {
        Decided::Chosen { decision, candidate } => {
            count(&persona, "decided", 1);
            let chosen = HandOver { decision, decided_at, parts: &candidate.parts, key: &key, job: id };
            hand_over(&bot, cx.client(), (&learner, &persona), &chosen).await?;
            Ok(Scored::Chosen { decision, candidate: candidate.id, arm: candidate.arm.clone() })
        }
        Decided::Nothing => idle("no_candidates"),
        Decided::Before(_) => idle("decided"),
        Decided::Unknown => idle("unknown"),
    }
}

/// The choice among the candidates that are ready; none where there is nothing to choose from.
fn slotted(
    guard: &Guard,
    persona: &Persona,
    taught: &Taught,
    (slot, ready): (&LearnerSlot, &[Candidate]),
    seed: u64,
) -> Result<Option<Slotted>, Fail> {
    let offers: Vec<Offer> = ready.iter().map(|candidate| offer(guard, persona, candidate)).collect();
    if offers.iter().all(|offer| offer.removed.is_some()) {
        return Ok(None);
    }
    let chosen = choose(&taught.policy.policy, &taught.known, &offers, slot.slot_at, seed)
        .map_err(|error| Fail::Dead(format!("the policy of {} cannot choose: {error}", persona.name)))?;
    Ok(Some(Slotted {
        candidate: chosen.chosen,
        arm: chosen.arm.clone(),
        policy: taught.policy.version,
        policy_hash: taught.policy.hash.clone(),
        propensity: chosen.propensity,
        decision: json!(chosen),
    }))
}

/// A candidate as it is offered. The guard is asked again: its rules, or the persona, may have changed since it was written.
fn offer(guard: &Guard, persona: &Persona, candidate: &Candidate) -> Offer {
    let is_approved = candidate.decided_by.is_some();
    let objection = candidate.parts.iter().find_map(|part| match guard.post(part) {
        GuardVerdict::Refuse(reasons) => Some(format!("the guard refuses it: {}", said(&reasons))),
        GuardVerdict::Review(reasons) if !is_approved => Some(format!("the guard flags it: {}", said(&reasons))),
        _ if weighted_length(part) > usize::from(persona.spec.max_length) => {
            Some(format!("it is longer than {} units", persona.spec.max_length))
        }
        _ => None,
    });
    Offer {
        id: candidate.id,
        arm: candidate.arm.clone(),
        text: candidate.parts.first().cloned().unwrap_or_default(),
        removed: objection,
    }
}

fn said(reasons: &[perch_safety::Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
