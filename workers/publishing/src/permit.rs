use perch_clients::EffectPermit;
use perch_queue::worker::JobContext;
use perch_store::{Permit, PermitTerm};

use super::gate::GatePass;

/// The ledger's permit, as the clients of outside services ask for it. It holds while the attempt holds its lease, the
/// permit is fresh and the gate is open: a process that was frozen in between finds them run out when it wakes.
pub(super) struct LeasedPermit {
    key: String,
    term: PermitTerm,
    cx: JobContext,
    pass: GatePass,
}

impl LeasedPermit {
    pub(super) fn new(permit: &Permit, cx: &JobContext, pass: &GatePass) -> Self {
        Self { key: permit.key().to_owned(), term: permit.term(), cx: cx.clone(), pass: pass.clone() }
    }
}

impl EffectPermit for LeasedPermit {
    fn effect_key(&self) -> &str {
        &self.key
    }

    fn holds(&self) -> bool {
        self.cx.holds_lease() && self.term.is_open() && self.pass.holds()
    }
}
