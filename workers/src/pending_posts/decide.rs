//! The decisions of publishing. Pure functions.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_clients::{
    WriteOutcome, XError,
    text::{POST_UNITS, weighted_length},
};
use perch_store::EffectState;
use url::{Host, Url};

/// Whether posts leave this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// They are sent to X, or to the sandbox.
    Real,
    /// They are rendered and recorded, and nothing is sent.
    Simulated,
}

/// Posts are sent when `live_posts` says so, and to a server on this machine in any case: that is the sandbox, whose
/// posts nobody sees.
pub(super) fn sending(live_posts: bool, x_base_url: &Url) -> Sending {
    let on_this_machine = match x_base_url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if live_posts || on_this_machine { Sending::Real } else { Sending::Simulated }
}

/// What keeps a text from being a post, if anything.
pub(super) fn unfit(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("the text is empty; a post needs one".to_owned());
    }
    let units = weighted_length(text);
    (units > POST_UNITS)
        .then(|| format!("the text is {units} units long by X's weighted count; shorten it to {POST_UNITS}"))
}

/// How to go on with an effect that an earlier attempt left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolution {
    /// X knows whether it happened.
    Ask,
    /// It cannot have happened.
    NotDone,
}

/// Where nothing is sent, only an attempt that heard no answer from X can have sent something: one from before sending
/// was turned off.
pub(super) fn resolution(sending: Sending, state: EffectState) -> Resolution {
    match (sending, state) {
        (Sending::Simulated, EffectState::Intended) => Resolution::NotDone,
        _ => Resolution::Ask,
    }
}

/// What an error of `create_post` says about the post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aftermath {
    /// It was certainly not made.
    NotMade,
    /// It may have been made.
    Unknown,
    /// X has such a post already, and it may be this one.
    Exists,
}

pub(super) fn aftermath(error: &XError) -> Aftermath {
    match (error, error.write_outcome()) {
        (XError::DuplicateContent { .. }, _) => Aftermath::Exists,
        (_, WriteOutcome::NotDone) => Aftermath::NotMade,
        (_, WriteOutcome::Unknown) => Aftermath::Unknown,
    }
}

/// When the metrics of a post are to be read. Of the times that have passed only the last one is made up for.
pub(super) fn readings(published_at: DateTime<Utc>, after: &[Duration], now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let mut times: Vec<DateTime<Utc>> = after.iter().map(|after| published_at + *after).collect();
    times.sort_unstable();
    times.dedup();
    let passed = times.iter().filter(|time| **time <= now).count();
    times.split_off(passed.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn nothing_is_sent_to_x_unless_live_posts_says_so() {
        assert_eq!(sending(false, &url("https://api.x.com")), Sending::Simulated);
        assert_eq!(sending(true, &url("https://api.x.com")), Sending::Real);
        for elsewhere in ["http://10.0.0.7:8090", "https://127.0.0.1.example.com", "https://localhost.example.com"] {
            assert_eq!(sending(false, &url(elsewhere)), Sending::Simulated, "{elsewhere}");
        }
    }

    #[test]
    fn the_sandbox_on_this_machine_gets_posts_in_any_case() {
        for here in ["http://127.0.0.1:8090", "http://localhost:8090", "http://[::1]:8090", "http://127.8.8.8"] {
            assert_eq!(sending(false, &url(here)), Sending::Real, "{here}");
        }
    }

    #[test]
    fn a_text_that_x_would_refuse_is_refused_before_it_is_sent() {
        assert_eq!(unfit("Lakers -3.5"), None);
        assert!(unfit(" \n").is_some_and(|why| why.contains("empty")));
        assert_eq!(unfit(&"x".repeat(280)), None);
        assert!(unfit(&"x".repeat(281)).is_some_and(|why| why.contains("281")));
        assert!(unfit(&"日".repeat(141)).is_some_and(|why| why.contains("282")));
    }

    #[test]
    fn what_may_have_been_sent_is_asked_for_even_where_nothing_is_sent_any_more() {
        assert_eq!(resolution(Sending::Simulated, EffectState::Unknown), Resolution::Ask);
        assert_eq!(resolution(Sending::Simulated, EffectState::Intended), Resolution::NotDone);
        assert_eq!(resolution(Sending::Real, EffectState::Intended), Resolution::Ask);
    }

    #[test]
    fn an_error_is_read_for_what_it_says_about_the_post() {
        let call = || "POST /2/tweets as main".to_owned();
        let server = |status| XError::Server { call: call(), status, retry_after: None };
        assert_eq!(aftermath(&server(503)), Aftermath::NotMade);
        assert_eq!(aftermath(&server(500)), Aftermath::Unknown);
        assert_eq!(aftermath(&XError::Timeout { call: call(), sent: true }), Aftermath::Unknown);
        let duplicate = XError::DuplicateContent { call: call(), problem: Box::default() };
        assert_eq!(aftermath(&duplicate), Aftermath::Exists);
    }

    #[test]
    fn readings_that_were_missed_are_made_up_for_once() {
        let published = DateTime::from_timestamp(1_790_000_000, 0).expect("a valid time");
        let after = [1, 6, 24].map(|hours| Duration::from_secs(hours * 3_600));
        let at = |hours: u64| published + Duration::from_secs(hours * 3_600);
        assert_eq!(readings(published, &after, published), [at(1), at(6), at(24)]);
        assert_eq!(readings(published, &after, at(7)), [at(6), at(24)]);
        assert_eq!(readings(published, &after, at(100)), [at(24)]);
        assert!(readings(published, &[], at(7)).is_empty());
    }

    proptest! {
        #[test]
        fn at_most_one_reading_lies_in_the_past(after in prop::collection::vec(0u64..10_000, 0..20), now in 0u64..10_000) {
            let published = DateTime::UNIX_EPOCH;
            let after: Vec<Duration> = after.into_iter().map(Duration::from_secs).collect();
            let now = published + Duration::from_secs(now);
            let times = readings(published, &after, now);
            prop_assert!(times.iter().filter(|time| **time <= now).count() <= 1);
            prop_assert_eq!(times.is_empty(), after.is_empty());
        }
    }
}
