/// The right to make one external effect happen, once.
///
/// Every client method that changes something needs a permit. The effect ledger issues them: the holder has recorded the intent, and
/// nobody else holds a permit for the same effect.
pub trait EffectPermit: Send + Sync {
    /// The key of the effect in the ledger, for example `retweet:main:1849`.
    fn effect_key(&self) -> &str;

    /// Whether it still holds at this moment. A client checks right before it sends: a process that was frozen in between may have lost
    /// its permit to another.
    fn holds(&self) -> bool;
}

/// What is known about a change after the call for it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// This call certainly changed nothing.
    NotDone,
    /// It may have happened. Ask the service before doing it again.
    Unknown,
}
