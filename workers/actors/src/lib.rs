//! The actors of the bots of Perch: what each bot brings to the sandbox. Only what plays a sandbox stands on this list.

use std::sync::Arc;

use perch_actor_mentions::MentionsActor;
use perch_actor_picks::PicksActor;
use perch_sandbox::Actor;

/// One line a bot, in the order in which they play.
pub fn actors() -> Vec<Arc<dyn Actor>> {
    vec![Arc::new(PicksActor), Arc::new(MentionsActor)]
}
