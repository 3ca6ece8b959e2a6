//! Intervals by resampling whole groups (Efron & Tibshirani 1993, chapter 13: percentile intervals).
//!
//! Posts of one day, or arms of one test, share what happened that day or in that test. To resample single rows would treat them as
//! independent and give intervals that are too narrow.

use std::fmt;

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::learning::generator;

/// How often to resample if the caller has no reason for another number.
pub const RESAMPLES: u32 = 2_000;

/// A value with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The value on all the data.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(4);
        write!(f, "{:.digits$} [{:.digits$}, {:.digits$}]", self.value, self.low, self.high)
    }
}

/// The statistics on all groups, each with the interval from `resamples` draws of as many groups with replacement.
///
/// `statistics` gets the indexes of the groups that were drawn, and returns the same number of values each time. A value that is not
/// finite, as a ratio over nothing, is left out of its interval.
pub fn by_group<const N: usize>(
    groups: usize,
    resamples: u32,
    seed: u64,
    statistics: impl Fn(&[usize]) -> [f64; N],
) -> [Estimate; N] {
    let mut drawn: Vec<usize> = (0..groups).collect();
    let on_all = statistics(&drawn);
    let mut rng = generator(seed);
    let mut found: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(resamples as usize));
    for _ in 0..if groups == 0 { 0 } else { resamples } {
        for group in &mut drawn {
            *group = rng.random_range(0..groups);
        }
        for (values, value) in found.iter_mut().zip(statistics(&drawn)) {
            values.extend(Some(value).filter(|value| value.is_finite()));
        }
    }
    std::array::from_fn(|i| {
        found[i].sort_by(f64::total_cmp);
        let at = |share| quantile(&found[i], share).unwrap_or(on_all[i]);
        Estimate { value: on_all[i], low: at(0.025), high: at(0.975) }
    })
}

/// The quantile of sorted values, interpolated between neighbours; `None` if there are none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length is an index")]
pub(crate) fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * (sorted.len().checked_sub(1)? as f64);
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[below] + (place - place.floor()) * (sorted[above] - sorted[below]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_as_wide_as_the_normal_theory_says() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let mean = |drawn: &[usize]| [drawn.iter().map(|&i| values[i]).sum::<f64>() / drawn.len() as f64];
        let [estimate] = by_group(values.len(), RESAMPLES, 7, mean);
        // The standard deviation of 0..=19 is 5.77, that of the mean of 400 is 0.288.
        assert!((estimate.value - 9.5).abs() < 1e-9);
        assert!((estimate.high - estimate.low - 2.0 * 1.96 * 0.288).abs() < 0.1, "{estimate}");
    }

    #[test]
    fn rows_that_move_together_get_a_wider_interval_than_rows_alone() {
        let day = |group: usize| f64::from(u32::try_from(group % 2).expect("a bit"));
        let [by_day] = by_group(10, RESAMPLES, 7, |drawn| [drawn.iter().map(|&d| day(d)).sum::<f64>() / 10.0]);
        let [by_row] = by_group(1_000, RESAMPLES, 7, |drawn| [drawn.iter().map(|&r| day(r)).sum::<f64>() / 1_000.0]);
        assert!(by_day.high - by_day.low > 5.0 * (by_row.high - by_row.low));
    }

    #[test]
    fn without_data_there_is_no_value_and_no_panic() {
        let [estimate] = by_group(0, RESAMPLES, 7, |drawn| [0.0 / drawn.len() as f64]);
        assert!(estimate.value.is_nan() && estimate.low.is_nan());
    }
}
