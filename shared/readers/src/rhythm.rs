//! When readers are there, and when they react.

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use chrono_tz::Tz;
use rand::RngExt as _;

use crate::generator;

/// How much fewer readers there are at the quietest hour, and more at the busiest.
const REACH_OF_HOURS: f64 = 0.4;
/// The same for weekdays.
const REACH_OF_WEEKDAYS: f64 = 0.1;

/// The rhythm of a day and a week.
#[derive(Debug, Clone)]
pub(crate) struct Rhythm {
    timezone: Tz,
    strength: f64,
    busiest: f64,
    keenest: f64,
    reach_of_weekdays: [f64; 7],
    rate_of_weekdays: [f64; 7],
}

impl Rhythm {
    /// `strength` is the logarithm of how much more readers react at the keenest hour than on average.
    pub(crate) fn new(seed: u64, strength: f64, timezone: Tz) -> Self {
        let mut rng = generator(seed, "rhythm");
        Self {
            timezone,
            strength,
            busiest: rng.random_range(16.0..21.0),
            keenest: rng.random_range(0.0..24.0),
            reach_of_weekdays: std::array::from_fn(|_| rng.random_range(-1.0..1.0)),
            rate_of_weekdays: std::array::from_fn(|_| rng.random_range(-1.0..1.0)),
        }
    }

    /// The factor of how many see a post; 1 on average over a day.
    pub(crate) fn reach(&self, at: DateTime<Utc>) -> f64 {
        let (hour, weekday) = self.local(at);
        (1.0 + REACH_OF_HOURS * wave(hour, self.busiest)) * (1.0 + REACH_OF_WEEKDAYS * self.reach_of_weekdays[weekday])
    }

    /// The logarithm of the factor of how many of those react; 0 on average over a day.
    pub(crate) fn rate(&self, at: DateTime<Utc>) -> f64 {
        let (hour, weekday) = self.local(at);
        self.strength * (wave(hour, self.keenest) + 0.5 * self.rate_of_weekdays[weekday])
    }

    fn local(&self, at: DateTime<Utc>) -> (f64, usize) {
        let local = at.with_timezone(&self.timezone);
        let hour = f64::from(local.hour()) + f64::from(local.minute()) / 60.0;
        (hour, local.weekday().num_days_from_monday() as usize)
    }
}

/// A wave over the day, 1 at its top and -1 half a day later.
fn wave(hour: f64, top: f64) -> f64 {
    ((hour - top) / 24.0 * std::f64::consts::TAU).cos()
}
