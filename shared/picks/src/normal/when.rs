use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeZone as _, Utc, Weekday};
use chrono_tz::Tz;

use crate::rules::lex::{Token, normalise, tokens};

/// Zones by their words. "EST" is said all year round, so it means what clocks in New York show.
const ZONES: [(Tz, &[&str]); 7] = [
    (Tz::America__New_York, &["et", "est", "edt", "eastern"]),
    (Tz::America__Chicago, &["ct", "cst", "cdt", "central"]),
    (Tz::America__Denver, &["mt", "mst", "mdt", "mountain"]),
    (Tz::America__Los_Angeles, &["pt", "pst", "pdt", "pacific"]),
    (Tz::Europe__London, &["bst", "uk"]),
    (Tz::UTC, &["gmt", "utc"]),
    (Tz::Europe__Paris, &["cet", "cest"]),
];

/// When the game begins, where the text says a time with its zone: "7:30 ET", "tomorrow 1pm EST", "Sunday 20:45 CET".
///
/// The day is the one that is said, else the first on which that time comes after the post. An American time without am
/// or pm is in the afternoon or evening.
pub fn starts_at(text: &str, posted_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let tokens = tokens(&normalise(&text.replace("p.m.", "pm").replace("a.m.", "am")));
    let words: Vec<&str> = tokens.iter().map(|t: &Token| t.folded.as_str()).collect();
    let (time, zone) = (0..words.len()).find_map(|at| time_at(&words, at))?;
    let today = posted_at.with_timezone(&zone).date_naive();
    let at = |day: NaiveDate| zone.from_local_datetime(&day.and_time(time)).earliest().map(|at| at.with_timezone(&Utc));
    match day(&words, today) {
        Some(day) => at(day),
        None => at(today).filter(|at| *at >= posted_at).or_else(|| at(today.checked_add_days(Days::new(1))?)),
    }
}

/// The time that begins at a word, with its zone: `7:30pm et`, `7 pm est`, `20:45 cet`.
fn time_at(words: &[&str], at: usize) -> Option<(NaiveTime, Tz)> {
    let (hour, minute, glued) = clock(words[at])?;
    let mut next = at + 1;
    let word = |n: usize| words.get(n).copied().unwrap_or_default();
    let mut half = glued;
    if half.is_empty() && matches!(word(next), "am" | "pm" | "a" | "p") {
        half = word(next);
        next += 1;
    }
    // "7:30et" is one word.
    let zone = |word: &str| ZONES.iter().find(|(_, words)| words.contains(&word)).map(|(zone, _)| *zone);
    let (half, zone) = match zone(half) {
        Some(zone) => ("", zone),
        None => (half, zone(word(next))?),
    };
    let american =
        matches!(zone, Tz::America__New_York | Tz::America__Chicago | Tz::America__Denver | Tz::America__Los_Angeles);
    let hour = match (half, hour) {
        ("am" | "a", 12) => 0,
        ("pm" | "p", 1..=11) => hour + 12,
        ("", 1..=11) if american => hour + 12,
        ("am" | "a" | "pm" | "p" | "", _) => hour,
        _ => return None,
    };
    NaiveTime::from_hms_opt(hour, minute, 0).map(|time| (time, zone))
}

/// `7`, `7:30`, `7:30pm` as hour, minute, and the letters at its end.
fn clock(word: &str) -> Option<(u32, u32, &str)> {
    let digits = word.find(|c: char| c.is_alphabetic()).unwrap_or(word.len());
    let (time, letters) = word.split_at(digits);
    let (hour, minute) = time.split_once(':').unwrap_or((time, "0"));
    let number = |text: &str| (text.len() <= 2 && !text.is_empty()).then(|| text.parse::<u32>().ok()).flatten();
    let (hour, minute) = (number(hour)?, number(minute)?);
    (hour < 24 && minute < 60).then_some((hour, minute, letters))
}

/// The day that the words name, from the day of the post on.
fn day(words: &[&str], today: NaiveDate) -> Option<NaiveDate> {
    words.iter().find_map(|word| match *word {
        "tonight" | "today" | "tonight's" | "today's" => Some(today),
        "tomorrow" | "tomorrow's" | "tmrw" | "tmw" => today.succ_opt(),
        word => weekday(word).map_or_else(|| date(word, today), |day| next(day, today)),
    })
}

fn weekday(word: &str) -> Option<Weekday> {
    let full = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let short = matches!(word, "mon" | "tue" | "tues" | "wed" | "thu" | "thur" | "thurs" | "fri" | "sat" | "sun");
    let found = full.iter().find(|day| **day == word || (short && day.starts_with(word)))?;
    found.parse().ok()
}

fn next(day: Weekday, today: NaiveDate) -> Option<NaiveDate> {
    let ahead = (7 + day.num_days_from_monday() - today.weekday().num_days_from_monday()) % 7;
    today.checked_add_days(Days::new(u64::from(ahead)))
}

/// `11/21`, month first: of the year of the post, or of the next when that is long past.
fn date(word: &str, today: NaiveDate) -> Option<NaiveDate> {
    let (month, day) = word.split_once('/')?;
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    let of = |year| NaiveDate::from_ymd_opt(year, month, day);
    of(today.year()).filter(|date| (today - *date).num_days() < 180).or_else(|| of(today.year() + 1))
}
