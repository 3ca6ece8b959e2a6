//! Learning from randomised tests: of two texts that were shown at random with the same picture, which one got more clicks.
//!
//! Within a test nothing but the text differs, so what is learned is not the hour, the audience or the account. [`read()`] takes the tests
//! from CSV, [`train`] learns from pairs, [`evaluate`] judges on later weeks.

mod judge;
mod model;
mod read;

use rand::{Rng, RngExt as _};
use serde::{Deserialize, Serialize};

pub use self::{
    judge::{Judgement, evaluate, judge},
    model::{PairModel, Training, train},
    read::{ReadError, read},
};

/// One text of a test, and how it fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The test it was shown in.
    pub test: String,
    /// The week of the test, as year and week: `201425`.
    pub week: u32,
    /// The headline.
    pub headline: String,
    /// The excerpt below it; may be empty.
    pub excerpt: String,
    /// The picture; may be empty.
    pub picture: String,
    /// How often it was shown.
    pub impressions: u64,
    /// How often it was clicked.
    pub clicks: u64,
}

impl Package {
    /// The share of impressions that were clicked; 0 if it was not shown.
    pub fn rate(&self) -> f64 {
        self.clicks as f64 / self.impressions.max(1) as f64
    }

    /// The logarithm of the rate, which is a number also without clicks.
    fn log_rate(&self) -> f64 {
        ((self.clicks as f64 + 0.5) / (self.impressions as f64 + 1.0)).ln()
    }
}

/// Two packages of one test with the same picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair<'a> {
    /// The one that comes first in the data.
    pub first: &'a Package,
    /// The other.
    pub second: &'a Package,
    /// By how many standard errors the rate of the first is above that of the second (two proportions, pooled).
    pub z: f64,
}

/// Beyond this many standard errors, two rates differ with 95 % confidence.
pub const SIGNIFICANT: f64 = 1.96;

/// The variance of the difference of two logarithms of rates that no words explain: a standard deviation of 20 %.
const UNEXPLAINED: f64 = 0.04;

impl Pair<'_> {
    /// How much is known of the difference of the logarithms of the two rates, from 0 to 1: the inverse of its variance, which is at least that
    /// by which texts differ that a model takes for the same.
    fn sureness(&self) -> f64 {
        let of_clicks = |package: &Package| 1.0 / (package.clicks as f64 + 2.0);
        UNEXPLAINED / (UNEXPLAINED + of_clicks(self.first) + of_clicks(self.second))
    }

    /// Whether the two rates differ with 95 % confidence.
    pub fn is_significant(&self) -> bool {
        self.z.abs() > SIGNIFICANT
    }
}

/// All pairs of the packages with the same picture, by test. Packages of which none or all was clicked together have no standard error and make no pair.
pub fn pairs(packages: &[Package]) -> Vec<Pair<'_>> {
    let mut sorted: Vec<&Package> = packages.iter().collect();
    sorted.sort_by(|a, b| (a.week, &a.test).cmp(&(b.week, &b.test)));
    let of_test = |test: &[&'_ Package]| -> Vec<(usize, usize)> {
        (0..test.len()).flat_map(|second| (0..second).map(move |first| (first, second))).collect()
    };
    let mut found = Vec::new();
    for test in sorted.chunk_by(|a, b| a.test == b.test) {
        let both = of_test(test).into_iter().map(|(first, second)| (test[first], test[second]));
        let alike = both.filter(|(first, second)| first.picture == second.picture);
        found.extend(alike.filter_map(|(first, second)| Some(Pair { first, second, z: z(first, second)? })));
    }
    found
}

/// Pairs of packages from different tests of one week: each package with `partners` others, drawn at random.
///
/// Such a pair is no experiment, for story and picture differ too. But there are many of them, and they show which words and topics draw
/// clicks in weeks that the few significant pairs say little of.
fn across_tests<'a>(packages: &'a [Package], partners: u32, rng: &mut impl Rng) -> Vec<Pair<'a>> {
    let mut sorted: Vec<&Package> = packages.iter().collect();
    sorted.sort_by_key(|package| package.week);
    let mut found = Vec::new();
    for week in sorted.chunk_by(|a, b| a.week == b.week) {
        for first in week {
            let drawn = (0..partners).map(|_| week[rng.random_range(0..week.len())]);
            let others: Vec<&Package> = drawn.filter(|second| second.test != first.test).collect();
            found.extend(others.into_iter().filter_map(|second| Some(Pair { first, second, z: z(first, second)? })));
        }
    }
    found
}

fn z(first: &Package, second: &Package) -> Option<f64> {
    let (n, m) = (first.impressions as f64, second.impressions as f64);
    let pooled = (first.clicks + second.clicks) as f64 / (n + m);
    let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let z = (first.rate() - second.rate()) / error;
    z.is_finite().then_some(z)
}

/// Splits packages at a week: the first part of the weeks that are there, rounded down, and the rest.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a number of weeks")]
pub fn split_by_week(packages: &[Package], share: f64) -> (Vec<Package>, Vec<Package>) {
    let weeks: std::collections::BTreeSet<u32> = packages.iter().map(|package| package.week).collect();
    // The hair makes 0.7 of 10 weeks 7, whatever the binary fraction.
    let first = (weeks.len() as f64 * share.clamp(0.0, 1.0) + 1e-9) as usize;
    let cut = weeks.into_iter().nth(first).unwrap_or(u32::MAX);
    packages.iter().cloned().partition(|package| package.week < cut)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn package(test: &str, week: u32, headline: &str, clicks: u64) -> Package {
        Package {
            test: test.into(),
            week,
            headline: headline.into(),
            excerpt: String::new(),
            picture: "p".into(),
            impressions: 1_000,
            clicks,
        }
    }

    #[test]
    fn a_pair_is_of_one_test_and_one_picture() {
        let other_picture = Package { picture: "q".into(), ..package("t", 1, "c", 10) };
        let all = [package("t", 1, "a", 30), package("u", 1, "b", 10), other_picture, package("t", 1, "d", 10)];
        let found = pairs(&all);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].first.headline.as_str(), found[0].second.headline.as_str()), ("a", "d"));
        assert!((found[0].z - 3.194).abs() < 0.001 && found[0].is_significant(), "{}", found[0].z);
    }

    #[test]
    fn packages_without_clicks_make_no_pair() {
        assert!(pairs(&[package("t", 1, "a", 0), package("t", 1, "b", 0)]).is_empty());
    }

    #[test]
    fn weeks_are_split_whole_and_in_their_order() {
        let all: Vec<Package> = (1..=10).rev().map(|week| package("t", week, "a", 1)).collect();
        let (first, rest) = split_by_week(&all, 0.7);
        assert_eq!((first.len(), rest.len()), (7, 3));
        assert!(first.iter().all(|package| package.week <= 7));
    }
}
