use std::time::{Duration, Instant};

use crate::fetch::REAPED;

/// Decides whether to reap. After an outage of Redis every lease looks lost, although its holder may be alive and about to renew
/// it. So a process that saw an outage, or has just started and may have missed one, reaps nothing for the length of a lease.
pub(super) struct ReapGuard {
    until: Option<Instant>,
    lease: Duration,
}

impl ReapGuard {
    pub fn new(lease: Duration) -> Self {
        Self { until: Some(Instant::now() + lease), lease }
    }

    /// Reports an outage of Redis.
    pub fn disturbed(&mut self) {
        self.until = Some(Instant::now() + self.lease);
    }

    /// How long it must still not reap.
    pub fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// Most leases to reap now.
    pub fn reaped(&self) -> usize {
        if self.left().is_some() { 0 } else { REAPED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_just_started_and_one_that_saw_an_outage_reap_nobody_for_the_length_of_a_lease() {
        let (long, none) = (Duration::from_secs(600), Duration::ZERO);
        assert_eq!(ReapGuard::new(long).reaped(), 0);
        let mut reap_guard = ReapGuard::new(none);
        assert_eq!(reap_guard.reaped(), REAPED, "a lease has passed");
        reap_guard.lease = long;
        reap_guard.disturbed();
        assert_eq!(reap_guard.reaped(), 0);
    }
}
