//! Times and durations as operators type them.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// A time with its zone, RFC 3339: `2026-03-01T09:00:00Z` or with an offset; a space may stand for the `T`.
pub fn time(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)).map(|at| at.with_timezone(&Utc)).map_err(|_| {
        format!(
            "{text:?} is not a time; write it with its zone, such as 2026-03-01T09:00:00Z or 2026-03-01T10:00:00+01:00"
        )
    })
}

/// The longest duration: nobody waits for longer, and no calendar goes on for ever.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// A duration with its unit: `90s`, `5m`, `1h 30m`, `7d`. At most 100 years, so that it can be added to a time.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| {
        format!("{text:?} is not a duration ({error}); write it with its unit, such as 90s, 5m, 12h, 7d")
    })?;
    if duration > LONGEST { Err(format!("{text:?} is longer than 100 years (36500d)")) } else { Ok(duration) }
}

/// A moment as an operator names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So long ago.
    Ago(Duration),
    /// Then.
    At(DateTime<Utc>),
}

impl When {
    /// When that is, seen from `now`.
    pub fn from(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => {
                let ago = TimeDelta::from_std(ago).unwrap_or(TimeDelta::MAX);
                now.checked_sub_signed(ago).unwrap_or(DateTime::<Utc>::MIN_UTC)
            }
        }
    }
}

/// What `--since` and `--until` take: how long ago (`10m`, `7d`), a day in UTC, or a time with its zone.
pub fn when(text: &str) -> Result<When, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(When::At(day.and_time(NaiveTime::MIN).and_utc()));
    }
    if let Ok(ago) = duration(text) {
        return Ok(When::Ago(ago));
    }
    time(text).map(When::At).map_err(|_| {
        format!(
            "{text:?} is not a time; write how long ago, such as 10m or 7d, a day, such as 2026-03-01, or a time with its \
             zone, such as 2026-03-01T09:00:00Z"
        )
    })
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
    fn a_moment_is_named_by_its_distance_its_day_or_its_time() {
        let now = time("2026-03-01T09:00:00Z").expect("a time");
        let from = |text: &str| when(text).expect("a moment").from(now).to_rfc3339();
        assert_eq!(from("10m"), "2026-03-01T08:50:00+00:00");
        assert_eq!(from("2026-02-27"), "2026-02-27T00:00:00+00:00");
        assert_eq!(from("2026-02-27 10:00:00+01:00"), "2026-02-27T09:00:00+00:00");
        assert!(when("36500d").expect("a duration").from(DateTime::<Utc>::MIN_UTC) == DateTime::<Utc>::MIN_UTC);
        for bad in ["yesterday", "10", "2026-02-30", "2026-02-27T09:00:00", ""] {
            assert!(when(bad).expect_err(bad).contains("how long ago"), "{bad}");
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
