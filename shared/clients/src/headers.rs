//! What headers say about waiting. Pure functions: headers and a time in, spans out.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, header};

/// The shortest wait that is asked for.
pub(crate) const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// The longest: X's windows last 15 minutes, those of created posts a day.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// The wait after a 429 that does not say how long.
pub(crate) const UNSTATED_WAIT: Duration = Duration::from_secs(60);

/// One window of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset: DateTime<Utc>,
}

/// The time by the clock of the service, which its resets are stated in; `local` when it does not tell.
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

/// The window in `x-rate-limit-limit`, `x-rate-limit-remaining` and `x-rate-limit-reset` (Unix seconds), with the
/// reset by the local clock.
pub(crate) fn x_window(headers: &HeaderMap, local: DateTime<Utc>) -> Option<Window> {
    let number = |name| text(headers, name).and_then(|value| value.parse::<u32>().ok());
    let reset = text(headers, "x-rate-limit-reset")?.parse().ok()?;
    let reset = DateTime::from_timestamp(reset, 0)?;
    Some(Window {
        limit: number("x-rate-limit-limit")?,
        remaining: number("x-rate-limit-remaining")?,
        reset: after(local, reset - service_time(headers, local)),
    })
}

/// The window of requests of a model provider: `x-ratelimit-…-requests`, or the same names without `-requests`.
/// Resets are spans such as `6m0s`, or seconds.
pub(crate) fn model_window(headers: &HeaderMap, local: DateTime<Utc>) -> Option<Window> {
    let either = |what: &str| {
        let precise = text(headers, &format!("x-ratelimit-{what}-requests"));
        precise.or_else(|| text(headers, &format!("x-ratelimit-{what}")))
    };
    Some(Window {
        limit: either("limit").and_then(|value| value.parse().ok()).unwrap_or(0),
        remaining: either("remaining")?.parse().ok()?,
        reset: after(local, TimeDelta::from_std(either("reset").and_then(span)?).unwrap_or(TimeDelta::MAX)),
    })
}

/// How long a provider's 429 asks to wait: `Retry-After`, or the latest reset of what is used up.
pub(crate) fn model_wait(headers: &HeaderMap, local: DateTime<Utc>) -> Option<Duration> {
    let used_up = |what: &str| {
        let remaining: u64 = text(headers, &format!("x-ratelimit-remaining{what}"))?.parse().ok()?;
        (remaining == 0).then(|| text(headers, &format!("x-ratelimit-reset{what}")).and_then(span)).flatten()
    };
    retry_after(headers, local)
        .or_else(|| ["-requests", "-tokens", ""].into_iter().filter_map(used_up).max().map(clamped))
}

/// The time of a reset. A service may state any; one that is farther away than the longest wait would hold calls back for
/// ever, or be no time at all.
fn after(local: DateTime<Utc>, wait: TimeDelta) -> DateTime<Utc> {
    const LONGEST: TimeDelta = TimeDelta::days(1);
    local + wait.clamp(-LONGEST, LONGEST)
}

/// `wait`, within what is asked for.
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
        let window = x_window(&answer, local()).expect("all three headers are there");
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
        for window in [x_window(&x, local()), model_window(&model, local())] {
            assert_eq!(window.expect("it is stated").reset - local(), TimeDelta::days(1));
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
