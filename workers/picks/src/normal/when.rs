use std::{collections::BTreeSet, ops::Range};

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, TimeZone as _, Utc, Weekday};
use chrono_tz::Tz;
use perch_jobs::Pick;

use super::location::{PostText, words};
use crate::rules::token::Token;

/// Time zones by their names in posts. People write "EST" all year round, so it means New York time, also in summer.
const ZONES: [(Tz, &[&str]); 7] = [
    (Tz::America__New_York, &["et", "est", "edt", "eastern"]),
    (Tz::America__Chicago, &["ct", "cst", "cdt", "central"]),
    (Tz::America__Denver, &["mt", "mst", "mdt", "mountain"]),
    (Tz::America__Los_Angeles, &["pt", "pst", "pdt", "pacific"]),
    (Tz::Europe__London, &["bst", "uk"]),
    (Tz::UTC, &["gmt", "utc"]),
    (Tz::Europe__Paris, &["cet", "cest"]),
];

/// The most days between a post and its game. A date further ahead is not read as a date.
const FURTHEST: i64 = 60;
/// Words that may stand between a time and its day.
const BETWEEN: [&str; 10] = [",", "at", "@", "-", "on", "(", ")", "|", "the", "this"];

/// When the game begins, if the text has a time with a zone: "7:30 ET", "tomorrow 1pm EST", "Sunday 20:45 CET". The first such time
/// counts.
///
/// The day is the named one, otherwise the first day on which that time is after the post. An American time without am or pm is in the
/// afternoon or evening. A date such as 11/26 counts only beside an American time; elsewhere it is a price.
pub fn starts_at(text: &str, posted_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    start(&words(text), std::iter::empty(), posted_at)
}

/// When the game of a pick begins: from its own words, its line, another line about the same side, lines without names, or a heading.
/// Lines count only if they agree on one time.
pub(super) fn start_of(pick: &Pick, text: &PostText, posted_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let only = |lines: &mut dyn Iterator<Item = &[Token]>| {
        let starts: BTreeSet<_> = lines.filter_map(|line| start(line, std::iter::empty(), posted_at)).collect();
        starts.first().copied().filter(|_| starts.len() == 1)
    };
    let Some(place) = text.locate(pick) else { return only(&mut text.lines()) };
    let days = || place.headings().chain(place.nameless());
    let own = start(place.words(), days(), posted_at);
    let of_line = || (times(place.line()).count() == 1).then(|| start(place.line(), days(), posted_at)).flatten();
    let same = || only(&mut place.of_the_same());
    let heading = || place.headings().find_map(|heading| start(heading, std::iter::empty(), posted_at));
    own.or_else(of_line).or_else(same).or_else(|| only(&mut place.nameless())).or_else(heading)
}

/// When the first game of a parlay begins.
pub(super) fn first_start(text: &PostText, posted_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    text.lines().filter_map(|line| start(line, std::iter::empty(), posted_at)).min()
}

/// The start that some words name. The day comes from the same words, or else from the words of `elsewhere`.
fn start<'a>(
    tokens: &[Token],
    mut elsewhere: impl Iterator<Item = &'a [Token]>,
    posted_at: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let said = times(tokens).next()?;
    let today = posted_at.with_timezone(&said.zone).date_naive();
    let on = |day: NaiveDate| {
        let local = said.zone.from_local_datetime(&day.and_time(said.time)).earliest();
        local.map(|at| at.with_timezone(&Utc))
    };
    match day(tokens, Some(&said), today).or_else(|| elsewhere.find_map(|line| day(line, None, today))) {
        Some(day) => on(day),
        None => on(today).filter(|at| *at >= posted_at).or_else(|| on(today.checked_add_days(Days::new(1))?)),
    }
}

/// A time of day in a text.
struct StatedTime {
    time: NaiveTime,
    zone: Tz,
    at: Range<usize>,
}

fn times(tokens: &[Token]) -> impl Iterator<Item = StatedTime> {
    let words: Vec<&str> = tokens.iter().map(|t| t.folded.as_str()).collect();
    (0..words.len()).filter_map(move |at| time_at(&words, at))
}

fn is_american(zone: Tz) -> bool {
    matches!(zone, Tz::America__New_York | Tz::America__Chicago | Tz::America__Denver | Tz::America__Los_Angeles)
}

/// The time that begins at a word, with its zone: `7:30pm et`, `7 pm est`, `20:45 cet`.
fn time_at(words: &[&str], at: usize) -> Option<StatedTime> {
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
    let (half, zone) = if let Some(zone) = zone(half) {
        ("", zone)
    } else {
        next += 1;
        (half, zone(word(next - 1))?)
    };
    let hour = match (half, hour) {
        ("am" | "a", 12) => 0,
        ("pm" | "p", 1..=11) => hour + 12,
        ("", 1..=11) if is_american(zone) => hour + 12,
        ("am" | "a" | "pm" | "p" | "", _) => hour,
        _ => return None,
    };
    NaiveTime::from_hms_opt(hour, minute, 0).map(|time| StatedTime { time, zone, at: at..next })
}

/// Splits `7`, `7:30` or `7:30pm` into hour, minute and trailing letters.
fn clock(word: &str) -> Option<(u32, u32, &str)> {
    let digits = word.find(|c: char| c.is_alphabetic()).unwrap_or(word.len());
    let (time, letters) = word.split_at(digits);
    let (hour, minute) = time.split_once(':').unwrap_or((time, "0"));
    let number = |text: &str| (text.len() <= 2 && !text.is_empty()).then(|| text.parse::<u32>().ok()).flatten();
    let (hour, minute) = (number(hour)?, number(minute)?);
    (hour < 24 && minute < 60).then_some((hour, minute, letters))
}

/// The day that the words name, not before the day of the post. Ambiguous words, such as "Sun" or 11/10, count only beside the time.
fn day(tokens: &[Token], time: Option<&StatedTime>, today: NaiveDate) -> Option<NaiveDate> {
    let word = |at: usize| tokens.get(at).map_or("", |t| t.folded.as_str());
    let before = |at: usize| at.checked_sub(1).map_or("", word);
    let between = |mut words: Range<usize>| {
        words.all(|at| BETWEEN.contains(&word(at)) || weekday(word(at)).is_some() || date(word(at), today).is_some())
    };
    let beside = |at: usize| match time {
        Some(said) if at < said.at.start => between(at + 1..said.at.start),
        Some(said) => at >= said.at.end && between(said.at.end..at),
        None => true,
    };
    let dated = |at: usize| time.is_none_or(|said| is_american(said.zone)) && beside(at);
    (0..tokens.len()).find_map(|at| match word(at) {
        "tonight" | "today" | "tonight's" | "today's" => Some(today),
        "tomorrow" | "tomorrow's" | "tmrw" | "tmw" => today.succ_opt(),
        _ if matches!(before(at), "last" | "since" | "from") => None,
        name if weekday(name).is_some() && (name.len() > 5 || beside(at) && !is_named(before(at))) => {
            weekday(name).and_then(|day| next(day, today))
        }
        name => date(name, today).filter(|_| dated(at)),
    })
}

/// Whether the word before shows that the next one is the name of a team: "Aces @ Sun".
fn is_named(before: &str) -> bool {
    matches!(before, "@" | "vs" | "v" | "/" | "the")
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

/// A date such as `11/21`, month first, if it is at most `FURTHEST` days after today.
fn date(word: &str, today: NaiveDate) -> Option<NaiveDate> {
    let (month, day) = word.split_once('/')?;
    let (month, day) = (month.parse().ok()?, day.parse().ok()?);
    let near = |date: &NaiveDate| (0..=FURTHEST).contains(&(*date - today).num_days());
    [today.year(), today.year() + 1].into_iter().find_map(|year| NaiveDate::from_ymd_opt(year, month, day).filter(near))
}
