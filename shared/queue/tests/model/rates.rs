//! Rates in the model: limiters, and the guarantee of a rate independent of its implementation.

use std::collections::BTreeMap;

use perch_base::settings::Rate;

use crate::invariants::Checked;

/// A group, or nothing for the queue as a whole.
pub type Limiter = &'static str;

pub const QUEUE: Limiter = "";

/// Limiters by the generic cell rate algorithm. Times are in milliseconds, and fractions of them count.
#[derive(Debug, Default, Clone)]
pub struct Rates {
    /// The theoretical arrival time of the next start of each.
    pub arrivals: BTreeMap<Limiter, f64>,
}

#[expect(clippy::cast_precision_loss, reason = "times fit a float for many thousand years")]
fn exact(ms: i64) -> f64 {
    ms as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a whole number of milliseconds since 1970")]
fn whole(ms: f64) -> i64 {
    ms as i64
}

/// Milliseconds between two starts.
fn step(rate: Rate) -> f64 {
    rate.per.as_secs_f64() * 1_000.0 / f64::from(rate.count)
}

/// The stored limiters that still matter, rounded to milliseconds, because sums of fractions differ in their last digits.
pub fn ahead<'a>(of: impl IntoIterator<Item = (&'a str, f64)>, now: i64) -> BTreeMap<String, i64> {
    let ahead = of.into_iter().filter(|(_, at)| at.round() > exact(now));
    ahead.map(|(limiter, at)| (limiter.to_owned(), whole(at.round()))).collect()
}

impl Rates {
    /// A limiter further ahead than its whole burst is of an earlier rate and is ignored.
    fn arrival(&self, limiter: Limiter, rate: Rate, now: i64) -> f64 {
        let most = exact(now) + f64::from(rate.count) * step(rate) + 1.0;
        self.arrivals.get(limiter).copied().filter(|at| (exact(now)..=most).contains(at)).unwrap_or(exact(now))
    }

    /// When a job may start, if not now.
    pub fn wait(&self, limiter: Limiter, rate: Rate, now: i64) -> Option<i64> {
        let free = self.arrival(limiter, rate, now) - f64::from(rate.count - 1) * step(rate);
        // Numbers this large are only exact to 0.01 ms.
        (free - 0.01 > exact(now)).then(|| whole((free - 0.01).ceil()))
    }

    pub fn start(&mut self, limiter: Limiter, rate: Rate, now: i64) {
        let next = self.arrival(limiter, rate, now) + step(rate);
        self.arrivals.insert(limiter, next);
    }
}

/// The starts of each limiter, as a worker saw them.
#[derive(Debug, Default)]
pub struct Starts(BTreeMap<Limiter, Vec<i64>>);

impl Starts {
    pub fn record(&mut self, limiter: Limiter, now: i64) {
        self.0.entry(limiter).or_default().push(now);
    }

    /// No time span has more starts than the burst plus those that the rate allows in the span.
    pub fn keep_to(&self, limiter: Limiter, rate: Option<Rate>) -> Checked {
        let (Some(rate), Some(starts)) = (rate, self.0.get(limiter)) else { return Ok(()) };
        let last = starts.last().copied().unwrap_or_default();
        for (place, first) in starts.iter().enumerate() {
            let allowed = rate.count as usize + usize::try_from(whole(exact(last - first) / step(rate))).unwrap_or(0);
            let found = starts.len() - place;
            if found > allowed {
                let span = last - first;
                return Err(format!("broken: no more starts than the rate: {found} of {limiter:?} in {span} ms"));
            }
        }
        Ok(())
    }
}
