//! Statistics of samples.

use std::time::{Duration, Instant};

/// A count as a float.
#[expect(clippy::cast_precision_loss, reason = "no count here reaches 2^52")]
pub fn float(n: usize) -> f64 {
    n as f64
}

/// How many of `n` a second since `began`.
pub fn rate(n: usize, began: Instant) -> f64 {
    float(n) / began.elapsed().as_secs_f64()
}

/// A duration in milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The value below which the share `q` (0 to 1) of the samples lies: the nearest of them, no interpolation. NaN without any.
pub fn quantile(samples: &[f64], q: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let place = (q * float(sorted.len())).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The middle one of the samples, the mean of the two middle ones where their number is even. NaN without any.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert!((median(&[9.0, 1.0, 5.0]) - 5.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 9.0]) - 3.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_quantile_is_one_of_the_samples() {
        let samples: Vec<f64> = (1..=200).map(f64::from).collect();
        assert!((quantile(&samples, 0.99) - 198.0).abs() < f64::EPSILON);
        assert!((quantile(&samples, 0.5) - 100.0).abs() < f64::EPSILON);
        assert!((quantile(&samples, 1.0) - 200.0).abs() < f64::EPSILON);
    }
}
