use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::{BrakeScope, PULLED};
use crate::row::Moment;

/// The state of a brake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BrakeState {
    /// What it stops.
    pub scope: BrakeScope,
    /// True when nothing of its scope may be published.
    pub on: bool,
    /// Who pulled or lifted it last; `None` when it was never touched.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Since when it has been in this state.
    pub since: Option<DateTime<Utc>>,
    /// The number of its line in the audit log; 0 for none.
    pub line: i64,
}

impl BrakeState {
    /// A sentence for whoever is stopped by the brake.
    pub fn describe(&self) -> String {
        let by = self.by.as_deref().unwrap_or("somebody");
        let since = self.since.map_or_else(String::new, |at| format!(" since {}", at.format("%Y-%m-%d %H:%M:%SZ")));
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        let brake = self.scope.brake_in_words();
        if self.on {
            format!("{brake} is on{since}, pulled by {by}: {reason}")
        } else {
            format!("{brake} is off{since}")
        }
    }
}

/// The last line of the audit log about a brake.
#[derive(FromRow)]
pub(super) struct BrakeLogLine {
    pub(super) id: i64,
    #[sqlx(try_from = "Moment")]
    pub(super) at: DateTime<Utc>,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) object: String,
    pub(super) reason: Option<String>,
}

/// State, line, by, reason, at.
pub(super) type Parts = (Option<String>, Option<i64>, Option<String>, Option<String>, Option<i64>);

impl BrakeState {
    /// Off, and never touched.
    pub(super) fn untouched(scope: BrakeScope) -> Self {
        Self { scope, ..Self::default() }
    }

    pub(super) fn of(scope: BrakeScope, line: &BrakeLogLine) -> Self {
        Self {
            scope,
            on: line.action == PULLED,
            by: Some(line.actor.clone()),
            reason: line.reason.clone(),
            since: Some(line.at),
            line: line.id,
        }
    }

    /// Any state other than `off` counts as on, also one that somebody set by hand.
    pub(super) fn read(scope: BrakeScope, (state, line, by, reason, at): Parts) -> Self {
        let by = by.filter(|by| !by.is_empty());
        let since = at.filter(|at| *at > 0).and_then(DateTime::from_timestamp_millis);
        let reason = reason.filter(|reason| !reason.is_empty());
        Self { scope, on: state.as_deref() != Some("off"), by, reason, since, line: line.unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_holds_lets_nothing_begin_unless_it_says_off() {
        let read =
            |state: &str| BrakeState::read(BrakeScope::Everything, (Some(state.into()), Some(3), None, None, Some(0)));
        assert!(!read("off").on);
        for state in ["on", "", "of"] {
            assert!(read(state).on, "{state}");
        }
    }

    #[test]
    fn whoever_is_stopped_learns_who_pulled_the_brake_and_why() {
        let since = DateTime::from_timestamp(1_800_000_000, 0);
        let (by, reason) = (Some("ann".into()), Some("wrong odds".into()));
        let state = BrakeState { on: true, by, reason, since, line: 7, ..BrakeState::default() };
        let rest = "is on since 2027-01-15 08:00:00Z, pulled by ann: wrong odds";
        assert_eq!(state.describe(), format!("the emergency brake {rest}"));
        let of_bot = BrakeState { scope: BrakeScope::Bot("tips".into()), ..state };
        assert_eq!(of_bot.describe(), format!("the brake of the bot tips {rest}"));
    }
}
