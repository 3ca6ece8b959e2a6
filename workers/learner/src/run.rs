//! One run over all learning posters.

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_core::personas::{Persona, PersonaStore as _};
use perch_jobs::{ReadAudience, RunLearner, ScoreCandidates, WriteCandidates};
use perch_queue::{
    Acceptance, Client, EnqueueError, Fail,
    worker::{Data, HandlerResult, JobContext},
};
use serde::Serialize;

use crate::{
    Learner, brakes,
    choosing::{hand_over_leftovers, score_candidates},
    planning, rewarding,
    store::{LearnerBot, LearnerStore as _},
};

/// What a run has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LearnerRun {
    /// Days that were planned.
    #[serde(skip_serializing_if = "is_zero")]
    pub planned: u64,
    /// Slots for which candidates are written.
    #[serde(skip_serializing_if = "is_zero")]
    pub writing: u64,
    /// Slots whose candidates are scored.
    #[serde(skip_serializing_if = "is_zero")]
    pub scoring: u64,
    /// Slots that were given up.
    #[serde(skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// Rewards that were frozen.
    #[serde(skip_serializing_if = "is_zero")]
    pub rewards: u64,
    /// Bots that stopped themselves.
    #[serde(skip_serializing_if = "is_zero")]
    pub stopped: u64,
    /// Bots whose run failed; the next run tries again.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Settles what was published, freezes rewards, plans days, and has candidates written and scored for the slots that come.
pub async fn run_learner(_: RunLearner, cx: JobContext, bot: Data<Learner>) -> HandlerResult<LearnerRun> {
    let client = cx.client();
    settle(&bot).await?;
    hand_over_leftovers(&bot, client).await?;
    let mut run = LearnerRun { rewards: rewarding::freeze(&bot).await?.rewards, ..LearnerRun::default() };
    let learners = bot.store.learner().enabled().await?;
    for learner in &learners {
        // What is wrong with one bot must not keep the others from posting.
        if let Err(error) = run_one(&bot, &cx, learner, &mut run).await {
            run.failed += 1;
            tracing::warn!(bot = %learner.bot, ?error, "a learning poster could not be run; the next run tries again");
        }
    }
    if run.failed > 0 && run.failed == learners.len() as u64 {
        return Err(Fail::Retry(format!("{} learning posters could not be run; the log says why", run.failed)));
    }
    Ok(run)
}

/// Brings the states of decisions, slots and candidates up to date, and counts what changed.
async fn settle(bot: &Learner) -> Result<(), Fail> {
    let settled = bot.store.learner().settle(bot.settings.publish_within).await?;
    for (state, n) in [("published", settled.published), ("failed", settled.failed), ("missed", settled.missed)] {
        metrics::counter!("perch_learner_decisions_settled_total", "state" => state).increment(n);
    }
    bot.store.learner().expire().await?;
    Ok(())
}

async fn run_one(bot: &Data<Learner>, cx: &JobContext, learner: &LearnerBot, run: &mut LearnerRun) -> Result<(), Fail> {
    let Some(persona) = bot.store.personas().get(&learner.bot).await?.filter(|persona| persona.enabled) else {
        // Slots of a persona that does not post pass without a reason to complain.
        bot.store.learner().miss(&learner.bot, clock::now(), "its persona does not post").await?;
        return Ok(());
    };
    if brakes::stop_if_needed(bot, learner, &persona.spec.account).await? {
        run.stopped += 1;
        return Ok(());
    }
    let now = clock::now();
    run.planned += planning::plan(bot, learner, &persona, now).await?;
    slots(bot, cx, learner, &persona, now, run).await?;
    read_audience(bot, cx.client(), learner, now).await
}

async fn slots(
    bot: &Data<Learner>,
    cx: &JobContext,
    learner: &LearnerBot,
    persona: &Persona,
    now: DateTime<Utc>,
    run: &mut LearnerRun,
) -> Result<(), Fail> {
    let delta = |duration| TimeDelta::from_std(duration).unwrap_or_default();
    let tables = bot.store.learner();
    let missed =
        tables.miss(&learner.bot, now - delta(bot.settings.grace), "its time passed without a candidate").await?;
    count(persona, "missed", missed);
    run.missed += missed;
    let slots = tables.planned(&learner.bot, now + delta(bot.settings.lead)).await?;
    // First what is due: to write candidates takes a model and Redis, to choose among those that are there takes neither.
    for slot in slots.iter().filter(|slot| slot.slot_at <= now) {
        let job = ScoreCandidates { bot: learner.bot.clone(), slot_at: slot.slot_at };
        match cx.client().enqueue(&job).await {
            Ok(enqueued) => run.scoring += u64::from(is_new(enqueued.acceptance)),
            Err(EnqueueError::Queue(error)) if error.is_unavailable() => {
                score_candidates(job, cx.clone(), bot.clone()).await?;
                run.scoring += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(next) = slots.first() {
        // Enqueued for every run until there are enough: whether more are needed is for the job to find.
        let job = WriteCandidates { bot: learner.bot.clone(), slot_at: next.slot_at };
        if crate::writing::is_short(bot, learner, persona).await? {
            run.writing += u64::from(is_new(cx.client().enqueue(&job).await?.acceptance));
        }
    }
    Ok(())
}

fn is_new(acceptance: Acceptance) -> bool {
    matches!(acceptance, Acceptance::Accepted | Acceptance::Deferred)
}

/// Has the followers and the analytics read when the last time is long enough ago.
async fn read_audience(bot: &Learner, client: &Client, learner: &LearnerBot, now: DateTime<Utc>) -> Result<(), Fail> {
    let every = i64::try_from(bot.settings.audience_every.as_secs().max(1)).unwrap_or(i64::MAX);
    let tick = now.timestamp().div_euclid(every);
    let at = DateTime::from_timestamp(tick.saturating_mul(every), 0).unwrap_or(now);
    let name = format!("audience:{}:{tick}", learner.bot);
    // The id follows from the period, so that each has one.
    let options = perch_queue::EnqueueOptions {
        id: Some(perch_core::job_id(at, &name)),
        ..perch_queue::EnqueueOptions::default()
    };
    client.enqueue_with(&ReadAudience { bot: learner.bot.clone() }, options).await?;
    Ok(())
}

pub(crate) fn count(persona: &Persona, state: &'static str, n: u64) {
    metrics::counter!("perch_learner_slots_total", "bot" => persona.name.to_string(), "state" => state).increment(n);
}
