//! Rate limits and waits stated in headers. Pure functions of headers and a time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, header};

/// The shortest wait before a call is made again.
pub(crate) const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait: most windows of X last 15 minutes, those for creating posts a day.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// The wait after a 429 that does not say how long.
pub(crate) const UNSTATED_WAIT: Duration = Duration::from_secs(60);

/// One window of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitWindow {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset: DateTime<Utc>,
}

/// The time by the clock of the service, in which it states resets; `local` when the answer has no date.
pub(crate) fn service_time(headers: &HeaderMap, local: DateTime<Utc>) -> DateTime<Utc> {
    text(headers, header::DATE.as_str()).and_then(http_date).unwrap_or(local)
}

/// `Retry-After`, in seconds or as a date; `retry-after-ms` where a provider sends it.
pub(crate) fn retry_after(headers: &HeaderMap, local: DateTime<Utc>) -> Option<Duration> {
    if let Some(millis) = text(headers, "retry-after-ms").and_then(|value| value.parse().ok()) {
        return Some(clamped(Duration::from_millis(millis)));
    }
    let value = text(headers, header::RETRY_AFTER.as_str())?;
    let wait = match seconds(value) {
        Some(wait) => wait,
        None => (http_date(value)? - service_time(headers, local)).to_std().unwrap_or_default(),
    };
    Some(clamped(wait))
}

/// The prefixes of X's rate limit headers: the window of 15 minutes, and the 24-hour windows of an account and of the application.
const OF_X: [&str; 3] = ["x-rate-limit", "x-user-limit-24hour", "x-app-limit-24hour"];

/// The windows stated in an answer of X. Their resets, Unix seconds by the clock of X, are converted to the local clock.
pub(crate) fn x_windows(headers: &HeaderMap, local: DateTime<Utc>) -> Vec<LimitWindow> {
    OF_X.into_iter().filter_map(|prefix| x_window(headers, prefix, local)).collect()
}

fn x_window(headers: &HeaderMap, prefix: &str, local: DateTime<Utc>) -> Option<LimitWindow> {
    let value = |what: &str| text(headers, &format!("{prefix}-{what}"));
    let reset = DateTime::from_timestamp(value("reset")?.parse().ok()?, 0)?;
    Some(LimitWindow {
        limit: value("limit")?.parse().ok()?,
        remaining: value("remaining")?.parse().ok()?,
        reset: after(local, reset - service_time(headers, local)),
    })
}

/// The strictest window: the one with the fewest calls left, and of those the one that resets last.
pub(crate) fn strictest(windows: &[LimitWindow]) -> Option<LimitWindow> {
    windows.iter().copied().min_by_key(|window| (window.remaining, std::cmp::Reverse(window.reset)))
}

/// How long to wait after a 429 of X: until every used-up window resets, and at least as long as `Retry-After` says. If neither is
/// stated, until the earliest reset of any window. Resets in the past are ignored.
pub(crate) fn x_wait(headers: &HeaderMap, local: DateTime<Utc>) -> Option<Duration> {
    let windows = x_windows(headers, local);
    let wait = |window: &LimitWindow| (window.reset - local).to_std().ok().filter(|wait| !wait.is_zero());
    let used_up = windows.iter().filter(|window| window.remaining == 0).filter_map(wait);
    let stated = used_up.chain(retry_after(headers, local)).max();
    stated.or_else(|| windows.iter().filter_map(wait).min()).map(clamped)
}

/// The window of requests of a model provider: `x-ratelimit-…-requests`, or the same names without `-requests`.
/// Resets are spans such as `6m0s`, or seconds.
pub(crate) fn model_window(headers: &HeaderMap, local: DateTime<Utc>) -> Option<LimitWindow> {
    let either = |what: &str| {
        let precise = text(headers, &format!("x-ratelimit-{what}-requests"));
        precise.or_else(|| text(headers, &format!("x-ratelimit-{what}")))
    };
    Some(LimitWindow {
        limit: either("limit").and_then(|value| value.parse().ok()).unwrap_or(0),
        remaining: either("remaining")?.parse().ok()?,
        reset: after(local, TimeDelta::from_std(either("reset").and_then(span)?).unwrap_or(TimeDelta::MAX)),
    })
}

/// How long to wait after a provider's 429: `Retry-After`, or the latest reset of a used-up limit.
pub(crate) fn model_wait(headers: &HeaderMap, local: DateTime<Utc>) -> Option<Duration> {
    let used_up = |what: &str| {
        let remaining: u64 = text(headers, &format!("x-ratelimit-remaining{what}"))?.parse().ok()?;
        (remaining == 0).then(|| text(headers, &format!("x-ratelimit-reset{what}")).and_then(span)).flatten()
    };
    retry_after(headers, local)
        .or_else(|| ["-requests", "-tokens", ""].into_iter().filter_map(used_up).max().map(clamped))
}

/// The time of a reset, at most a day away: a service may state any number, which could hold calls back for ever or overflow.
fn after(local: DateTime<Utc>, wait: TimeDelta) -> DateTime<Utc> {
    const LONGEST: TimeDelta = TimeDelta::days(1);
    local + wait.clamp(-LONGEST, LONGEST)
}

/// `wait`, limited to [`SHORTEST_WAIT`] and [`LONGEST_WAIT`].
pub(crate) fn clamped(wait: Duration) -> Duration {
    wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn http_date(value: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(value).ok().map(|at| at.to_utc())
}

fn seconds(value: &str) -> Option<Duration> {
    value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// `20ms`, `1s`, `6m0s`, `1h2m3.5s`, or a number of seconds.
fn span(value: &str) -> Option<Duration> {
    if let Some(plain) = seconds(value) {
        return Some(plain);
    }
    let mut total = Duration::ZERO;
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let factor = match &tail[..unit] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * factor).ok()?)?;
        rest = &tail[unit..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn local() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time in range")
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        assert_eq!(retry_after(&headers(&[("retry-after", "7")]), local()), Some(Duration::from_secs(7)));
        let dated =
            headers(&[("date", "Wed, 21 Oct 2026 07:28:00 GMT"), ("retry-after", "Wed, 21 Oct 2026 07:30:00 GMT")]);
        assert_eq!(retry_after(&dated, local()), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")]), local()), None);
        assert_eq!(retry_after(&headers(&[("retry-after", "-3")]), local()), None);
        assert_eq!(retry_after(&headers(&[("retry-after", "0")]), local()), Some(SHORTEST_WAIT));
        assert_eq!(retry_after(&headers(&[("retry-after", "99999999")]), local()), Some(LONGEST_WAIT));
    }

    #[test]
    fn a_reset_is_counted_by_the_clock_of_the_service_when_the_local_one_is_wrong() {
        let answer = headers(&[
            ("date", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ("x-rate-limit-limit", "900"),
            ("x-rate-limit-remaining", "0"),
            ("x-rate-limit-reset", "1792567980"),
        ]);
        let window = strictest(&x_windows(&answer, local())).expect("all three headers are there");
        assert_eq!((window.limit, window.remaining), (900, 0));
        assert_eq!(window.reset - local(), chrono::TimeDelta::seconds(300));
    }

    #[test]
    fn a_reset_that_no_clock_can_show_is_a_day_away() {
        let x = headers(&[
            ("date", "Mon, 01 Jan 0001 00:00:00 GMT"),
            ("x-rate-limit-limit", "50"),
            ("x-rate-limit-remaining", "0"),
            ("x-rate-limit-reset", "8210266876799"),
        ]);
        let model = headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "999999999999999999")]);
        for window in [strictest(&x_windows(&x, local())), model_window(&model, local())] {
            assert_eq!(window.expect("it is stated").reset - local(), TimeDelta::days(1));
        }
    }

    fn x_headers(windows: &[(&str, u32, i64)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (prefix, remaining, reset) in windows {
            let reset = local().timestamp() + reset;
            for (what, value) in [("limit", 100), ("remaining", i64::from(*remaining)), ("reset", reset)] {
                let name = HeaderName::from_bytes(format!("{prefix}-{what}").as_bytes()).expect("a name");
                headers.insert(name, HeaderValue::from(value));
            }
        }
        headers
    }

    #[test]
    fn the_strictest_window_counts_and_a_reset_that_is_past_says_nothing() {
        let wait = |windows: &[_]| x_wait(&x_headers(windows), local()).map(|wait| wait.as_secs());
        assert_eq!(wait(&[("x-rate-limit", 97, -30), ("x-user-limit-24hour", 0, 72_000)]), Some(72_000));
        assert_eq!(wait(&[("x-rate-limit", 0, 300), ("x-app-limit-24hour", 0, 900)]), Some(900));
        assert_eq!(wait(&[("x-rate-limit", 0, 300), ("x-app-limit-24hour", 5, 900)]), Some(300));
        assert_eq!(wait(&[("x-rate-limit", 97, 300)]), Some(300));
        assert_eq!(wait(&[("x-rate-limit", 0, -30)]), None);
        assert_eq!(wait(&[]), None);
        let window =
            strictest(&x_windows(&x_headers(&[("x-rate-limit", 9, 300), ("x-user-limit-24hour", 5, 900)]), local()));
        assert_eq!(window.map(|window| window.remaining), Some(5));
    }

    proptest! {
        #[test]
        fn no_window_that_is_used_up_ends_after_the_wait(
            windows in prop::collection::vec((prop::sample::select(&OF_X[..]), 0_u32..3, -100_i64..90_000), 0..4),
        ) {
            let headers = x_headers(&windows);
            let wait = x_wait(&headers, local());
            for window in x_windows(&headers, local()).into_iter().filter(|window| window.remaining == 0) {
                let left = (window.reset - local()).to_std().unwrap_or_default();
                prop_assert!(wait.unwrap_or_default() >= left.min(LONGEST_WAIT));
            }
        }
    }

    #[test]
    fn spans_of_model_providers_are_read_in_all_their_spellings() {
        for (text, millis) in [("20ms", 20), ("1s", 1_000), ("6m0s", 360_000), ("1h2m3.5s", 3_723_500), ("2", 2_000)] {
            assert_eq!(span(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "soon", "5 s", "1x", "1e400", "s"] {
            assert!(span(text).is_none_or(|span| span.is_zero()), "{text}");
        }
    }

    #[test]
    fn a_429_without_retry_after_waits_for_what_is_used_up() {
        let answer = headers(&[
            ("x-ratelimit-remaining-requests", "12"),
            ("x-ratelimit-reset-requests", "50s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "6s"),
        ]);
        assert_eq!(model_wait(&answer, local()), Some(Duration::from_secs(6)));
        assert_eq!(model_wait(&HeaderMap::new(), local()), None);
    }
}
