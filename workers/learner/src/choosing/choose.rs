//! What a bot knows, from the log of its decisions.

use perch_core::personas::Persona;
use perch_jobs::PersonaName;
use perch_store::StoreError;

use crate::{
    Learner,
    learning::thompson::Moments,
    policy::{Knowledge, Lesson, Policy},
    store::{LearnerBot, LearnerStore as _, LoggedDecision, StoredPolicy},
};

/// The most posts that a bot learns from: the latest ones.
pub(crate) const MOST_LESSONS: u32 = 3_000;

/// The policy of a bot with what it knows.
#[derive(Debug)]
pub(crate) struct Taught {
    pub(crate) policy: StoredPolicy,
    pub(crate) known: Knowledge,
}

impl Taught {
    /// What the active policy of a bot knows now.
    pub(crate) async fn of(bot: &Learner, learner: &LearnerBot, persona: &Persona) -> Result<Self, StoreError> {
        let tables = bot.store.learner();
        let policy = tables.active_policy(&learner.bot, &Policy::default()).await?;
        let log = tables.rewarded(&learner.bot, MOST_LESSONS).await?;
        let others: Vec<Moments> = tables.moments_of_others(&learner.bot).await?;
        let lessons: Vec<Lesson> = log.iter().filter_map(lesson).collect();
        let known = Knowledge::learn(&policy.policy, &lessons, &others, persona.spec.timezone);
        Ok(Self { policy, known })
    }
}

/// What a decision with a reward teaches.
fn lesson(logged: &LoggedDecision) -> Option<Lesson> {
    Some(Lesson {
        arm: logged.arm.clone(),
        text: logged.parts.first()?.clone(),
        at: logged.published_at?,
        reward: logged.reward?,
        follows: logged.follows,
    })
}

/// A seed that follows from a bot and a name, such as that of a slot, so that a decision made again after a crash is the same.
pub(crate) fn seed_of(bot: &PersonaName, name: &str) -> u64 {
    u64::from_str_radix(&perch_core::short_hash(&format!("{bot}:{name}")), 16).unwrap_or(0)
}
