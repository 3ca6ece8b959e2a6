//! What another version of a policy would have earned, from the log of the one that ran.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use perch_core::personas::PersonaStore as _;
use perch_jobs::PersonaName;
use perch_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::{
    choosing::MOST_LESSONS,
    learning::{
        off_policy::{Bars, Decision as Weighted, Evaluation, LogError, Predicted, Promotion, evaluate, promotion},
        thompson::Moments,
    },
    policy::{Decision, Knowledge, Lesson, Offer, Policy, foresee},
    settings::LearnerSettings,
    store::{LearnerStore as _, LoggedDecision, StoredPolicy},
};

/// The resamples of days behind every interval, and their seed.
const RESAMPLES: u32 = 2_000;
const SEED: u64 = 18;

/// Why a policy was not promoted.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// There is no such version.
    #[error("{bot} has no version {version}; `perch learn policies {bot}` shows those there are")]
    Unknown {
        /// The bot.
        bot: PersonaName,
        /// The version.
        version: i32,
    },
    /// It chooses already.
    #[error("version {0} is active already")]
    Active(i32),
    /// The log cannot be evaluated.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log does not speak for it.
    #[error("version {version} is not promoted: {words}")]
    Refused {
        /// The version.
        version: i32,
        /// The figures, in words.
        words: String,
        /// The figures.
        promotion: Box<Promotion>,
    },
    /// There is no version to go back to.
    #[error("{0} has no version before the one that is active")]
    NothingBefore(PersonaName),
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One line of a log, as a file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// When its post was published.
    pub published_at: DateTime<Utc>,
    /// Everything that was weighed.
    pub decision: Decision,
    /// The reward.
    pub reward: f64,
    /// Follows, where X says them.
    #[serde(default)]
    pub follows: Option<u64>,
}

impl LogLine {
    /// The line of a decision; none where it cannot be read, or has no reward.
    pub fn of(logged: &LoggedDecision) -> Option<Self> {
        Some(Self {
            decided_at: logged.decided_at,
            published_at: logged.published_at?,
            decision: serde_json::from_value(logged.decision.clone()).ok()?,
            reward: logged.reward?,
            follows: logged.follows,
        })
    }

    fn lesson(&self) -> Option<Lesson> {
        let chosen = self.decision.candidates.iter().find(|one| one.id == self.decision.chosen)?;
        Some(Lesson {
            arm: chosen.arm.clone(),
            text: chosen.text.clone(),
            at: self.published_at,
            reward: self.reward,
            follows: self.follows,
        })
    }
}

/// What a policy would have earned with the decisions of a log, the oldest first. At each decision it knows only the rewards that were
/// frozen by then, `age` after their posts.
///
/// # Errors
///
/// The log is empty, or has numbers out of their range.
pub fn evaluate_policy(
    policy: &Policy,
    log: &[LogLine],
    others: &[Moments],
    (timezone, age): (Tz, TimeDelta),
) -> Result<Evaluation, LogError> {
    let mut known = Knowledge::new(others, timezone);
    let mut lessons = log.iter().filter_map(LogLine::lesson).peekable();
    let mut weighted = Vec::with_capacity(log.len());
    for line in log {
        while let Some(lesson) = lessons.next_if(|lesson| lesson.at + age <= line.decided_at) {
            known.add(policy, &lesson);
        }
        weighted.extend(weigh(policy, &known, line));
    }
    evaluate(&weighted, RESAMPLES, SEED)
}

fn weigh(policy: &Policy, known: &Knowledge, line: &LogLine) -> Option<Weighted> {
    let decision = &line.decision;
    let offers: Vec<Offer> = decision
        .candidates
        .iter()
        .map(|one| Offer { id: one.id, arm: one.arm.clone(), text: one.text.clone(), removed: one.removed.clone() })
        .collect();
    let foreseen = foresee(policy, known, &offers, decision.at, (decision.chosen, decision.seed)).ok()?;
    Some(Weighted {
        day: line.decided_at.date_naive(),
        reward: line.reward,
        propensity: decision.propensity,
        target: foreseen.probability.min(1.0),
        predicted: Some(Predicted { chosen: foreseen.of_its_arm, target: foreseen.of_policy }),
    })
}

/// The log of a bot, the oldest decision first.
pub(crate) async fn log_of(store: &Store, bot: &PersonaName) -> Result<Vec<LogLine>, StoreError> {
    Ok(store.learner().rewarded(bot, MOST_LESSONS).await?.iter().filter_map(LogLine::of).collect())
}

/// What a version would have earned with the log of its bot, and whether that is enough to promote it.
pub(crate) async fn judge(
    store: &Store,
    settings: &LearnerSettings,
    bot: &PersonaName,
    policy: &Policy,
) -> Result<Promotion, PromoteError> {
    let timezone = store.personas().get(bot).await?.map_or(Tz::UTC, |persona| persona.spec.timezone);
    let (log, others) = (log_of(store, bot).await?, store.learner().moments_of_others(bot).await?);
    let age = TimeDelta::from_std(settings.reward_age).unwrap_or_default();
    let evaluation = evaluate_policy(policy, &log, &others, (timezone, age))?;
    Ok(promotion(evaluation, &Bars::default()))
}

/// Lets a version choose, if the log of decisions speaks for it; otherwise its figures are kept with the refusal.
pub(crate) async fn promote(
    store: &Store,
    settings: &LearnerSettings,
    (bot, version): (&PersonaName, i32),
    by: &str,
) -> Result<(StoredPolicy, Promotion), PromoteError> {
    let tables = store.learner();
    let unknown = || PromoteError::Unknown { bot: bot.clone(), version };
    let stored = tables.policy(bot, version).await?.ok_or_else(unknown)?;
    if stored.state == crate::store::PolicyState::Active {
        return Err(PromoteError::Active(version));
    }
    let promotion = judge(store, settings, bot, &stored.policy).await?;
    let figures = serde_json::json!(promotion);
    if !promotion.is_granted() {
        tables.refuse(bot, version, &figures, by).await?;
        let words = promotion.to_string();
        return Err(PromoteError::Refused { version, words, promotion: Box::new(promotion) });
    }
    tables.activate(bot, version, &figures, ("learn.promote", by)).await?;
    let stored = tables.policy(bot, version).await?.ok_or_else(unknown)?;
    Ok((stored, promotion))
}

/// Goes back to the version that was active before.
pub(crate) async fn roll_back(store: &Store, bot: &PersonaName, by: &str) -> Result<StoredPolicy, PromoteError> {
    let tables = store.learner();
    let before = tables.before_active(bot).await?.ok_or_else(|| PromoteError::NothingBefore(bot.clone()))?;
    let figures = before.figures.clone().unwrap_or(serde_json::Value::Null);
    tables.activate(bot, before.version, &figures, ("learn.rollback", by)).await?;
    let version = before.version;
    tables.policy(bot, version).await?.ok_or_else(|| PromoteError::Unknown { bot: bot.clone(), version })
}
