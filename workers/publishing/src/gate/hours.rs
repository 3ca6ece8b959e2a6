//! The day and the quiet hours of an account in its time zone. Pure functions.
//!
//! They go through the minutes one by one. Time zones change their offset at whole minutes, so this is right where clocks skip or
//! repeat an hour or skip a day. A day takes less than a millisecond.

use chrono::{DateTime, DurationRound as _, NaiveDate, TimeDelta, Utc};
use perch_base::settings::PostingSettings;

const MINUTE: TimeDelta = TimeDelta::minutes(1);
/// In minutes: no day, and no period of quiet hours with at least one open minute a day, is longer.
const REACH: i32 = 3 * 24 * 60;

/// A day of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PostingDay {
    pub began: DateTime<Utc>,
    pub ends: DateTime<Utc>,
}

/// Whether an act may begin by the quiet hours and the day of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PostingWindow {
    /// It may begin between these times.
    Open { from: DateTime<Utc>, until: DateTime<Utc> },
    /// Quiet hours last until then.
    Quiet { until: DateTime<Utc> },
    /// The day ends too soon; it may begin then, on the next day.
    LastOfDay { until: DateTime<Utc> },
}

/// The day at `now`.
pub(crate) fn day(settings: &PostingSettings, now: DateTime<Utc>) -> PostingDay {
    let date = |at: DateTime<Utc>| -> NaiveDate { at.with_timezone(&settings.timezone).date_naive() };
    let today = date(now);
    let began = last_before(now, |at| date(at) == today);
    PostingDay { began, ends: first_after(now, |at| date(at) != today) }
}

/// Whether `at` is in quiet hours.
pub(crate) fn is_quiet(settings: &PostingSettings, at: DateTime<Utc>) -> bool {
    let quiet = &settings.quiet;
    let time = at.with_timezone(&quiet.timezone.unwrap_or(settings.timezone)).time();
    if quiet.from <= quiet.to { quiet.from <= time && time < quiet.to } else { quiet.from <= time || time < quiet.to }
}

/// The first moment from `at` on that is not in quiet hours.
pub(crate) fn open_from(settings: &PostingSettings, at: DateTime<Utc>) -> DateTime<Utc> {
    if is_quiet(settings, at) { first_after(at, |at| !is_quiet(settings, at)) } else { at }
}

/// Whether an act may begin within `within` of `now`. Where the account has daily quotas it has to begin on the day that it counts for.
pub(super) fn hour(
    settings: &PostingSettings,
    day: &PostingDay,
    now: DateTime<Utc>,
    within: TimeDelta,
) -> PostingWindow {
    if is_quiet(settings, now) {
        return PostingWindow::Quiet { until: open_from(settings, now) };
    }
    let ends = if has_caps(settings) { day.ends } else { now + TimeDelta::days(1) };
    let quiet_from =
        if settings.quiet.are_set() { first_after(now, |at| is_quiet(settings, at)) } else { DateTime::<Utc>::MAX_UTC };
    let until = ends.min(quiet_from);
    if now + within <= until {
        return PostingWindow::Open { from: floor(now), until };
    }
    let open = open_from(settings, until);
    if quiet_from <= ends { PostingWindow::Quiet { until: open } } else { PostingWindow::LastOfDay { until: open } }
}

/// Whether the account has a daily quota.
pub(crate) fn has_caps(settings: &PostingSettings) -> bool {
    settings.per_day > 0 || settings.replies_per_day > 0 || settings.retweets_per_day > 0
}

fn floor(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(MINUTE).unwrap_or(at)
}

fn first_after(now: DateTime<Utc>, holds: impl Fn(DateTime<Utc>) -> bool) -> DateTime<Utc> {
    let start = floor(now);
    let minutes = (1..=REACH).map(|n| start + MINUTE * n);
    let last = start + MINUTE * REACH;
    minutes.into_iter().find(|at| holds(*at)).unwrap_or(last)
}

fn last_before(now: DateTime<Utc>, holds: impl Fn(DateTime<Utc>) -> bool) -> DateTime<Utc> {
    let start = floor(now);
    (0..=REACH).map(|n| start - MINUTE * n).take_while(|at| holds(*at)).last().unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{NaiveTime, TimeZone as _, Timelike as _};
    use chrono_tz::{TZ_VARIANTS, Tz};
    use perch_base::settings::{GuardMode, QuietSettings, SimilarMode};
    use proptest::prelude::*;

    use super::*;

    const WITHIN: TimeDelta = TimeDelta::seconds(10);

    fn clock(hour: u32, minute: u32) -> NaiveTime {
        NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day")
    }

    fn settings(timezone: Tz, from: NaiveTime, to: NaiveTime) -> PostingSettings {
        PostingSettings {
            without_redis_after: Duration::ZERO,
            min_interval: Duration::ZERO,
            per_day: 5,
            replies_per_day: 0,
            retweets_per_day: 0,
            per_three_hours: 0,
            timezone,
            quiet: QuietSettings { from, to, timezone: None },
            guard: GuardMode::All,
            similar: SimilarMode::Refuse,
        }
    }

    fn berlin(from: (u32, u32), to: (u32, u32)) -> PostingSettings {
        settings(Tz::Europe__Berlin, clock(from.0, from.1), clock(to.0, to.1))
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn said(settings: &PostingSettings, now: DateTime<Utc>) -> PostingWindow {
        hour(settings, &day(settings, now), now, WITHIN)
    }

    #[test]
    fn quiet_hours_cross_midnight_and_end_by_the_clock_on_the_wall() {
        let night = berlin((23, 0), (7, 0));
        assert_eq!(
            said(&night, at("2026-01-10T23:30:00Z")),
            PostingWindow::Quiet { until: at("2026-01-11T06:00:00Z") }
        );
        assert_eq!(
            said(&night, at("2026-07-10T04:59:59Z")),
            PostingWindow::Quiet { until: at("2026-07-10T05:00:00Z") }
        );
        let open = PostingWindow::Open { from: at("2026-07-10T05:00:00Z"), until: at("2026-07-10T21:00:00Z") };
        assert_eq!(said(&night, at("2026-07-10T05:00:00Z")), open);
    }

    #[test]
    fn what_could_begin_in_quiet_hours_or_on_the_next_day_waits() {
        let night = berlin((23, 0), (7, 0));
        assert_eq!(
            said(&night, at("2026-07-10T20:59:55Z")),
            PostingWindow::Quiet { until: at("2026-07-11T05:00:00Z") }
        );
        let never = berlin((0, 0), (0, 0));
        assert_eq!(
            said(&never, at("2026-07-10T21:59:55Z")),
            PostingWindow::LastOfDay { until: at("2026-07-10T22:00:00Z") }
        );
        let unlimited = PostingSettings { per_day: 0, ..never };
        assert!(matches!(said(&unlimited, at("2026-07-10T21:59:55Z")), PostingWindow::Open { .. }));
    }

    #[test]
    fn a_night_in_which_the_clocks_change_is_an_hour_longer_or_shorter_and_its_day_too() {
        let night = berlin((1, 30), (4, 0));
        assert_eq!(open_from(&night, at("2026-03-29T00:30:00Z")), at("2026-03-29T02:00:00Z"));
        assert_eq!(open_from(&night, at("2026-10-24T23:30:00Z")), at("2026-10-25T03:00:00Z"));
        let hours = |now| {
            let day = day(&night, at(now));
            (day.ends - day.began).num_hours()
        };
        assert_eq!(
            [hours("2026-03-29T12:00:00Z"), hours("2026-10-25T12:00:00Z"), hours("2026-06-01T12:00:00Z")],
            [23, 25, 24]
        );
    }

    #[test]
    fn an_end_that_the_clocks_leave_out_is_the_moment_at_which_they_jump() {
        let night = berlin((23, 0), (2, 30));
        assert_eq!(open_from(&night, at("2026-03-29T00:59:00Z")), at("2026-03-29T01:00:00Z"));
    }

    proptest! {
        #[test]
        fn whatever_the_zone_and_the_day_nothing_begins_while_the_wall_shows_quiet_hours(
            zone in prop::sample::select(TZ_VARIANTS.to_vec()),
            seconds in 1_704_067_200_i64..1_893_456_000, from in 0u32..1_440, to in 0u32..1_440,
        ) {
            let settings = settings(zone, clock(from / 60, from % 60), clock(to / 60, to % 60));
            let now = Utc.timestamp_opt(seconds, 0).single().expect("a time");
            let quiet = |at: DateTime<Utc>| {
                let time = at.with_timezone(&zone).time();
                let minute = time.hour() * 60 + time.minute();
                if from <= to { from <= minute && minute < to } else { from <= minute || minute < to }
            };
            let date = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
            match said(&settings, now) {
                PostingWindow::Open { until, .. } => {
                    prop_assert!(!quiet(now) && !quiet(now + WITHIN) && now + WITHIN <= until);
                    prop_assert_eq!(date(now), date(now + WITHIN));
                    prop_assert!(quiet(until) || date(until) != date(now));
                    prop_assert!(!quiet(until - TimeDelta::seconds(1)));
                    prop_assert_eq!(date(until - TimeDelta::seconds(1)), date(now));
                }
                PostingWindow::Quiet { until } => {
                    prop_assert!(quiet(now) || quiet(now + WITHIN));
                    prop_assert!(until > now && !quiet(until) && quiet(until - TimeDelta::seconds(1)));
                }
                PostingWindow::LastOfDay { until } => {
                    prop_assert!(until > now && !quiet(until));
                    prop_assert_ne!(date(now), date(until));
                }
            }
            let day = day(&settings, now);
            prop_assert!(day.began <= now && now < day.ends);
            prop_assert_eq!((date(day.began), date(day.ends - TimeDelta::seconds(1))), (date(now), date(now)));
            prop_assert_ne!(date(day.began - TimeDelta::seconds(1)), date(now));
            prop_assert_ne!(date(day.ends), date(now));
        }
    }
}
