//! The health of each persona: whether it posts when it is to.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::clock;
use perch_core::personas::Persona;
use perch_jobs::PersonaName;
use perch_store::{Store, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    PersonasSettings,
    store::{PersonaState, PersonaStats, SlotState, StockStore as _},
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
    /// In short, without the reason, which may quote what strangers wrote.
    pub const fn short(&self) -> &'static str {
        match self {
            Self::SlotMissed { .. } => "a slot was missed",
            Self::PostFailed { .. } => "a post failed",
            Self::StockEmpty { .. } => "the stock is empty",
        }
    }

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
    for state in store.slots().states(None).await? {
        all.extend(with_stats(store, settings, state).await?);
    }
    Ok(all)
}

/// The health of one persona; none when it has just gone.
pub(crate) async fn health_of(
    store: &Store,
    settings: &PersonasSettings,
    persona: &Persona,
) -> Result<Option<PersonaHealth>, StoreError> {
    match store.slots().states(Some(&persona.name)).await?.into_iter().next() {
        Some(state) => with_stats(store, settings, state).await,
        None => Ok(None),
    }
}

async fn with_stats(
    store: &Store,
    settings: &PersonasSettings,
    known: PersonaState,
) -> Result<Option<PersonaHealth>, StoreError> {
    let Some(stats) = stats_of(store, &known.persona).await? else { return Ok(None) };
    let troubles = troubles(&known, settings.grace, clock::now());
    Ok(Some(PersonaHealth { persona: known.persona.name, troubles, stats }))
}

/// What keeps a persona from posting; nothing while it is paused. `grace` is how late a slot may be filled.
pub fn troubles(state: &PersonaState, grace: Duration, now: DateTime<Utc>) -> Vec<PersonaTrouble> {
    let PersonaState { persona, last, slots_until, fruitless_reason, has_ready } = state;
    let mut troubles = Vec::new();
    if !persona.enabled {
        return troubles;
    }
    let is_late = |slot_at: DateTime<Utc>| now - slot_at > TimeDelta::from_std(grace).unwrap_or_default();
    if let Some(slot) = last {
        let (slot_at, reason) =
            (slot.slot_at, slot.reason.clone().unwrap_or_else(|| "there was no post for it".to_owned()));
        match slot.state {
            SlotState::Failed => troubles.push(PersonaTrouble::PostFailed { slot_at, reason }),
            SlotState::Missed => troubles.push(PersonaTrouble::SlotMissed { slot_at, reason }),
            SlotState::Empty if is_late(slot_at) => troubles.push(PersonaTrouble::SlotMissed { slot_at, reason }),
            SlotState::Empty | SlotState::Reserved | SlotState::Published => {}
        }
    }
    // A run that does not come leaves no trace in the slots, so the schedule is asked too.
    let since = slots_until.unwrap_or(persona.updated_at).min(now);
    let due =
        persona.spec.schedules().ok().into_iter().flatten().filter_map(|schedule| schedule.next_after(since)).min();
    if let Some(slot_at) = due.filter(|slot_at| is_late(*slot_at)) {
        troubles.push(PersonaTrouble::SlotMissed { slot_at, reason: "run_personas has not run since".to_owned() });
    }
    if !has_ready && !persona.spec.schedule.is_empty() {
        troubles.push(PersonaTrouble::StockEmpty { reason: fruitless_reason.clone() });
    }
    troubles
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

#[cfg(test)]
mod tests {
    use perch_core::personas::PersonaSpec;
    use perch_jobs::AccountId;

    use super::*;
    use crate::store::Slot;

    const GRACE: Duration = Duration::from_secs(300);

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("tests write valid times")
    }

    /// A persona that posts at nine, of which everything is known up to this time.
    fn state(slots_until: &str) -> PersonaState {
        let spec = PersonaSpec {
            schedule: vec!["0 9 * * *".into()],
            ..PersonaSpec::new(AccountId::from_static("main"), "You are kind.".into())
        };
        let added = at("2026-11-01T00:00:00Z");
        let persona = Persona {
            name: "kind".parse().expect("a name"),
            enabled: true,
            spec,
            version: 1,
            created_at: added,
            updated_at: added,
            updated_by: "ann".into(),
        };
        PersonaState {
            persona,
            last: None,
            slots_until: Some(at(slots_until)),
            fruitless_reason: None,
            has_ready: true,
        }
    }

    fn told(state: &PersonaState, now: &str) -> Vec<&'static str> {
        troubles(state, GRACE, at(now)).iter().map(PersonaTrouble::short).collect()
    }

    #[test]
    fn a_run_that_does_not_come_is_told_by_the_schedule_once_the_grace_is_over() {
        let state = state("2026-11-02T08:59:00Z");
        assert!(told(&state, "2026-11-02T09:05:00Z").is_empty());
        assert_eq!(told(&state, "2026-11-02T09:05:01Z"), ["a slot was missed"]);
    }

    #[test]
    fn the_latest_slot_and_the_stock_say_what_is_wrong_and_a_paused_persona_says_nothing() {
        let slot = |state, reason: Option<&str>| Slot {
            slot_at: at("2026-11-02T09:00:00Z"),
            state,
            post_id: None,
            reason: reason.map(str::to_owned),
        };
        let now = "2026-11-02T09:10:00Z";
        let known = state(now);
        for (slot_state, said) in [
            (SlotState::Published, &[][..]),
            (SlotState::Reserved, &[]),
            (SlotState::Empty, &["a slot was missed"]),
            (SlotState::Missed, &["a slot was missed"]),
            (SlotState::Failed, &["a post failed"]),
        ] {
            let state = PersonaState { last: Some(slot(slot_state, Some("why"))), ..known.clone() };
            assert_eq!(told(&state, now), said, "{slot_state:?}");
        }
        let mut empty = PersonaState { has_ready: false, fruitless_reason: Some("why".into()), ..known };
        assert_eq!(told(&empty, now), ["the stock is empty"]);
        empty.persona.enabled = false;
        assert!(told(&empty, now).is_empty());
    }
}
