//! The health of each learning poster: whether it posts when it is to.

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::{ConfigError, Settings, clock};
use perch_jobs::PersonaName;
use perch_store::{Store, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    settings::LearnerSettings,
    store::{BotState, LearnerBot, LearnerStore as _, SlotState},
};

/// What keeps a learning poster from posting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "trouble", rename_all = "snake_case")]
pub enum LearnerTrouble {
    /// Its last slot was missed, or is overdue.
    SlotMissed {
        /// When it was.
        slot_at: DateTime<Utc>,
        /// Why.
        reason: String,
    },
    /// The post of its last slot could not be published.
    PostFailed {
        /// When the slot was.
        slot_at: DateTime<Utc>,
        /// Why.
        reason: String,
    },
    /// A slot comes soon, and there is nothing to choose from.
    NoCandidates,
    /// It stopped itself, or somebody did.
    Stopped {
        /// Who.
        by: String,
    },
}

impl LearnerTrouble {
    /// In a few words without particulars, for whoever may ask.
    pub const fn short(&self) -> &'static str {
        match self {
            Self::SlotMissed { .. } => "slot missed",
            Self::PostFailed { .. } => "post failed",
            Self::NoCandidates => "no candidates",
            Self::Stopped { .. } => "stopped itself",
        }
    }

    /// In words, for an operator.
    pub fn words(&self) -> String {
        match self {
            Self::SlotMissed { slot_at, reason } => format!("the slot of {} was missed: {reason}", shown(*slot_at)),
            Self::PostFailed { slot_at, reason } => {
                format!("the post of {} could not be published: {reason}", shown(*slot_at))
            }
            Self::NoCandidates => "a slot comes soon, and there is no candidate for it".to_owned(),
            Self::Stopped { by } => format!("it is stopped by {by}; `perch learn resume` lets it go on"),
        }
    }
}

fn shown(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// Whether a learning poster posts as it is to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LearnerHealth {
    /// The bot.
    #[schema(value_type = String)]
    pub bot: PersonaName,
    /// What is wrong with it.
    pub troubles: Vec<LearnerTrouble>,
    /// The version of its policy, in words.
    pub policy: String,
    /// Its next slot.
    pub next_slot: Option<DateTime<Utc>>,
    /// Candidates that can be chosen.
    pub candidates: u64,
    /// Rewards that it has learned from.
    pub rewards: u64,
}

/// What is wrong with a bot in this state.
pub(crate) fn troubles(state: &BotState, settings: &LearnerSettings, now: DateTime<Utc>) -> Vec<LearnerTrouble> {
    let mut found = Vec::new();
    if !state.bot.enabled {
        if state.bot.updated_by == crate::brakes::ACTOR {
            found.push(LearnerTrouble::Stopped { by: "itself".to_owned() });
        }
        return found;
    }
    let grace = TimeDelta::from_std(settings.grace).unwrap_or_default();
    match &state.last {
        Some(slot) if slot.state == SlotState::Missed => found.push(LearnerTrouble::SlotMissed {
            slot_at: slot.slot_at,
            reason: slot.reason.clone().unwrap_or_else(|| "nobody noted why".to_owned()),
        }),
        Some(slot) if slot.state == SlotState::Failed => found.push(LearnerTrouble::PostFailed {
            slot_at: slot.slot_at,
            reason: slot.reason.clone().unwrap_or_else(|| "nobody noted why".to_owned()),
        }),
        _ => {}
    }
    if let Some(next) = state.next {
        // Nobody has given it up yet, so no scheduler or no worker runs.
        if next + grace + TimeDelta::minutes(5) < now {
            let reason = "no run has looked at it; is a scheduler running?".to_owned();
            found.push(LearnerTrouble::SlotMissed { slot_at: next, reason });
        } else if next < now + TimeDelta::minutes(10) && state.candidates == 0 {
            found.push(LearnerTrouble::NoCandidates);
        }
    }
    found
}

/// The health of one learning poster.
pub(crate) async fn health_of(
    store: &Store,
    settings: &Settings,
    bot: &LearnerBot,
) -> Result<LearnerHealth, HealthError> {
    let own = settings.sections.get::<LearnerSettings>()?;
    let state = store.learner().states(Some(&bot.bot)).await?.into_iter().next();
    let active = state.as_ref().and_then(|state| state.policy.clone());
    Ok(LearnerHealth {
        bot: bot.bot.clone(),
        troubles: state.as_ref().map(|state| troubles(state, &own, clock::now())).unwrap_or_default(),
        policy: active.unwrap_or_else(|| "none yet; the first decision makes one".to_owned()),
        next_slot: state.as_ref().and_then(|state| state.next),
        candidates: state.as_ref().map_or(0, |state| state.candidates),
        rewards: state.as_ref().map_or(0, |state| state.rewards),
    })
}

/// Why the health is not known.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use crate::store::LearnerSlot;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn state(last: Option<SlotState>, next: &str) -> BotState {
        let bot = LearnerBot {
            bot: "baker".parse().expect("a name"),
            enabled: true,
            spec: crate::spec::LearnerSpec::default(),
            version: 1,
            created_at: at("2026-11-01T00:00:00Z"),
            updated_at: at("2026-11-01T00:00:00Z"),
            updated_by: "ann".into(),
        };
        let slot = |state| LearnerSlot { slot_at: at("2026-12-01T09:00:00Z"), state, propensity: 0.5, reason: None };
        BotState { bot, last: last.map(slot), next: Some(at(next)), candidates: 0, rewards: 0, policy: None }
    }

    fn found(state: &BotState) -> Vec<&'static str> {
        let settings: LearnerSettings =
            toml::from_str::<toml::Table>(include_str!("../../../config/bots/learner.toml")).expect("TOML")["learner"]
                .clone()
                .try_into()
                .expect("settings");
        troubles(state, &settings, at("2026-12-01T10:00:00Z")).iter().map(LearnerTrouble::short).collect()
    }

    #[test]
    fn a_missed_slot_an_overdue_one_and_an_empty_stock_are_told_apart() {
        assert!(found(&state(Some(SlotState::Published), "2026-12-01T12:00:00Z")).is_empty());
        assert_eq!(found(&state(Some(SlotState::Missed), "2026-12-01T12:00:00Z")), ["slot missed"]);
        assert_eq!(found(&state(Some(SlotState::Failed), "2026-12-01T12:00:00Z")), ["post failed"]);
        assert_eq!(found(&state(None, "2026-12-01T10:05:00Z")), ["no candidates"]);
        assert_eq!(found(&state(None, "2026-12-01T09:30:00Z")), ["slot missed"]);
        let mut stopped = state(None, "2026-12-01T12:00:00Z");
        stopped.bot.enabled = false;
        assert!(found(&stopped).is_empty(), "a person paused it");
        stopped.bot.updated_by = crate::brakes::ACTOR.into();
        assert_eq!(found(&stopped), ["stopped itself"]);
    }
}
