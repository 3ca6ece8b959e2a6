//! Which entries have been in Postgres for long enough that Redis may trim them.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use perch_queue::EntryId;

/// The positions of one stream that this process has seen in Postgres, and when. The time in an id cannot be used for that: ids jump
/// when the clock of Redis is set forward, and run ahead of it after it was set back.
#[derive(Debug, Default)]
pub(super) struct TrimCandidates(VecDeque<(Instant, EntryId)>);

/// About how many positions are remembered; those that follow in quicker succession are skipped.
const REMEMBERED: u32 = 12;

impl TrimCandidates {
    /// Records that Postgres has the entries up to `id`. Positions seen beyond `id` are dropped: either Postgres is an older copy, or
    /// the stream was recreated.
    pub fn note(&mut self, id: EntryId, now: Instant, kept: Duration) {
        while self.0.back().is_some_and(|(_, seen)| *seen > id) {
            self.0.pop_back();
        }
        let is_due =
            |(at, seen): &(Instant, EntryId)| *seen < id && now.saturating_duration_since(*at) >= kept / REMEMBERED;
        if self.0.back().is_none_or(is_due) {
            self.0.push_back((now, id));
        }
        // Of the positions that are old enough, only the newest is needed.
        while self.0.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= kept) {
            self.0.pop_front();
        }
    }

    /// Forgets all positions: the stream was recreated, or came back without its end.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// The last entry that has been in Postgres for at least `kept`, unless it was returned before.
    pub fn take(&mut self, now: Instant, kept: Duration) -> Option<EntryId> {
        let mut last = None;
        while let Some((at, id)) = self.0.front() {
            if now.saturating_duration_since(*at) < kept {
                break;
            }
            last = Some(*id);
            self.0.pop_front();
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEPT: Duration = Duration::from_secs(60);

    proptest! {
        /// Whatever ids are seen, by whatever clock: a trimmed entry had been in Postgres for a minute without a break.
        #[test]
        fn what_is_let_go_of_was_in_postgres_for_a_minute_without_a_break(
            seen in prop::collection::vec((0_u64..40, 0_u64..1_000_000), 1..200),
        ) {
            let (start, mut candidates, mut history) = (Instant::now(), TrimCandidates::default(), Vec::new());
            let mut now = start;
            for (seconds, ms) in seen {
                now += Duration::from_secs(seconds);
                let id = EntryId { ms, seq: 0 };
                candidates.note(id, now, KEPT);
                history.push((now, id));
                if let Some(gone) = candidates.take(now, KEPT) {
                    let since = history.iter().rposition(|(at, id)| *id < gone || *at + KEPT <= now);
                    let covered = since.is_some_and(|since| history[since].1 >= gone);
                    prop_assert!(covered, "{gone} of {history:?}");
                }
            }
        }

        /// Also when nothing is ever trimmed.
        #[test]
        fn what_is_remembered_has_a_bound(pauses in prop::collection::vec(0_u64..40, 1..400)) {
            let (mut now, mut candidates) = (Instant::now(), TrimCandidates::default());
            for (ms, seconds) in (1..).zip(pauses) {
                now += Duration::from_secs(seconds);
                candidates.note(EntryId { ms, seq: 0 }, now, KEPT);
                prop_assert!(candidates.0.len() <= 14, "{candidates:?}");
            }
        }

        /// Entries are not kept much longer than necessary.
        #[test]
        fn what_has_been_in_postgres_for_twice_as_long_is_let_go_of(pauses in prop::collection::vec(0_u64..5, 60..200)) {
            let (mut now, mut candidates, mut last, mut gone) = (Instant::now(), TrimCandidates::default(), Vec::new(), EntryId::default());
            for (n, seconds) in (1..).zip(pauses) {
                now += Duration::from_secs(seconds);
                let id = EntryId { ms: n, seq: 0 };
                candidates.note(id, now, KEPT);
                last.push((now, id));
                gone = candidates.take(now, KEPT).unwrap_or(gone);
                let old = last.iter().rfind(|(at, _)| *at + 2 * KEPT <= now);
                prop_assert!(old.is_none_or(|(_, id)| *id <= gone), "{gone} at {now:?} of {last:?}");
            }
        }
    }
}
