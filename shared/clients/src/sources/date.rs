//! Dates as feeds and pages write them.

use chrono::{DateTime, NaiveDate, Utc};

/// No date is longer, and one of megabytes would be copied.
const MAX_DATE: usize = 64;

/// A date of RFC 3339 or RFC 2822, or a day alone. The day of the week is not looked at, because it is often wrong or not English.
pub(super) fn read(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if text.len() > MAX_DATE {
        return None;
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    let without_day = text.split_once(',').map_or(text, |(_, rest)| rest.trim());
    // The zone that RFC 2822 calls GMT is often called UTC.
    let zone = without_day.strip_suffix("UTC").or_else(|| without_day.strip_suffix('Z'));
    let dated = zone.map_or_else(|| without_day.to_owned(), |rest| format!("{rest}+0000"));
    if let Ok(at) = DateTime::parse_from_rfc2822(&dated) {
        return Some(at.to_utc());
    }
    for zoned in ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M%:z"] {
        if let Ok(at) = DateTime::parse_from_str(text, zoned) {
            return Some(at.to_utc());
        }
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_the_spellings_of_feeds() {
        for text in [
            "2026-08-20T17:00:00Z",
            "2026-08-20T19:00:00+02:00",
            "2026-08-20T19:00:00+0200",
            "2026-08-20T17:00:00.000Z",
            "Thu, 20 Aug 2026 17:00:00 GMT",
            "Do, 20 Aug 2026 17:00:00 +0000",
            "Mon, 20 Aug 2026 17:00:00 UTC",
            "20 Aug 2026 12:00:00 EST",
            " Thu, 20 Aug 2026 17:00:00 Z ",
        ] {
            assert_eq!(read(text).map(|at| at.timestamp()), Some(1_787_245_200), "{text}");
        }
        assert_eq!(read("2026-08-20").map(|at| at.timestamp()), Some(1_787_184_000));
        for text in ["", "soon", "2026-13-01", "99999999999", &"2".repeat(1_000)] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
