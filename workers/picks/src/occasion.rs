//! The period that a bet belongs to: the same words mean another game a day or a week later.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, TimeDelta, Utc, Weekday};
use perch_jobs::{Parlay, Pick, PickKind};

/// When a day begins, after midnight UTC: the evening games in America are over by then.
pub const DAY_BEGINS: TimeDelta = TimeDelta::hours(6);

/// How long the same words mean the same game, shortest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cadence {
    /// Teams and players that play daily or every other day.
    Day,
    /// Soccer: from Tuesday to Thursday, and from Friday to Monday.
    HalfWeek,
    /// One game or one event a week, from Tuesday to Monday.
    Week,
    /// Bets that are decided at the end of a season, from July to June.
    Season,
}

/// The occasion of a bet, such as `2026-11-22`: the first day of the period in which the same words mean the same game. It is taken
/// from the start of the game if the post names one, otherwise from the time of the post.
pub fn occasion(pick: &Pick, posted_at: DateTime<Utc>, starts_at: Option<DateTime<Utc>>) -> String {
    first_day(cadence(pick), starts_at.unwrap_or(posted_at))
}

/// The occasion of a parlay: its leg with the shortest period decides.
pub fn parlay_occasion(parlay: &Parlay, posted_at: DateTime<Utc>, starts_at: Option<DateTime<Utc>>) -> String {
    let cadence = parlay.picks.iter().map(cadence).min().unwrap_or(Cadence::Day);
    first_day(cadence, starts_at.unwrap_or(posted_at))
}

fn cadence(pick: &Pick) -> Cadence {
    match (pick.kind, pick.sport.as_deref()) {
        (PickKind::Future, _) => Cadence::Season,
        (_, Some("soccer")) => Cadence::HalfWeek,
        (_, Some("nfl" | "ncaaf" | "mma" | "boxing" | "golf")) => Cadence::Week,
        _ => Cadence::Day,
    }
}

fn first_day(cadence: Cadence, at: DateTime<Utc>) -> String {
    let day = at.checked_sub_signed(DAY_BEGINS).unwrap_or(at).date_naive();
    let back = |to: Weekday| Days::new(u64::from(day.weekday().days_since(to)));
    let first = match cadence {
        Cadence::Day => Some(day),
        Cadence::HalfWeek if matches!(day.weekday(), Weekday::Tue | Weekday::Wed | Weekday::Thu) => {
            day.checked_sub_days(back(Weekday::Tue))
        }
        Cadence::HalfWeek => day.checked_sub_days(back(Weekday::Fri)),
        Cadence::Week => day.checked_sub_days(back(Weekday::Tue)),
        Cadence::Season => {
            let year = if day.month() >= 7 { day.year() } else { day.year() - 1 };
            NaiveDate::from_ymd_opt(year, 7, 1)
        }
    };
    first.unwrap_or(day).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn pick(kind: PickKind, sport: Option<&str>) -> Pick {
        Pick { sport: sport.map(str::to_owned), selection: Some("Somebody".into()), ..Pick::of(kind) }
    }

    #[test]
    fn a_bet_is_of_the_day_the_half_week_or_the_week_in_which_its_words_mean_one_game() {
        // 2026-11-24 is a Tuesday.
        for (sport, posted, occasion_of) in [
            ("nba", "2026-11-24T18:00:00Z", "2026-11-24"),
            ("nba", "2026-11-25T04:00:00Z", "2026-11-24"),
            ("nba", "2026-11-25T18:00:00Z", "2026-11-25"),
            ("mlb", "2026-07-01T15:00:00Z", "2026-07-01"),
            ("nfl", "2026-11-24T18:00:00Z", "2026-11-24"),
            ("nfl", "2026-11-29T18:00:00Z", "2026-11-24"),
            ("nfl", "2026-12-01T05:00:00Z", "2026-11-24"),
            ("nfl", "2026-12-01T18:00:00Z", "2026-12-01"),
            ("soccer", "2026-11-26T18:00:00Z", "2026-11-24"),
            ("soccer", "2026-11-27T18:00:00Z", "2026-11-27"),
            ("soccer", "2026-11-30T18:00:00Z", "2026-11-27"),
            ("mma", "2026-11-28T23:00:00Z", "2026-11-24"),
        ] {
            let pick = pick(PickKind::Moneyline, Some(sport));
            assert_eq!(occasion(&pick, at(posted), None), occasion_of, "{sport} {posted}");
        }
        let unknown = pick(PickKind::Moneyline, None);
        assert_eq!(occasion(&unknown, at("2026-11-24T18:00:00Z"), None), "2026-11-24");
    }

    #[test]
    fn the_time_of_the_game_counts_before_that_of_the_post() {
        let pick = pick(PickKind::Spread, Some("nba"));
        let starts = Some(at("2026-11-26T00:30:00Z"));
        assert_eq!(occasion(&pick, at("2026-11-24T18:00:00Z"), starts), "2026-11-25");
        assert_eq!(occasion(&pick, at("2026-11-25T18:00:00Z"), None), "2026-11-25");
    }

    #[test]
    fn a_future_is_of_its_season() {
        let future = pick(PickKind::Future, Some("nba"));
        for (posted, season) in [("2026-11-24T18:00:00Z", "2026-07-01"), ("2027-05-01T18:00:00Z", "2026-07-01")] {
            assert_eq!(occasion(&future, at(posted), None), season);
        }
    }

    #[test]
    fn a_parlay_comes_round_with_the_leg_that_does_soonest() {
        let legs = |sports: [&str; 2]| Parlay {
            kind: perch_jobs::ParlayTag::Parlay,
            picks: sports.map(|sport| pick(PickKind::Moneyline, Some(sport))).to_vec(),
            odds: None,
        };
        let posted = at("2026-11-29T18:00:00Z");
        assert_eq!(parlay_occasion(&legs(["nfl", "nfl"]), posted, None), "2026-11-24");
        assert_eq!(parlay_occasion(&legs(["nfl", "soccer"]), posted, None), "2026-11-27");
        assert_eq!(parlay_occasion(&legs(["nfl", "nba"]), posted, None), "2026-11-29");
    }

    #[test]
    fn any_time_has_a_day() {
        for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            assert!(!occasion(&pick(PickKind::Spread, Some("nfl")), time, None).is_empty());
        }
    }
}
