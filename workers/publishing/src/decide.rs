//! The decisions of publishing. Pure functions.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::settings::XSettings;
use perch_clients::{WriteOutcome, XError, text::weighted_length, x::Search};
use perch_jobs::PostId;
use perch_safety::cashtags;
use perch_store::{ACT_WITHIN, EffectState};
use url::{Host, Url};

/// X takes so many cashtags a post. Source: X, change of the rules for posts through the API, August 2026.
const MOST_CASHTAGS: usize = 1;

/// Whether acts are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// They are sent to X, or to the sandbox.
    Real,
    /// They are rendered and recorded, and nothing is sent.
    Simulated,
}

/// Posts are sent when `live_posts` is on, and always to a server on this machine: that is the sandbox, whose posts nobody sees.
pub(super) fn sending(live_posts: bool, x_base_url: &Url) -> Sending {
    let on_this_machine = match x_base_url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if live_posts || on_this_machine { Sending::Real } else { Sending::Simulated }
}

/// Why a text cannot be a post of at most so many units, if it cannot.
pub(super) fn unfit(text: &str, most: usize) -> Option<String> {
    if text.trim().is_empty() {
        return Some("the text is empty; a post needs one".to_owned());
    }
    let units = weighted_length(text);
    (units > most).then(|| format!("the text is {units} units long by X's weighted count; shorten it to {most}"))
}

/// Why X would not take the tags of a text, if so.
pub(super) fn too_many_cashtags(text: &str) -> Option<String> {
    let tags = cashtags(text);
    (tags > MOST_CASHTAGS).then(|| {
        format!(
            "the text has {tags} cashtags; X takes {MOST_CASHTAGS} a post: leave the others without the sign and replay"
        )
    })
}

/// How to go on with an effect that an earlier attempt left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolution {
    /// Search X for it.
    Ask,
    /// It cannot have happened.
    NotDone,
}

/// Decides by whether the earlier attempt was live, not by the present setting, which may have changed since.
pub(super) fn resolution(was_live: bool, state: EffectState) -> Resolution {
    match (was_live, state) {
        (false, EffectState::Intended) => Resolution::NotDone,
        _ => Resolution::Ask,
    }
}

/// How long an effect has been quiet, and how long it has to be before "not shown by X" means "not done".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SettleTime {
    /// The time since the attempt that had the permit last wrote to the ledger.
    pub quiet: Duration,
    /// The time after that by which X shows the effect, if it was done.
    pub needed: Duration,
}

impl SettleTime {
    /// An attempt that noted an unknown outcome has ended its call. One that noted nothing begins its call within [`ACT_WITHIN`] of
    /// its permit or never, and ends it within `x.timeout`. X shows what was done at most `x.settle` after the call.
    pub(super) fn of(state: EffectState, quiet: Duration, x: &XSettings) -> Self {
        let needed = match state {
            EffectState::Unknown => x.settle,
            _ => ACT_WITHIN + x.timeout + x.settle,
        };
        Self { quiet, needed }
    }

    /// For a call that has ended just now.
    pub(super) fn none(x: &XSettings) -> Self {
        Self { quiet: Duration::ZERO, needed: x.settle }
    }
}

/// What a search for an effect on X shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// It was done, as this post.
    Happened(PostId),
    /// It was not done.
    NotDone,
    /// X may not show it yet. Search again after this time.
    TooEarly(Duration),
    /// X shows too few posts to tell.
    CannotTell,
}

pub(super) fn finding(search: &Search, waited: &SettleTime) -> Finding {
    if let Some(id) = &search.found {
        return Finding::Happened(id.clone());
    }
    if waited.quiet < waited.needed {
        return Finding::TooEarly(waited.needed.saturating_sub(waited.quiet));
    }
    if search.complete { Finding::NotDone } else { Finding::CannotTell }
}

/// What an error of the call says about whether the act was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorMeaning {
    /// It was certainly not done.
    NotMade,
    /// It may have been done.
    Unknown,
    /// X has the same post already, which may be that of an earlier attempt.
    Exists,
    /// It was done already, and doing it again would change nothing.
    Done,
}

pub(super) fn error_meaning(error: &XError) -> ErrorMeaning {
    match (error, error.write_outcome()) {
        (XError::DuplicateContent { .. }, _) => ErrorMeaning::Exists,
        (XError::AlreadyReposted { .. }, _) => ErrorMeaning::Done,
        (_, WriteOutcome::NotDone) => ErrorMeaning::NotMade,
        (_, WriteOutcome::Unknown) => ErrorMeaning::Unknown,
    }
}

/// When the metrics of a post are to be read. Of the times that have passed already, only the last one is kept.
pub(super) fn readings(published_at: DateTime<Utc>, after: &[Duration], now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let mut times: Vec<DateTime<Utc>> = after.iter().map(|after| published_at + *after).collect();
    times.sort_unstable();
    times.dedup();
    let passed = times.iter().filter(|time| **time <= now).count();
    times.split_off(passed.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use perch_base::settings::{Budget, XPlan, XPrices};
    use perch_clients::text::{LONG_POST_UNITS, POST_UNITS};
    use perch_queue::Fail;
    use proptest::prelude::*;

    use super::*;
    use perch_core::x_failed;

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
        let unfit = |text: &str| unfit(text, POST_UNITS);
        assert_eq!(unfit("Lakers -3.5"), None);
        assert!(unfit(" \n").is_some_and(|why| why.contains("empty")));
        assert_eq!(too_many_cashtags("$LAL by four, and 5$ on it"), None);
        assert!(too_many_cashtags("$LAL by four, $BTC too").is_some_and(|why| why.contains("2 cashtags")));
        assert_eq!(unfit(&"x".repeat(280)), None);
        assert!(unfit(&"x".repeat(281)).is_some_and(|why| why.contains("281")));
        assert!(unfit(&"日".repeat(141)).is_some_and(|why| why.contains("282")));
        assert_eq!(super::unfit(&"x".repeat(25_000), LONG_POST_UNITS), None);
        assert!(
            super::unfit(&"x".repeat(25_001), LONG_POST_UNITS).is_some_and(|why| why.contains("shorten it to 25000"))
        );
    }

    #[test]
    fn x_is_searched_for_what_may_have_been_sent_and_not_for_what_was_simulated() {
        for state in [EffectState::Intended, EffectState::Unknown] {
            assert_eq!(resolution(true, state), Resolution::Ask);
        }
        assert_eq!(resolution(false, EffectState::Intended), Resolution::NotDone);
        assert_eq!(resolution(false, EffectState::Unknown), Resolution::Ask, "only what was sent has no answer");
    }

    #[test]
    fn an_error_says_whether_the_post_may_have_been_made() {
        let call = || "POST /2/tweets as main".to_owned();
        let server = |status| XError::Server { call: call(), status, retry_after: None };
        assert_eq!(error_meaning(&server(503)), ErrorMeaning::NotMade);
        assert_eq!(error_meaning(&server(500)), ErrorMeaning::Unknown);
        assert_eq!(error_meaning(&XError::Timeout { call: call(), sent: true }), ErrorMeaning::Unknown);
        let duplicate = XError::DuplicateContent { call: call(), problem: Box::default() };
        assert_eq!(error_meaning(&duplicate), ErrorMeaning::Exists);
        let already = XError::AlreadyReposted { call: call(), problem: Box::default() };
        assert_eq!(error_meaning(&already), ErrorMeaning::Done);
        assert_eq!(error_meaning(&XError::PermitLost { call: call() }), ErrorMeaning::NotMade);
    }

    #[test]
    fn what_x_forbids_was_not_made_is_never_tried_again_and_says_why() {
        let call = || "POST /2/tweets as main".to_owned();
        let problem =
            |detail: &str| Box::new(perch_clients::x::Problem { detail: detail.into(), ..Default::default() });
        let unsummoned = "Reply to this conversation is not allowed because you have not been mentioned";
        let refusals = [
            XError::ReplyNotAllowed { call: call(), problem: problem(unsummoned) },
            XError::Problem { call: call(), status: 403, problem: problem("You are not permitted to do this") },
        ];
        for (refusal, says) in refusals.into_iter().zip(["may be answered", "not permitted to do this"]) {
            assert_eq!(error_meaning(&refusal), ErrorMeaning::NotMade);
            let Fail::Dead(why) = x_failed(refusal) else { panic!("it is tried again") };
            assert!(why.contains(says), "{why}");
        }
    }

    fn x_settings() -> XSettings {
        XSettings {
            base_url: url("https://api.x.com"),
            timeout: Duration::from_secs(10),
            settle: Duration::from_secs(7),
            plan: XPlan::SelfServe,
            prices: XPrices::default(),
            budget: Budget::default(),
            accounts: std::collections::BTreeMap::new(),
        }
    }

    fn search(found: Option<&str>, complete: bool) -> Search {
        let found = found.map(|id| id.parse().expect("an id"));
        Search { found, looked_at: 3, since: DateTime::UNIX_EPOCH, complete }
    }

    #[test]
    fn what_x_does_not_show_is_not_done_only_after_the_longest_call_and_the_delay_of_reading() {
        let seconds = Duration::from_secs;
        let (missing, x) = (search(None, true), x_settings());
        let after = |state, quiet| finding(&missing, &SettleTime::of(state, seconds(quiet), &x));
        assert_eq!(after(EffectState::Unknown, 5), Finding::TooEarly(seconds(2)));
        assert_eq!(after(EffectState::Unknown, 7), Finding::NotDone);
        assert_eq!(after(EffectState::Intended, 7), Finding::TooEarly(seconds(15)));
        assert_eq!(after(EffectState::Intended, 22), Finding::NotDone);
    }

    #[test]
    fn what_x_shows_has_happened_however_early_and_a_search_cut_short_decides_nothing() {
        let x = x_settings();
        let early = SettleTime::of(EffectState::Intended, Duration::ZERO, &x);
        let late = SettleTime::of(EffectState::Unknown, Duration::from_secs(60), &x);
        assert!(matches!(finding(&search(Some("1849"), true), &early), Finding::Happened(_)));
        assert_eq!(finding(&search(None, false), &late), Finding::CannotTell);
    }

    #[test]
    fn of_the_readings_that_were_missed_only_the_last_is_kept() {
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
