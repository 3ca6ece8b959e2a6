//! Hands decisions over to publishing, also those that a crash has left behind. Everything here is idempotent: the id of the job and the key
//! of the effect follow from the bot and its slot.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{clock, crash_point};
use perch_core::{
    job_id,
    personas::{Persona, PersonaStore as _},
};
use perch_jobs::{JobId, PersonaName, PublishPost, PublishThread};
use perch_queue::{Client, EnqueueOptions, Fail};

use crate::{
    Learner,
    spec::HalfThread,
    store::{LearnerBot, LearnerStore as _},
};

/// A decision that is so old, and whose job is not noted, was left behind by a process that ended.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// The key of the effect of a slot, and the id of the job that publishes its post.
pub(super) fn identity(bot: &PersonaName, slot_at: DateTime<Utc>) -> (String, JobId) {
    let key = format!("learner:{bot}:{}", slot_at.timestamp());
    let id = job_id(slot_at, &key);
    (key, id)
}

/// A decision to be carried out.
#[derive(Debug)]
pub(super) struct HandOver<'a> {
    pub(super) decision: i64,
    pub(super) decided_at: DateTime<Utc>,
    pub(super) parts: &'a [String],
    pub(super) key: &'a str,
    pub(super) job: JobId,
}

/// Enqueues the job that publishes what was decided. It becomes dead when it cannot begin in time.
pub(super) async fn hand_over(
    bot: &Learner,
    client: &Client,
    (learner, persona): (&LearnerBot, &Persona),
    decided: &HandOver<'_>,
) -> Result<(), Fail> {
    let within = TimeDelta::from_std(bot.settings.publish_within).unwrap_or_default();
    let deadline = decided.decided_at + within;
    if deadline <= clock::now() {
        // A later settlement gives it up, unless its job is known after all.
        return Ok(());
    }
    let options = EnqueueOptions { id: Some(decided.job), deadline: Some(deadline), ..EnqueueOptions::default() };
    crash_point!("decision.logged" in crate::CRASH_POINTS);
    let (account, effect_key) = (persona.spec.account.clone(), Some(decided.key.to_owned()));
    let made_with_ai = learner.spec.made_with_ai;
    if let [text] = decided.parts {
        let job = PublishPost { effect_key, made_with_ai, ..PublishPost::new(account, text.clone()) };
        client.enqueue_with(&job, options).await?;
    } else {
        let half = match learner.spec.half_thread {
            HalfThread::Keep => perch_jobs::HalfThread::Keep,
            HalfThread::Delete => perch_jobs::HalfThread::Delete,
        };
        let parts = decided.parts.to_vec();
        let job = PublishThread { account, parts, effect_key, source: None, half, made_with_ai };
        client.enqueue_with(&job, options).await?;
    }
    crash_point!("decision.handed_over" in crate::CRASH_POINTS);
    Ok(bot.store.learner().handed_over(decided.decision).await?)
}

/// Hands over decisions that were left behind. Answers how many.
pub(crate) async fn hand_over_leftovers(bot: &Learner, client: &Client) -> Result<u64, Fail> {
    let mut handed = 0;
    for left in bot.store.learner().not_handed_over(clock::now() - LEFT_BEHIND).await? {
        let Some(persona) = bot.store.personas().get(&left.bot).await? else { continue };
        let Some(learner) = bot.store.learner().bot(&left.bot).await? else { continue };
        let decided = HandOver {
            decision: left.id,
            decided_at: left.decided_at,
            parts: &left.parts,
            key: &left.effect_key,
            job: left.job_id,
        };
        // What is wrong with one must not keep the others from their turn.
        match hand_over(bot, client, (&learner, &persona), &decided).await {
            Ok(()) => {
                handed += 1;
                tracing::warn!(bot = %left.bot, decision = left.id, "a decision was left behind, and is handed over again");
            }
            Err(error) => {
                tracing::warn!(bot = %left.bot, decision = left.id, ?error, "a decision that was left behind waits");
            }
        }
    }
    Ok(handed)
}
