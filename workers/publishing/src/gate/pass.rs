use std::sync::{Arc, Mutex, PoisonError};

use perch_clients::XError;
use perch_jobs::AccountId;
use perch_store::{BrakeClearance, BrakeState, Brakes, TimeLimit};

use super::{Deferral, SOON};

/// The right to begin one act soon: its place in the quota is taken, and all brakes that apply to it were off a moment ago. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct GatePass(Arc<PassState>);

#[derive(Debug)]
struct PassState {
    account: AccountId,
    key: String,
    holder: String,
    term: TimeLimit,
    brakes: Brakes,
    clear: Mutex<BrakeClearance>,
    braked: Mutex<Option<BrakeState>>,
}

impl GatePass {
    pub(super) fn new(
        account: AccountId,
        key: String,
        holder: String,
        term: TimeLimit,
        (brakes, clear): (Brakes, BrakeClearance),
    ) -> Self {
        let clear = Mutex::new(clear);
        Self(Arc::new(PassState { account, key, holder, term, brakes, clear, braked: Mutex::default() }))
    }

    /// Those that apply to the act.
    pub(super) fn brakes(&self) -> &Brakes {
        &self.0.brakes
    }

    pub(super) fn account(&self) -> &AccountId {
        &self.0.account
    }

    pub(super) fn key(&self) -> &str {
        &self.0.key
    }

    pub(super) fn holder(&self) -> &str {
        &self.0.holder
    }

    /// Whether the act may begin now.
    pub(crate) fn holds(&self) -> bool {
        self.0.term.is_open() && self.braked().is_none() && self.clear().holds()
    }

    /// Why an act was not sent to X, where the reason is that this pass no longer holds.
    pub(crate) fn withdrawn(&self, error: &XError) -> Option<Deferral> {
        if !matches!(error, XError::PermitLost { .. }) || self.holds() {
            return None;
        }
        Some(self.braked().map_or_else(
            || {
                Deferral::new(
                    SOON,
                    "connecting to X took too long, so the brake and the limits have to be checked again".to_owned(),
                )
            },
            |state| Deferral::braked(&state),
        ))
    }

    /// Extends the pass after all brakes were read as off.
    pub(super) fn renew(&self, clear: BrakeClearance) {
        *self.0.clear.lock().unwrap_or_else(PoisonError::into_inner) = clear;
    }

    /// Ends the pass for good, because a brake was pulled.
    pub(super) fn withdraw(&self, state: BrakeState) {
        *self.0.braked.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    fn clear(&self) -> BrakeClearance {
        *self.0.clear.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn braked(&self) -> Option<BrakeState> {
        self.0.braked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
