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
    /// A pair counts by the standard errors between its rates, but no more than this: the sure ones teach most, no single one decides.
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
            extractor: Extractor::default(),
            rates,
            passes: 3,
            most: 3.0,
            partners: 3,
            across: 0.2,
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
    calibration: Platt,
}

impl PairModel {
    /// The score of a package; only differences within a test mean something.
    pub fn score(&self, package: &Package) -> f64 {
        self.model.margin(&features(&self.extractor, package))
    }

    /// The probability that the first of two packages gets more clicks, given that they differ.
    pub fn first_wins(&self, first: &Package, second: &Package) -> f64 {
        self.calibration.apply(self.score(first) - self.score(second))
    }
}

fn features(extractor: &Extractor, package: &Package) -> Features {
    extractor.features(&Candidate { text: &package.headline, detail: &package.excerpt, ..Candidate::default() })
}

/// Trains on all pairs of the packages. The calibration comes from a model that has not seen the newest weeks, judged on them; the model
/// that is returned has seen all.
pub fn train(packages: &[Package], training: &Training) -> PairModel {
    let (older, newest) = split_by_week(packages, 1.0 - training.kept_back);
    let on_older = fit(&older, training);
    let margin = |package: &Package| on_older.margin(&features(&training.extractor, package));
    let significant = pairs(&newest).into_iter().filter(Pair::is_significant);
    let margins: Vec<(f64, bool)> =
        significant.map(|pair| (margin(pair.first) - margin(pair.second), pair.z > 0.0)).collect();
    let calibration = if margins.is_empty() { Platt::default() } else { Platt::fit_slope(&margins) };
    PairModel { extractor: training.extractor, model: fit(packages, training), calibration }
}

fn fit(packages: &[Package], training: &Training) -> Ftrl {
    let mut rng = generator(training.seed);
    let example = |pair: &Pair<'_>, weight: f64| {
        let [first, second] = [pair.first, pair.second].map(|package| features(&training.extractor, package));
        (first.minus(&second), pair.z > 0.0, weight * pair.z.abs().min(training.most) / 2.0)
    };
    let across = across_tests(packages, training.partners, &mut rng);
    let within = pairs(packages);
    let mut examples: Vec<(Features, bool, f64)> = within.iter().map(|pair| example(pair, 1.0)).collect();
    examples.extend(across.iter().map(|pair| example(pair, training.across)));
    examples.retain(|(features, ..)| !features.is_empty());
    let mut model = Ftrl::new(training.rates);
    for _ in 0..training.passes {
        examples.shuffle(&mut rng);
        for (features, first_wins, weight) in &examples {
            model.learn(features, f64::from(u8::from(*first_wins)), *weight);
        }
    }
    model
}
