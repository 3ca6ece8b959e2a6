use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Package, PairModel, Training, pairs, split_by_week, train};
use crate::learning::{
    bootstrap::{Estimate, RESAMPLES, by_group},
    calibration::{Outcome, Scores, log_loss},
};

/// How a model fared on tests it has not learned from, with 95 % intervals over tests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The tests.
    pub tests: usize,
    /// The significant pairs.
    pub pairs: usize,
    /// How many of them show the reader the same words twice. No model can order them; each counts as half.
    pub alike: usize,
    /// The share of significant pairs in the right order.
    pub ordered: Estimate,
    /// The same without pairs that are alike.
    pub ordered_of_different: Estimate,
    /// The mean log loss on significant pairs.
    pub log_loss: Estimate,
    /// How many more clicks the model's choice gets than an arm at random, as a share: 0.04 is 4 % more. It chooses once for each picture
    /// of a test that has more than one text, as the pictures are not its to choose.
    pub more_clicks: Estimate,
    /// Brier score, log loss and calibration error on significant pairs.
    pub scores: Option<Scores>,
}

impl Judgement {
    /// The share of pairs that must be in order.
    pub const ORDERED: f64 = 0.65;
    /// The log loss that may not be passed.
    pub const LOG_LOSS: f64 = 0.63;
    /// The share of more clicks that the choice must bring.
    pub const MORE_CLICKS: f64 = 0.04;

    /// Whether all three bars are met.
    pub fn is_met(&self) -> bool {
        self.ordered.value >= Self::ORDERED
            && self.log_loss.value <= Self::LOG_LOSS
            && self.more_clicks.value >= Self::MORE_CLICKS
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = |is: bool| if is { "met" } else { "NOT MET" };
        writeln!(f, "{} significant pairs of {} tests, {} of them alike in words", self.pairs, self.tests, self.alike)?;
        let ordered = met(self.ordered.value >= Self::ORDERED);
        writeln!(f, "in the right order {} (bar {}, {ordered})", self.ordered, Self::ORDERED)?;
        writeln!(f, "in the right order, of those that differ {}", self.ordered_of_different)?;
        let loss = met(self.log_loss.value <= Self::LOG_LOSS);
        writeln!(f, "log loss {} (bar {}, {loss})", self.log_loss, Self::LOG_LOSS)?;
        let clicks = met(self.more_clicks.value >= Self::MORE_CLICKS);
        write!(f, "more clicks {} (bar {}, {clicks})", self.more_clicks, Self::MORE_CLICKS)?;
        self.scores.map_or(Ok(()), |scores| write!(f, "\nBrier {:.4}, ECE {:.4}", scores.brier, scores.ece))
    }
}

/// Trains on the first `share` of the weeks and judges on the rest.
pub fn evaluate(packages: &[Package], share: f64, training: &Training) -> Judgement {
    let (learned, judged) = split_by_week(packages, share);
    judge(&train(&learned, training), &judged, training.seed)
}

/// What one test adds to the figures.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    pairs: f64,
    alike: f64,
    ordered: f64,
    loss: f64,
    chosen: f64,
    random: f64,
}

impl Sums {
    fn add(self, other: &Self) -> Self {
        Self {
            pairs: self.pairs + other.pairs,
            alike: self.alike + other.alike,
            ordered: self.ordered + other.ordered,
            loss: self.loss + other.loss,
            chosen: self.chosen + other.chosen,
            random: self.random + other.random,
        }
    }

    fn values(&self) -> [f64; 4] {
        let different = (self.ordered - self.alike / 2.0) / (self.pairs - self.alike);
        [self.ordered / self.pairs, different, self.loss / self.pairs, self.chosen / self.random - 1.0]
    }
}

/// Judges a model on packages. The intervals come from resampling whole tests from a seed.
pub fn judge(model: &PairModel, packages: &[Package], seed: u64) -> Judgement {
    let mut sorted: Vec<Package> = packages.to_vec();
    sorted.sort_by(|a, b| (&a.test, &a.picture).cmp(&(&b.test, &b.picture)));
    let mut outcomes = Vec::new();
    let tests: Vec<Sums> =
        sorted.chunk_by(|a, b| a.test == b.test).map(|test| of_test(model, test, &mut outcomes)).collect();
    let values = |drawn: &[usize]| drawn.iter().fold(Sums::default(), |sums, &test| sums.add(&tests[test])).values();
    let [ordered, ordered_of_different, log_loss, more_clicks] = by_group(tests.len(), RESAMPLES, seed, values);
    let alike = outcomes.iter().filter(|(_, is_alike)| *is_alike).count();
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(outcome, _)| outcome).collect();
    let scores = Scores::of(&outcomes);
    Judgement {
        tests: tests.len(),
        pairs: outcomes.len(),
        alike,
        ordered,
        ordered_of_different,
        log_loss,
        more_clicks,
        scores,
    }
}

fn of_test(model: &PairModel, test: &[Package], outcomes: &mut Vec<(Outcome, bool)>) -> Sums {
    let mut sums = Sums::default();
    for pair in pairs(test).iter().filter(|pair| pair.is_significant()) {
        let predicted = model.first_wins(pair.first, pair.second);
        let outcome = Outcome { predicted, happened: pair.z > 0.0 };
        let is_alike = pair.first.headline == pair.second.headline && pair.first.excerpt == pair.second.excerpt;
        sums.pairs += 1.0;
        sums.alike += f64::from(u8::from(is_alike));
        sums.ordered += order(&outcome);
        sums.loss += log_loss(predicted, outcome.happened);
        outcomes.push((outcome, is_alike));
    }
    for arms in test.chunk_by(|a, b| a.picture == b.picture) {
        let (chosen, random) = clicks(model, arms);
        sums.chosen += chosen;
        sums.random += random;
    }
    sums
}

/// 1 for the right order, 0 for the wrong one, one half for even odds.
fn order(outcome: &Outcome) -> f64 {
    let lean = if outcome.happened { outcome.predicted - 0.5 } else { 0.5 - outcome.predicted };
    if lean.abs() < 1e-9 { 0.5 } else { f64::from(u8::from(lean > 0.0)) }
}

/// The clicks an impression of the model's choice and of an arm at random. Arms with equal scores share the choice.
fn clicks(model: &PairModel, arms: &[Package]) -> (f64, f64) {
    let mean = |arms: &[(f64, f64)]| arms.iter().map(|(_, rate)| rate).sum::<f64>() / arms.len().max(1) as f64;
    if arms.len() < 2 {
        return (0.0, 0.0);
    }
    let scored: Vec<(f64, f64)> = arms.iter().map(|package| (model.score(package), package.rate())).collect();
    let highest = scored.iter().map(|(score, _)| *score).fold(f64::NEG_INFINITY, f64::max);
    let chosen: Vec<(f64, f64)> = scored.iter().copied().filter(|(score, _)| highest - score < 1e-9).collect();
    (mean(&chosen), mean(&scored))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::pairs::tests::package;

    /// Tests of two texts, of which the one with the good word gets half as many clicks more.
    fn tests(weeks: u32) -> Vec<Package> {
        let of_week = |week: u32| {
            (0..10).flat_map(move |test| {
                let name = format!("{week}-{test}");
                let filler = ["tree", "house", "river", "stone", "cloud"][test % 5];
                [
                    package(&name, week, &format!("a good {filler}"), 90),
                    package(&name, week, &format!("a plain {filler}"), 60),
                ]
            })
        };
        (1..=weeks).flat_map(of_week).collect()
    }

    #[test]
    fn a_word_that_draws_clicks_is_learned_and_pays_in_later_weeks() {
        let judged = evaluate(&tests(10), 0.7, &Training::default());
        assert!(judged.is_met(), "{judged}");
        assert!((judged.ordered.value - 1.0).abs() < 1e-12 && (judged.more_clicks.value - 0.2).abs() < 1e-9);
        assert_eq!((judged.tests, judged.pairs, judged.alike), (30, 30, 0));
    }

    #[test]
    fn the_order_of_two_texts_does_not_matter() {
        let all = tests(5);
        let model = train(&all, &Training::default());
        let (one, two) = (model.first_wins(&all[0], &all[1]), model.first_wins(&all[1], &all[0]));
        assert!(one > 0.5 && (one + two - 1.0).abs() < 1e-12);
    }

    #[test]
    fn texts_that_are_alike_count_as_half() {
        let model = train(&tests(5), &Training::default());
        let alike = [package("t", 9, "the same", 90), package("t", 9, "the same", 60)];
        let judged = judge(&model, &alike, 1);
        assert!((judged.ordered.value - 0.5).abs() < 1e-12 && judged.alike == 1);
        assert!(judged.more_clicks.value.abs() < 1e-12);
    }

    #[test]
    fn nothing_to_judge_is_not_met() {
        assert!(!evaluate(&[], 0.7, &Training::default()).is_met());
    }
}
