//! The actors of Perch's bots for the sandbox. Only code that runs a sandbox depends on this crate.

use std::sync::Arc;

use perch_actor_learner::LearnerActor;
use perch_actor_mentions::MentionsActor;
use perch_actor_personas::PersonasActor;
use perch_actor_picks::PicksActor;
use perch_sandbox::Actor;

/// The actors, in the order in which they write.
pub fn actors() -> Vec<Arc<dyn Actor>> {
    vec![Arc::new(PicksActor), Arc::new(MentionsActor), Arc::new(PersonasActor), Arc::new(LearnerActor)]
}
