use perch_clients::EffectPermit;
use perch_store::Permit;

/// The ledger's permit, as the clients of outside services ask for it.
pub(super) struct Permitted<'a>(pub &'a Permit);

impl EffectPermit for Permitted<'_> {
    fn effect_key(&self) -> &str {
        self.0.effect_key()
    }
}
