//! The jobs of the bot that posts as personas.

use std::time::Duration;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use crate::{Job, JobTypes, PersonaName, Priority, RetryPolicy, Unique, UniqueScope};

/// See [`is_own_key`](crate::is_own_key).
pub(crate) const OWN_KEYS: &[&str] = &["persona:", "replenish:", "run_personas"];

/// Adds the job types of the bot that posts as personas.
pub fn personas_types(types: JobTypes) -> JobTypes {
    types.with::<RunPersonas>().with::<ReplenishStock>()
}

/// Fills the slots of every persona that are due, settles those that were filled, and starts a `replenish_stock` where posts run short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunPersonas {}

impl Job for RunPersonas {
    const KIND: &'static str = "run_personas";
    const QUEUE: &'static str = ReplenishStock::QUEUE;
    const RETRY: RetryPolicy = RetryPolicy::new(4, Duration::from_secs(2), Duration::from_secs(60));
    const TIMEOUT: Duration = Duration::from_secs(120);
    const PRIORITY: Priority = Priority::High;

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: "run_personas".into(), scope: UniqueScope::Done })
    }
}

/// Has a model write posts for the stock of a persona.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplenishStock {
    /// The persona.
    pub persona: PersonaName,
    /// Writes a batch even if the stock is not short.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
}

impl Job for ReplenishStock {
    const KIND: &'static str = "replenish_stock";
    const QUEUE: &'static str = "generation";
    const RETRY: RetryPolicy = RetryPolicy::new(6, Duration::from_secs(5), Duration::from_secs(900));
    // Enough for two slow answers of a model and for reading the sources.
    const TIMEOUT: Duration = Duration::from_secs(300);

    fn schema() -> Schema {
        schema_for!(Self)
    }

    fn unique(&self) -> Option<Unique> {
        Some(Unique { key: format!("replenish:{}", self.persona), scope: UniqueScope::Done })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_persona_is_named_and_a_name_that_cannot_be_is_refused() {
        let job: ReplenishStock = serde_json::from_value(json!({ "persona": "template-bot" })).expect("a payload");
        assert_eq!(job.unique().map(|unique| unique.key).as_deref(), Some("replenish:template-bot"));
        let error =
            serde_json::from_value::<ReplenishStock>(json!({ "persona": "Template Bot" })).expect_err("a space");
        assert!(error.to_string().contains("Template Bot"), "{error}");
    }
}
