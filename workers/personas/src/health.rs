//! The health of each persona: whether it posts when it is to.

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_core::personas::{Persona, PersonaStore as _};
use perch_jobs::PersonaName;
use perch_store::{Store, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    PersonasSettings,
    store::{PersonaStats, SlotState, StockStore as _},
};

/// What keeps a persona from posting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "trouble", rename_all = "snake_case")]
pub enum PersonaTrouble {
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
    /// It has no post that is ready.
    StockEmpty {
        /// Why its last batches added nothing, where they did not.
        reason: Option<String>,
    },
}

impl PersonaTrouble {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::SlotMissed { slot_at, reason } => {
                format!("its slot at {} was missed: {reason}", slot_at.format("%F %H:%MZ"))
            }
            Self::PostFailed { slot_at, reason } => {
                format!("the post of its slot at {} failed: {reason}", slot_at.format("%F %H:%MZ"))
            }
            Self::StockEmpty { reason: Some(reason) } => format!("it has no post that is ready: {reason}"),
            Self::StockEmpty { reason: None } => "it has no post that is ready".to_owned(),
        }
    }
}

/// The health of a persona.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PersonaHealth {
    /// The persona.
    #[schema(value_type = String)]
    pub persona: PersonaName,
    /// What is wrong; empty when it posts as it is to.
    pub troubles: Vec<PersonaTrouble>,
    /// Its statistics.
    pub stats: PersonaStats,
}

/// The health of every persona that posts.
pub async fn health(store: &Store, settings: &PersonasSettings) -> Result<Vec<PersonaHealth>, StoreError> {
    let mut all = Vec::new();
    for persona in store.personas().enabled().await? {
        if let Some(health) = health_of(store, settings, &persona).await? {
            all.push(health);
        }
    }
    Ok(all)
}

/// The health of one persona; none when it has just gone.
pub(crate) async fn health_of(
    store: &Store,
    settings: &PersonasSettings,
    persona: &Persona,
) -> Result<Option<PersonaHealth>, StoreError> {
    let Some(stats) = stats_of(store, persona).await? else { return Ok(None) };
    let mut troubles = Vec::new();
    let now = clock::now();
    let grace = TimeDelta::from_std(settings.grace).unwrap_or_default();
    if let Some(slot) = store.slots().last(&persona.name).await? {
        let reason = slot.reason.clone().unwrap_or_else(|| "there was no post for it".to_owned());
        match slot.state {
            SlotState::Missed => troubles.push(PersonaTrouble::SlotMissed { slot_at: slot.slot_at, reason }),
            SlotState::Failed => troubles.push(PersonaTrouble::PostFailed { slot_at: slot.slot_at, reason }),
            SlotState::Empty if now - slot.slot_at > grace => {
                troubles.push(PersonaTrouble::SlotMissed { slot_at: slot.slot_at, reason });
            }
            SlotState::Empty | SlotState::Reserved | SlotState::Published => {}
        }
    }
    // A run that does not come leaves no trace in the slots, so the schedule is asked too.
    let progress = store.slots().progress(persona).await?;
    let overdue = persona.spec.schedules().ok().into_iter().flatten();
    let overdue = overdue.filter_map(|schedule| schedule.next_after(progress.slots_until)).min();
    if let Some(slot_at) = overdue.filter(|slot| now - *slot > grace) {
        troubles.push(PersonaTrouble::SlotMissed { slot_at, reason: "run_personas has not run since".to_owned() });
    }
    if stats.remaining == 0 && !persona.spec.schedule.is_empty() {
        troubles.push(PersonaTrouble::StockEmpty { reason: store.slots().fruitless_reason(&persona.name).await? });
    }
    Ok(Some(PersonaHealth { persona: persona.name.clone(), troubles, stats }))
}

/// The statistics of a persona, with the days that its stock lasts.
pub(crate) async fn stats_of(store: &Store, persona: &Persona) -> Result<Option<PersonaStats>, StoreError> {
    let stats = store.stock().stats_of(&persona.name).await?;
    Ok(stats.map(|stats| PersonaStats { days_left: days_left(persona, stats.remaining), ..stats }))
}

/// The days that are looked ahead for the pace of a schedule.
const AHEAD: i64 = 28;

/// For how many days so many posts last, at the pace of the schedule over the next four weeks.
#[expect(clippy::cast_precision_loss, reason = "counts of slots are far below the precision of a float")]
fn days_left(persona: &Persona, remaining: u64) -> Option<f64> {
    let now = clock::now();
    let schedules = persona.spec.schedules().ok()?;
    let until = now + TimeDelta::days(AHEAD);
    let slots: usize = schedules.iter().map(|schedule| schedule.ticks_between(now, until, 50_000).len()).sum();
    (slots > 0).then(|| remaining as f64 * AHEAD as f64 / slots as f64)
}
