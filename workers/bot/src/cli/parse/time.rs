//! Times and durations as operators type them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::InvalidTime;
pub use perch_base::PointInTime;

/// A time with its zone, RFC 3339: `2026-03-01T09:00:00Z` or with an offset; a space may stand for the `T`.
pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)).map(|at| at.with_timezone(&Utc)).map_err(|_| {
        format!(
            "{text:?} is not a time; write it with its zone, such as 2026-03-01T09:00:00Z or 2026-03-01T10:00:00+01:00"
        )
    })
}

/// The longest duration, so that it can be added to a time.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// A duration with its unit: `90s`, `5m`, `1h 30m`, `7d`. At most 100 years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| {
        format!("{text:?} is not a duration ({error}); write it with its unit, such as 90s, 5m, 12h, 7d")
    })?;
    if duration > LONGEST { Err(format!("{text:?} is longer than 100 years (36500d)")) } else { Ok(duration) }
}

/// A value of `--since` or `--until`: how long ago (`10m`, `7d`), a day in UTC, or a time with its zone.
pub fn when(text: &str) -> Result<PointInTime, String> {
    text.parse().map_err(|error: InvalidTime| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_zone_and_not_guessed_without() {
        let utc = time("2026-03-01T09:00:00Z").expect("a time");
        assert_eq!(time("2026-03-01 10:00:00+01:00").expect("a time"), utc);
        for bad in ["2026-03-01T09:00:00", "tomorrow", "2026-13-01T00:00:00Z", ""] {
            assert!(time(bad).expect_err(bad).contains("with its zone"), "{bad}");
        }
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("1h 30m").expect("a duration"), Duration::from_secs(5_400));
        for bad in ["90", "-5m", "soon", ""] {
            assert!(duration(bad).expect_err(bad).contains("with its unit"), "{bad}");
        }
    }
}
