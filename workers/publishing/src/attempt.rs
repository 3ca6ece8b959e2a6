use perch_queue::worker::JobContext;
use perch_store::{EffectState, StoredEffect};

use super::decide::Sending;
use crate::Publisher;

/// One attempt at one act.
pub(super) struct ActAttempt<'a, A> {
    pub(super) act: &'a A,
    pub(super) cx: &'a JobContext,
    pub(super) publisher: &'a Publisher,
    /// The key of the effect in the ledger.
    pub(super) key: String,
    pub(super) sending: Sending,
    /// Why the guard stops it, if it does.
    pub(super) objection: Option<String>,
}

/// Whether an effect was confirmed without sending anything.
pub(super) fn was_simulated(effect: &StoredEffect) -> bool {
    let simulated = effect.response.as_ref().is_some_and(|response| response["simulated"] == true);
    effect.state == EffectState::Confirmed && simulated
}
