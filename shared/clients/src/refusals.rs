//! Backoff after repeated refusals: a caller that is refused again after the requested wait waits longer, whatever the refusal says.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::headers::{UNSTATED_WAIT, clamped};

/// The longest wait that results from repetition alone.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Refusals in a row, by limit key.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<String, RefusalStreak>>);

#[derive(Debug, Clone, Copy)]
struct RefusalStreak {
    count: u32,
    /// When the last refusal came; `until` is the time until which no call is made.
    at: Instant,
    until: Instant,
}

impl RefusalStreak {
    /// Whether a call sent at `sent` waited after the last refusal, so that its own refusal counts as the next in the row. Calls sent
    /// earlier were under way when the refusal came and tell nothing new. Half the wait is enough: clocks and windows are rounded.
    fn is_over(&self, sent: Instant) -> bool {
        sent >= self.at + self.until.saturating_duration_since(self.at) / 2
    }
}

impl Refusals {
    /// Records the refusal of a call and returns how long to wait before the next.
    pub(crate) fn refused(&self, key: &str, sent: Instant, now: Instant, asked: Option<Duration>) -> Duration {
        let mut rows = self.rows();
        let before = rows.get(key).copied();
        let count = before.map_or(1, |row| if row.is_over(sent) { row.count.saturating_add(1) } else { row.count });
        let wait = clamped(asked.unwrap_or(UNSTATED_WAIT).max(at_least(count)));
        let until = before.map_or(now + wait, |row| row.until.max(now + wait));
        rows.insert(key.to_owned(), RefusalStreak { count, at: now, until });
        wait
    }

    /// Records that a call was not refused.
    pub(crate) fn served(&self, key: &str) {
        self.rows().remove(key);
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<String, RefusalStreak>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shortest wait after so many refusals in a row: none after the first, then two minutes, four, and so on.
fn at_least(count: u32) -> Duration {
    match count {
        0 | 1 => Duration::ZERO,
        _ => UNSTATED_WAIT.saturating_mul(2_u32.saturating_pow(count - 1)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::headers::LONGEST_WAIT;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_is_refused_again_after_the_wait_waits_longer_until_a_call_is_served() {
        let (refusals, mut now) = (Refusals::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = refusals.refused("k", now, now, Some(SECOND));
            waits.push(wait.as_secs());
            now += wait;
        }
        assert_eq!(waits, [1, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
        refusals.served("k");
        assert_eq!(refusals.refused("k", now, now, Some(SECOND)), SECOND);
    }

    #[test]
    fn calls_that_were_under_way_when_one_was_refused_are_one_refusal() {
        let (refusals, sent) = (Refusals::default(), Instant::now());
        for n in 0..20 {
            assert_eq!(refusals.refused("k", sent, sent + n * SECOND / 100, Some(2 * SECOND)), 2 * SECOND);
        }
    }

    proptest! {
        #[test]
        fn an_hour_of_refusals_is_few_calls_whatever_they_say(asked in prop::collection::vec(prop::option::of(0_u64..5), 200)) {
            let (refusals, start) = (Refusals::default(), Instant::now());
            let (mut now, mut calls) = (start, 0);
            for asked in asked {
                if now >= start + LONGEST {
                    break;
                }
                calls += 1;
                let wait = refusals.refused("k", now, now, asked.map(Duration::from_secs));
                prop_assert!(wait >= SECOND && wait <= LONGEST_WAIT);
                now += wait;
            }
            prop_assert!(calls <= 7, "{} calls", calls);
        }
    }
}
