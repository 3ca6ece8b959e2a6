//! The jobs of the learning poster.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::{Job, JobTypes, PersonaName, Priority, RetryPolicy, Unique, UniqueScope};

/// See [`is_own_key`](crate::is_own_key).
pub(crate) const OWN_KEYS: &[&str] = &["learner:", "candidates:", "scoring:", "audience:", "run_learner"];

/// Adds the job types of the learning poster.
pub fn learner_types(types: JobTypes) -> JobTypes {
    types.with::<RunLearner>().with::<WriteCandidates>().with::<ScoreCandidates>().with::<ReadAudience>()
}

/// Runs every learning poster: plans its days, has candidates written and scored for the slots that come, settles what was published,
/// and freezes rewards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunLearner {}

impl Job for RunLearner {
    const KIND: &'static str = "run_learner";
    const QUEUE: &'static str = ScoreCandidates::QUEUE;
    const RETRY: RetryPolicy = RetryPolicy::new(4, Duration::from_secs(2), Duration::from_secs(60));
    const TIMEOUT: Duration = Duration::from_secs(120);
    const PRIORITY: Priority = Priority::High;

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: "run_learner".into(), scope: UniqueScope::Done })
    }
}

/// Has a model write the candidates for one slot of a learning poster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteCandidates {
    /// The persona that it posts as.
    pub bot: PersonaName,
    /// The slot that they are for.
    pub slot_at: DateTime<Utc>,
}

impl Job for WriteCandidates {
    const KIND: &'static str = "write_candidates";
    const QUEUE: &'static str = "candidates";
    const RETRY: RetryPolicy = RetryPolicy::new(6, Duration::from_secs(5), Duration::from_secs(600));
    // Enough for two slow answers of a model and for reading the sources.
    const TIMEOUT: Duration = Duration::from_secs(300);

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: format!("candidates:{}", self.bot), scope: UniqueScope::Done })
    }
}

/// Scores the candidates for one slot of a learning poster, chooses one, and hands it over to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreCandidates {
    /// The persona that it posts as.
    pub bot: PersonaName,
    /// The slot.
    pub slot_at: DateTime<Utc>,
}

impl Job for ScoreCandidates {
    const KIND: &'static str = "score_candidates";
    const QUEUE: &'static str = "scoring";
    const RETRY: RetryPolicy = RetryPolicy::new(6, Duration::from_secs(2), Duration::from_secs(60));
    const TIMEOUT: Duration = Duration::from_secs(60);

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: format!("scoring:{}:{}", self.bot, self.slot_at.timestamp()), scope: UniqueScope::Done })
    }
}

/// Reads from X what only the account itself is told: its followers, and what readers did with its posts hour by hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadAudience {
    /// The persona whose account it is.
    pub bot: PersonaName,
}

impl Job for ReadAudience {
    const KIND: &'static str = "read_audience";
    const QUEUE: &'static str = "analytics_processing";
    const RETRY: RetryPolicy = RetryPolicy::new(6, Duration::from_secs(5), Duration::from_secs(900));
    const TIMEOUT: Duration = Duration::from_secs(60);

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: format!("audience:{}", self.bot), scope: UniqueScope::Done })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slot_is_scored_once_at_a_time_and_another_slot_beside_it() {
        let slot = |at: &str| -> ScoreCandidates {
            serde_json::from_value(json!({ "bot": "baker", "slot_at": at })).expect("a payload")
        };
        let key = |at| slot(at).unique().map(|unique| unique.key);
        assert_eq!(key("2026-12-01T09:00:00Z").as_deref(), Some("scoring:baker:1796115600"));
        assert_ne!(key("2026-12-01T09:00:00Z"), key("2026-12-01T10:00:00Z"));
    }
}
