//! Points in time as users write them.

use std::{fmt, str::FromStr, time::Duration};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer};

/// A point in time as users write it: how long ago (`10m`, `7d`), a day in UTC, or a time with its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointInTime {
    /// This long before now.
    Ago(Duration),
    /// At this time.
    At(DateTime<Utc>),
}

/// A text that is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a time; write how long ago, such as 10m or 7d, a day, such as 2026-03-01, or a time with its zone, such as \
     2026-03-01T09:00:00Z"
)]
pub struct InvalidTime(String);

/// The longest time ago, within the range of the calendar.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

impl PointInTime {
    /// The time, relative to `now`.
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

impl FromStr for PointInTime {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        if let Ok(day) = text.parse::<NaiveDate>() {
            return Ok(Self::At(day.and_time(NaiveTime::MIN).and_utc()));
        }
        if let Ok(ago) = humantime::parse_duration(text)
            && ago <= LONGEST
        {
            return Ok(Self::Ago(ago));
        }
        // A space may stand for the T.
        let at = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1));
        at.map(|at| Self::At(at.with_timezone(&Utc))).map_err(|_| InvalidTime(text.chars().take(40).collect()))
    }
}

impl fmt::Display for PointInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ago(ago) => humantime::format_duration(*ago).fmt(f),
            Self::At(at) => f.write_str(&at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        }
    }
}

impl<'de> Deserialize<'de> for PointInTime {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_named_by_its_distance_its_day_or_its_time() {
        let now = "2026-03-01T09:00:00Z".parse().expect("a time");
        let from = |text: &str| text.parse::<PointInTime>().expect("a moment").from(now).to_rfc3339();
        assert_eq!(from("10m"), "2026-03-01T08:50:00+00:00");
        assert_eq!(from("2026-02-27"), "2026-02-27T00:00:00+00:00");
        assert_eq!(from("2026-02-27 10:00:00+01:00"), "2026-02-27T09:00:00+00:00");
        let longest: PointInTime = "36500d".parse().expect("a moment");
        assert_eq!(longest.from(DateTime::<Utc>::MIN_UTC), DateTime::<Utc>::MIN_UTC);
        for bad in ["yesterday", "10", "2026-02-30", "2026-02-27T09:00:00", "36501d", ""] {
            assert!(bad.parse::<PointInTime>().expect_err(bad).to_string().contains("how long ago"), "{bad}");
        }
    }

    #[test]
    fn a_moment_is_written_as_it_is_read() {
        for text in ["10m", "7days", "2026-03-01T09:00:00Z", "2026-03-01T09:00:00.123456Z"] {
            let when: PointInTime = text.parse().expect("a moment");
            assert_eq!(when.to_string().parse(), Ok(when), "{text}");
        }
    }
}
