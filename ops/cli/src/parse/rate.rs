//! Rates such as `10/s`, and the pace that keeps to them.

use std::{str::FromStr, time::Duration};

use crate::parse::time::duration;

/// A count per time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Duration,
}

const HELP: &str = "write a number and a time, such as 10/s, 100/m or 5/10s";

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is not a rate; {HELP}");
        let (count, per) = text.split_once('/').ok_or_else(refuse)?;
        let count = count.trim().parse::<u32>().ok().filter(|n| *n > 0).ok_or_else(refuse)?;
        let per = per.trim();
        let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
        let per = duration(&per).ok().filter(|d| !d.is_zero()).ok_or_else(refuse)?;
        Ok(Self { count, per })
    }
}

impl Rate {
    /// When item `n` (from 0) may go, measured from the start: the first at once, the rest evenly spaced.
    pub fn due(self, n: u64) -> Duration {
        let nanos = self.per.as_nanos() * u128::from(n) / u128::from(self.count);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many items make a step, 1 to `most`, so that steps are about a tenth of a second apart.
    pub fn step(self, most: usize) -> usize {
        let tenth = u128::from(self.count) * 100_000_000 / self.per.as_nanos().max(1);
        usize::try_from(tenth).unwrap_or(most).clamp(1, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().expect("a rate")
    }

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        assert_eq!(rate("10/s"), Rate { count: 10, per: Duration::from_secs(1) });
        assert_eq!(rate("5/10s"), Rate { count: 5, per: Duration::from_secs(10) });
        assert_eq!(rate("100 / min"), Rate { count: 100, per: Duration::from_secs(60) });
        for bad in ["10", "0/s", "-1/s", "ten/s", "10/", "10/0s", "10/fortnight"] {
            assert!(bad.parse::<Rate>().expect_err(bad).contains("10/s"), "{bad}");
        }
    }

    #[test]
    fn items_go_evenly_over_the_time() {
        let rate = rate("10/s");
        assert_eq!(rate.due(0), Duration::ZERO);
        assert_eq!(rate.due(1), Duration::from_millis(100));
        assert_eq!(rate.due(25), Duration::from_millis(2_500));
    }

    #[test]
    fn fast_rates_go_in_larger_steps() {
        assert_eq!(rate("1/m").step(100), 1);
        assert_eq!(rate("200/s").step(100), 20);
        assert_eq!(rate("1000000/s").step(100), 100);
    }
}
