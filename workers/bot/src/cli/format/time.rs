//! Times and durations in a readable form.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// A duration in its largest unit: `350ms`, `12s`, `3m`, `5h`, `9d`.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// How long an attempt took: `350ms`, `1.2s`, `2m5s`.
pub fn took(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{}m{}s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

/// A time relative to `now`: `3m ago`, `in 12s`, `now` within a second.
pub fn from_now(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (at - now).num_milliseconds() {
        -999..=999 => "now".to_owned(),
        ms if ms < 0 => format!("{} ago", short(Duration::from_millis(ms.unsigned_abs()))),
        ms => format!("in {}", short(Duration::from_millis(ms.unsigned_abs()))),
    }
}

/// The same for a time that may not be known.
pub fn from_now_or_dash(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| from_now(at, now))
}

/// A time to the second and relative to `now`: `2026-03-01 12:00:00Z (3m ago)`.
pub fn exact(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ({})", at.format("%Y-%m-%d %H:%M:%SZ"), from_now(at, now))
}

/// A recent time to the second: `12:00:00Z` for today, otherwise with its day, `03-01 12:00:00Z`.
pub fn clock(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if at.date_naive() == now.date_naive() { at.format("%H:%M:%SZ") } else { at.format("%m-%d %H:%M:%SZ") }.to_string()
}

/// The same to the millisecond.
pub fn clock_ms(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = clock(at, now);
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), at.timestamp_subsec_millis())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_time_is_said_in_its_largest_unit_and_its_direction() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a valid time");
        for (seconds, said) in
            [(-180, "3m ago"), (12, "in 12s"), (0, "now"), (-90_000, "25h ago"), (-200_000, "2d ago"), (59, "in 59s")]
        {
            assert_eq!(from_now(now + TimeDelta::seconds(seconds), now), said);
        }
    }

    #[test]
    fn the_time_of_day_has_its_zone_and_before_today_its_day() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a valid time");
        assert_eq!(clock(now, now), "08:00:00Z");
        assert_eq!(clock_ms(now - TimeDelta::milliseconds(86_400_001), now), "01-14 07:59:59.999Z");
    }

    #[test]
    fn a_duration_keeps_the_digits_that_matter() {
        for (ms, said) in [(0, "0ms"), (999, "999ms"), (1_250, "1.2s"), (59_999, "59.9s"), (125_000, "2m5s")] {
            assert_eq!(took(ms), said);
        }
    }
}
