use perch_clients::EffectPermit;
use perch_queue::worker::JobContext;
use perch_store::{Permit, PermitDeadline};

use super::gate::GatePass;

/// The permit that the client of X requires. It holds while the attempt holds its lease, the ledger's permit is fresh and the gate's
/// pass holds: in a process that was frozen for longer, they have run out when it resumes.
pub(super) struct LeasedPermit {
    key: String,
    term: PermitDeadline,
    cx: JobContext,
    pass: GatePass,
}

impl LeasedPermit {
    pub(super) fn new(permit: &Permit, cx: &JobContext, pass: &GatePass) -> Self {
        Self { key: permit.key().to_owned(), term: permit.deadline(), cx: cx.clone(), pass: pass.clone() }
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
