use std::collections::HashMap;

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use super::{Package, Pair, across_tests, pairs, split_by_week};
use crate::learning::{
    calibration::Platt,
    features::{Candidate, Extractor, Features},
    ftrl::{Ftrl, Rates},
    generator,
};

/// How a model is trained on pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// How texts become numbers.
    pub extractor: Extractor,
    /// How the model learns.
    pub rates: Rates,
    /// How often it sees each pair.
    pub passes: u32,
    /// The most by which the logarithms of two rates differ, so that no single pair decides.
    pub most: f64,
    /// With how many packages of other tests in its week each package is paired as well; see `across`.
    pub partners: u32,
    /// What such a pair counts against one of the same test and picture. It is no experiment, so it counts little.
    pub across: f64,
    /// The share of weeks, the newest ones, that the probabilities are calibrated on.
    pub kept_back: f64,
    /// The seed of the order in which pairs are seen.
    pub seed: u64,
}

impl Default for Training {
    fn default() -> Self {
        // Found by cross-validation over time on randomised tests of headlines.
        let rates = Rates { alpha: 0.01, beta: 1.0, l1: 0.0, l2: 1.0, prior_precision: 10.0 };
        Self {
            extractor: Extractor { shape: 0.25, ..Extractor::default() },
            rates,
            passes: 4,
            most: 1.5,
            partners: 6,
            across: 0.3,
            kept_back: 0.3,
            seed: 1,
        }
    }
}

/// Says which of two texts gets more clicks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairModel {
    extractor: Extractor,
    model: Ftrl,
    /// How far apart two texts usually lie for this model.
    spread: f64,
    /// What a distance in units of that spread says.
    calibration: Platt,
}

impl PairModel {
    /// The score of a package; only differences within a test mean something.
    pub fn score(&self, package: &Package) -> f64 {
        self.model.margin(&features(&self.extractor, package))
    }

    /// The probability that the first of two packages gets more clicks, given that they differ.
    pub fn first_wins(&self, first: &Package, second: &Package) -> f64 {
        self.calibration.apply((self.score(first) - self.score(second)) / self.spread)
    }
}

fn features(extractor: &Extractor, package: &Package) -> Features {
    extractor.features(&Candidate { text: &package.headline, detail: &package.excerpt, ..Candidate::default() })
}

/// Trains on all pairs of the packages. The calibration comes from a model that has not seen the newest weeks, judged on them; the model
/// that is returned has seen all. One that has seen more tells texts further apart, so distances are calibrated in units of their spread.
pub fn train(packages: &[Package], training: &Training) -> PairModel {
    let (older, newest) = split_by_week(packages, 1.0 - training.kept_back);
    let (on_older, model) = (fit(&older, training), fit(packages, training));
    let judged = distances(&on_older, &newest, training);
    // On texts that both have learned from.
    let [usual, spread] = [&on_older, &model].map(|model| spread(&distances(model, &older, training)));
    let in_units: Vec<(f64, bool)> = judged.iter().map(|(distance, wins)| (distance / usual, *wins)).collect();
    let calibration = if in_units.is_empty() { Platt::default() } else { Platt::fit_slope(&in_units) };
    PairModel { extractor: training.extractor, model, spread, calibration }
}

/// How far apart a model sees the two texts of each significant pair, and whether the first wins.
fn distances(model: &Ftrl, packages: &[Package], training: &Training) -> Vec<(f64, bool)> {
    let margin = |package: &Package| model.margin(&features(&training.extractor, package));
    let significant = pairs(packages).into_iter().filter(Pair::is_significant);
    significant.map(|pair| (margin(pair.first) - margin(pair.second), pair.z > 0.0)).collect()
}

/// The root of the mean square; 1 where nothing is known.
fn spread(distances: &[(f64, bool)]) -> f64 {
    let squares: f64 = distances.iter().map(|(distance, _)| distance * distance).sum();
    let spread = (squares / distances.len().max(1) as f64).sqrt();
    if spread > 0.0 { spread } else { 1.0 }
}

fn fit(packages: &[Package], training: &Training) -> Ftrl {
    let mut rng = generator(training.seed);
    let example = |pair: &Pair<'_>, weight: f64| {
        let [first, second] = [pair.first, pair.second].map(|package| features(&training.extractor, package));
        let more = (pair.first.log_rate() - pair.second.log_rate()).clamp(-training.most, training.most);
        (first.minus(&second), more, weight * pair.sureness())
    };
    let mut alike: HashMap<(&str, &str), u32> = HashMap::new();
    for package in packages {
        *alike.entry((&package.test, &package.picture)).or_default() += 1;
    }
    // A package is in more pairs the more the test has, and counts as often as in any other.
    let share = |pair: &Pair<'_>| 2.0 / f64::from(alike[&(pair.first.test.as_str(), pair.first.picture.as_str())]);
    let across = across_tests(packages, training.partners, &mut rng);
    let each = training.across / f64::from(training.partners.max(1));
    let within = pairs(packages);
    let mut examples: Vec<(Features, f64, f64)> = within.iter().map(|pair| example(pair, share(pair))).collect();
    examples.extend(across.iter().map(|pair| example(pair, each)));
    examples.retain(|(features, ..)| !features.is_empty());
    let mut model = Ftrl::new(training.rates);
    for _ in 0..training.passes {
        examples.shuffle(&mut rng);
        for (features, more, weight) in &examples {
            model.learn_margin(features, *more, *weight);
        }
    }
    model
}
