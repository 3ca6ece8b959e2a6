//! Cron expressions in a time zone.

use std::fmt;

use chrono::{DateTime, SubsecRound, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

/// An invalid cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Too many or too few fields.
    #[error("{expression:?} has {fields} fields; a schedule has five, or six with seconds first")]
    Fields {
        /// The given expression.
        expression: String,
        /// How many fields it has.
        fields: usize,
    },
    /// A field that cannot be read.
    #[error("{expression:?} is not a cron expression: {reason}")]
    Field {
        /// The given expression.
        expression: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A schedule without any tick, such as 30 February.
    #[error("{expression:?} names a date that never comes")]
    Never {
        /// The given expression.
        expression: String,
    },
}

/// The schedule of a cron entry: a cron expression in the local time of a time zone.
///
/// Ticks fall on whole seconds. On days of a clock change, an expression with a fixed time still fires once: at the first moment
/// after the gap in spring if its time is skipped, and at the first occurrence in autumn. A repeating expression (`*` or steps in
/// its hours, minutes or seconds) follows elapsed time: it does not fire for the skipped hour, and fires in both occurrences of
/// the repeated hour.
#[derive(Clone)]
pub struct CronSchedule {
    expression: String,
    cron: Cron,
    timezone: Tz,
}

impl CronSchedule {
    /// Reads an expression of five fields (minute, hour, day of month, month, day of week), or six with seconds first.
    pub fn parse(expression: &str, timezone: Tz) -> Result<Self, ScheduleError> {
        let shown = || expression.chars().take(100).collect::<String>();
        let fields = expression.split_whitespace().count();
        if !(5..=6).contains(&fields) {
            return Err(ScheduleError::Fields { expression: shown(), fields });
        }
        // The parser reads an empty list item as a field that matches no time, and the search for a match then takes minutes.
        if let Some(field) = expression.split_whitespace().find(|field| field.split(',').any(str::is_empty)) {
            let reason =
                format!("a value is missing beside a comma in {:?}", field.chars().take(100).collect::<String>());
            return Err(ScheduleError::Field { expression: shown(), reason });
        }
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Optional)
            .build()
            .parse(expression)
            .map_err(|error| ScheduleError::Field { expression: shown(), reason: error.to_string() })?;
        let schedule = Self { expression: expression.to_owned(), cron, timezone };
        match schedule.next_after(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never { expression: shown() }),
        }
    }

    /// The first tick after `time`; none beyond the range of chrono.
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = self.cron.find_next_occurrence(&self.local(time), false).ok()?;
        Some(next.with_timezone(&Utc))
    }

    /// The last tick at or before `time`.
    pub fn previous_at_or_before(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let previous = self.cron.find_previous_occurrence(&self.local(time), true).ok()?;
        Some(previous.with_timezone(&Utc))
    }

    /// The first `limit` ticks after `after`, up to and including `until`, oldest first.
    pub fn ticks_between(&self, after: DateTime<Utc>, until: DateTime<Utc>, limit: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next_after(after), |tick| self.next_after(*tick))
            .take_while(|tick| *tick <= until)
            .take(limit)
            .collect()
    }

    /// The cron expression.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The time zone.
    pub fn timezone(&self) -> Tz {
        self.timezone
    }

    fn local(&self, time: DateTime<Utc>) -> DateTime<Tz> {
        time.trunc_subsecs(0).with_timezone(&self.timezone)
    }
}

impl fmt::Debug for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronSchedule({:?} in {})", self.expression, self.timezone)
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America::New_York, Europe::Berlin, UTC};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("tests write valid times")
    }

    fn schedule(expression: &str, timezone: Tz) -> CronSchedule {
        CronSchedule::parse(expression, timezone).expect("tests write valid schedules")
    }

    fn ticks(schedule: &CronSchedule, after: &str, until: &str) -> Vec<String> {
        schedule
            .ticks_between(at(after), at(until), 100)
            .into_iter()
            .map(|tick| tick.format("%dT%H:%M:%S").to_string())
            .collect()
    }

    #[test]
    fn five_fields_tick_on_the_minute_and_six_on_the_second() {
        let minutes = schedule("*/15 * * * *", UTC);
        assert_eq!(minutes.next_after(at("2026-01-01T00:00:00Z")), Some(at("2026-01-01T00:15:00Z")));
        let seconds = schedule("*/10 * * * * *", UTC);
        assert_eq!(seconds.next_after(at("2026-01-01T00:00:00Z")), Some(at("2026-01-01T00:00:10Z")));
    }

    #[test]
    fn a_fraction_of_a_second_neither_repeats_nor_loses_a_tick() {
        let schedule = schedule("* * * * * *", UTC);
        assert_eq!(schedule.next_after(at("2026-01-01T00:00:00.999Z")), Some(at("2026-01-01T00:00:01Z")));
        assert_eq!(schedule.next_after(at("2026-01-01T00:00:01.001Z")), Some(at("2026-01-01T00:00:02Z")));
        assert_eq!(schedule.previous_at_or_before(at("2026-01-01T00:00:01.999Z")), Some(at("2026-01-01T00:00:01Z")));
    }

    #[test]
    fn the_previous_tick_may_be_the_moment_itself() {
        let daily = schedule("0 9 * * *", UTC);
        assert_eq!(daily.previous_at_or_before(at("2026-01-02T09:00:00Z")), Some(at("2026-01-02T09:00:00Z")));
        assert_eq!(daily.previous_at_or_before(at("2026-01-02T08:59:59Z")), Some(at("2026-01-01T09:00:00Z")));
    }

    #[test]
    fn ticks_between_excludes_the_start_includes_the_end_and_keeps_to_the_limit() {
        let hourly = schedule("0 * * * *", UTC);
        assert_eq!(ticks(&hourly, "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z"), ["01T01:00:00", "01T02:00:00"]);
        let (after, until) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
        let limited = hourly.ticks_between(after, until, 3);
        assert_eq!(limited.last(), Some(&at("2026-01-01T03:00:00Z")));
        assert!(hourly.ticks_between(until, after, 3).is_empty());
    }

    #[test]
    fn in_berlin_a_time_that_spring_skips_fires_right_after_the_gap_once() {
        // On 29 March 2026 Berlin goes from 02:00 to 03:00 at 01:00 UTC.
        let nightly = schedule("30 2 * * *", Berlin);
        assert_eq!(
            ticks(&nightly, "2026-03-28T00:00:00Z", "2026-03-30T23:00:00Z"),
            ["28T01:30:00", "29T01:00:00", "30T00:30:00"]
        );
        assert_eq!(nightly.previous_at_or_before(at("2026-03-29T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
    }

    #[test]
    fn in_berlin_a_time_that_autumn_repeats_fires_once() {
        // On 25 October 2026 Berlin goes from 03:00 back to 02:00 at 01:00 UTC.
        let nightly = schedule("30 2 * * *", Berlin);
        assert_eq!(ticks(&nightly, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"), ["25T00:30:00", "26T01:30:00"]);
        assert_eq!(nightly.previous_at_or_before(at("2026-10-25T12:00:00Z")), Some(at("2026-10-25T00:30:00Z")));
    }

    #[test]
    fn in_new_york_a_repeating_schedule_follows_the_time_that_passes() {
        // On 8 March 2026 New York goes from 02:00 to 03:00 at 07:00 UTC, on 1 November from 02:00 to 01:00 at 06:00 UTC.
        let half_hourly = schedule("*/30 * * * *", New_York);
        assert_eq!(
            ticks(&half_hourly, "2026-03-08T06:00:00Z", "2026-03-08T07:30:00Z"),
            ["08T06:30:00", "08T07:00:00", "08T07:30:00"]
        );
        assert_eq!(
            ticks(&half_hourly, "2026-11-01T05:00:00Z", "2026-11-01T06:30:00Z"),
            ["01T05:30:00", "01T06:00:00", "01T06:30:00"]
        );
    }

    #[test]
    fn in_new_york_a_fixed_time_keeps_its_wall_clock_over_the_year() {
        let morning = schedule("0 9 * * *", New_York);
        assert_eq!(morning.next_after(at("2026-01-15T00:00:00Z")), Some(at("2026-01-15T14:00:00Z")));
        assert_eq!(morning.next_after(at("2026-07-15T00:00:00Z")), Some(at("2026-07-15T13:00:00Z")));
        let night = schedule("30 1 * * *", New_York);
        assert_eq!(ticks(&night, "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z"), ["01T05:30:00", "02T06:30:00"]);
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for expression in ["", "* * * *", "@daily", "* * * * * * *", "61 * * * *", "nonsense at five past nine"] {
            assert!(CronSchedule::parse(expression, UTC).is_err(), "{expression:?}");
        }
        assert!(matches!(CronSchedule::parse("0 0 30 2 *", UTC), Err(ScheduleError::Never { .. })));
    }

    #[test]
    fn a_list_of_nothing_is_refused_before_a_time_is_searched_for_it() {
        for expression in [", * * * *", "0 , * * *", ",, * * * * *", "0,,30 * * * *", "0 0 1, * *"] {
            let refused = CronSchedule::parse(expression, UTC);
            assert!(matches!(refused, Err(ScheduleError::Field { .. })), "{expression:?}: {refused:?}");
        }
    }
}
