//! Rate limits as at X: windows of 15 minutes by endpoint and caller.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::Endpoint;

const WINDOW: TimeDelta = TimeDelta::minutes(15);

/// The values of the three rate-limit headers, and whether the call is within the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub limit: u32,
    pub remaining: u32,
    pub reset: DateTime<Utc>,
    pub granted: bool,
}

/// The windows of all callers.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    open: HashMap<(Endpoint, String), (DateTime<Utc>, u32)>,
    overridden: HashMap<Endpoint, u32>,
    enforced: bool,
}

impl Windows {
    /// Windows without any call. Where limits are not enforced, nothing is counted and every call is granted.
    pub fn new(enforced: bool) -> Self {
        Self { enforced, ..Self::default() }
    }

    /// Replaces the limit of an endpoint for every caller.
    pub fn set(&mut self, endpoint: Endpoint, limit: u32) {
        self.overridden.insert(endpoint, limit);
    }

    /// Counts a call; `user` is `None` for the application. Answers `None` where X sets no limit.
    pub fn take(&mut self, endpoint: Endpoint, user: Option<&str>, now: DateTime<Utc>) -> Option<Allowance> {
        let (of_app, of_user) = endpoint.limits();
        let usual = if user.is_some() { of_user } else { of_app };
        let limit = self.overridden.get(&endpoint).copied().or(usual)?;
        let key = (endpoint, user.unwrap_or_default().to_owned());
        let (reset, count) = self.open.entry(key).or_insert((now + WINDOW, 0));
        if *reset <= now {
            (*reset, *count) = (now + WINDOW, 0);
        }
        if !self.enforced {
            return Some(Allowance { limit, remaining: limit, reset: *reset, granted: true });
        }
        let granted = *count < limit;
        *count += u32::from(granted);
        // A limit that was lowered meanwhile may be less than the calls granted before.
        Some(Allowance { limit, remaining: limit.saturating_sub(*count), reset: *reset, granted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_refuses_after_its_limit_and_opens_again_after_15_minutes() {
        let mut windows = Windows::new(true);
        windows.set(Endpoint::Posts, 1);
        let now = DateTime::UNIX_EPOCH;
        let take = |windows: &mut Windows, now| windows.take(Endpoint::Posts, None, now).expect("it has a limit");
        assert_eq!(take(&mut windows, now), Allowance { limit: 1, remaining: 0, reset: now + WINDOW, granted: true });
        assert!(!take(&mut windows, now).granted);
        assert!(take(&mut windows, now + WINDOW).granted);
    }

    #[test]
    fn a_limit_lowered_under_what_was_granted_refuses_from_then_on() {
        let mut windows = Windows::new(true);
        let take = |windows: &mut Windows| windows.take(Endpoint::User, None, DateTime::UNIX_EPOCH).expect("a limit");
        assert!(take(&mut windows).granted && take(&mut windows).granted);
        windows.set(Endpoint::User, 1);
        assert_eq!((take(&mut windows).granted, take(&mut windows).remaining), (false, 0));
    }

    #[test]
    fn each_user_has_a_window_of_its_own() {
        let mut windows = Windows::new(true);
        windows.set(Endpoint::CreatePost, 1);
        let now = DateTime::UNIX_EPOCH;
        assert!(windows.take(Endpoint::CreatePost, Some("a"), now).is_some_and(|a| a.granted));
        assert!(windows.take(Endpoint::CreatePost, Some("b"), now).is_some_and(|a| a.granted));
        assert!(windows.take(Endpoint::CreatePost, Some("a"), now).is_some_and(|a| !a.granted));
    }
}
