//! Times as SQLite and JavaScript write them. Pure functions.

use chrono::{DateTime, NaiveDateTime, Utc};

/// Numbers from here on are milliseconds, below they are seconds.
const MILLISECONDS: i64 = 100_000_000_000;

/// A text without a zone is in UTC, as SQLite's `CURRENT_TIMESTAMP`.
pub(super) fn of_text(text: &str) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let with_zone = || DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc)).ok();
    let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let without =
        || forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).map(|at| at.and_utc());
    let shown: String = text.chars().take(40).collect();
    with_zone().or_else(without).ok_or_else(|| format!("is {shown:?}, not a time")).and_then(plausible)
}

/// Seconds or milliseconds since 1970.
pub(super) fn of_number(n: i64) -> Result<DateTime<Utc>, String> {
    let at = if n >= MILLISECONDS { DateTime::from_timestamp_millis(n) } else { DateTime::from_timestamp(n, 0) };
    at.ok_or_else(|| format!("is {n}, not a time")).and_then(plausible)
}

/// X is from 2006; a time that is still to come was written by a wrong clock.
fn plausible(at: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let first = DateTime::from_timestamp(1_136_073_600, 0).unwrap_or_default();
    let last = perch_base::clock::now() + chrono::TimeDelta::days(1);
    if (first..=last).contains(&at) {
        Ok(at)
    } else {
        Err(format!("is {}; times from 2006 up to now are expected", at.format("%Y-%m-%d %H:%M:%S")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_way_to_write_a_time_gives_the_same_one() {
        let at: DateTime<Utc> = "2025-03-01T09:30:05Z".parse().expect("a time");
        for text in ["2025-03-01 09:30:05", "2025-03-01T09:30:05.000Z", " 2025-03-01T10:30:05+01:00 "] {
            assert_eq!(of_text(text), Ok(at), "{text}");
        }
        assert_eq!((of_number(at.timestamp()), of_number(at.timestamp_millis())), (Ok(at), Ok(at)));
    }

    #[test]
    fn what_is_no_time_or_cannot_have_been_is_refused() {
        for text in ["", "soon", "2025-13-01 00:00:00", "2999-01-01 00:00:00", "1970-01-01 00:00:00"] {
            assert!(of_text(text).is_err(), "{text}");
        }
        assert!(of_number(0).is_err() && of_number(-1).is_err() && of_number(i64::MAX).is_err());
    }

    proptest! {
        #[test]
        fn any_text_and_any_number_is_read_without_a_panic(text in "\\PC{0,60}", n in any::<i64>()) {
            let _ = (of_text(&text), of_number(n));
        }
    }
}
